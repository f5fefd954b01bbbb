"""The JAX engine. Importing this module does not import jax, so that a missing jax can be explained."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipbench.api import ClipConfig, Device, LearnerJob, ModelSpec, Precision, Probe, ProcessLoader, World

if TYPE_CHECKING:
    import numpy as np

    from clipbench_jax.device import JaxDevice
    from clipbench_jax.group import JaxGroup
    from clipbench_jax.learner import JaxLearner

JAX_FLOOR = (0, 8)


class JaxEngine:
    """JAX, reduced to what the core needs of it."""

    def problem(self) -> str | None:
        """Return why the installed jax cannot be used and what to do about it, or None."""
        for package in ("jax", "optax"):
            try:
                __import__(package)
            except ModuleNotFoundError as error:
                if error.name != package:
                    return f"{package} does not import: {error}"
                return (
                    f"{package} is not installed: `pip install 'clipbench[jax]'`, and for an accelerator the build of "
                    "jax or the PJRT plug-in that belongs to it"
                )
            except (ImportError, OSError, RuntimeError) as error:  # jaxlib of another version
                return f"{package} is installed but does not import: {error}"
        found = version("jax")
        if _release(found) < JAX_FLOOR:
            return f"jax {'.'.join(map(str, JAX_FLOOR))} or newer is needed, this is {found}"
        return None

    def versions(self) -> Mapping[str, str]:
        """Return the versions that a result records, by package."""
        return {name: version(name) for name in ("jax", "jaxlib", "optax", "numpy")}

    def probe(self, device: JaxDevice, precision: Precision) -> Sequence[Probe]:
        """Test whether the device computes and waits as it says; see clipbench_jax.probes."""
        from clipbench_jax.probes import probe_device

        return probe_device(device, precision)

    def check_weights(self, model: ModelSpec, config: ClipConfig, weights: Path) -> None:
        """Raise NotReadyError where a learner of this model could not be given these weights."""
        from clipbench_jax.weights import load_weights

        load_weights(model, config, weights)

    def learner(self, job: LearnerJob) -> JaxLearner:
        """Return a Learner for ``job``."""
        from clipbench_jax.learner import JaxLearner

        return JaxLearner(job)

    def loader(self, fetch: Callable[[Any], tuple[np.ndarray, ...]], workers: int, device: Device) -> ProcessLoader:
        """Return a Loader over ``fetch``, whose processes start now, while the learner is built."""
        return ProcessLoader(fetch, workers)

    def launcher(self, world_size: int, report: Path) -> list[str]:
        """Return the command that starts the ranks, up to the module that each runs."""
        return [sys.executable, "-m", "clipbench_jax.launch", str(world_size), str(report)]

    def join(self, device: JaxDevice, world: World, timeout: float) -> JaxGroup:
        """Join the ranks that meet at MASTER_ADDR and MASTER_PORT."""
        from clipbench_jax.group import join

        return join(device, world, timeout)


def _release(text: str) -> tuple[int, int]:
    """Return major and minor release of a version."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
