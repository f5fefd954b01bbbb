"""The torch engine. Importing this module does not import torch, so that a missing torch can be explained."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipbench.api import ClipConfig, LearnerJob, ModelSpec, Precision, Probe, ProcessLoader, World
from clipbench_torch.builds import load_no_extensions

if TYPE_CHECKING:
    import numpy as np

    from clipbench_torch.device import TorchDevice
    from clipbench_torch.group import TorchGroup
    from clipbench_torch.learner import TorchLearner

TORCH_FLOOR = (2, 4)
PYTHON_FLOOR = (3, 10)
SPIN_COUNT = "2000"  # tens of microseconds: about what waking a thread costs


class TorchEngine:
    """PyTorch, reduced to what the core needs of it."""

    def problem(self) -> str | None:
        """Return why the installed torch cannot be used and what to do about it, or None."""
        if sys.version_info < PYTHON_FLOOR:
            return f"Python {_dotted(PYTHON_FLOOR)} or newer is needed, this is {_dotted(sys.version_info[:3])}"
        _end_busy_waiting()
        load_no_extensions()
        try:
            import torch
        except ModuleNotFoundError as error:
            if error.name != "torch":
                return f"torch does not import: {error}"
            return (
                "torch is not installed: `pip install 'clipbench[torch]'`, "
                "or, for an accelerator that is not NVIDIA's, the build of torch that its vendor ships"
            )
        except (ImportError, OSError) as error:
            return f"torch is installed but does not import: {error}"
        if torch_release(torch.__version__) < TORCH_FLOOR:
            return f"torch {_dotted(TORCH_FLOOR)} or newer is needed, this is {torch.__version__}"
        return None

    def versions(self) -> Mapping[str, str]:
        """Return the versions that a result records, by package."""
        import torch

        return {"torch": str(torch.__version__), "numpy": version("numpy")}

    def probe(self, device: TorchDevice, precision: Precision) -> Sequence[Probe]:
        """Test whether the device computes and waits as it says; see clipbench_torch.probes."""
        from clipbench_torch.probes import probe_device

        return probe_device(device, precision)

    def check_weights(
        self, model: ModelSpec, config: ClipConfig, weights: Path | None, text_weights: Path | None = None
    ) -> None:
        """Raise NotReadyError where a learner of this model could not be given these weights."""
        from clipbench_torch.weights import check_weights

        check_weights(model, config, weights, text_weights)

    def learner(self, job: LearnerJob) -> TorchLearner:
        """Return a Learner for ``job``; with several ranks, ``join`` comes first."""
        from clipbench_torch.learner import TorchLearner

        return TorchLearner(job)

    def loader(
        self, fetch: Callable[[Any], tuple[np.ndarray, ...]], workers: int, device: TorchDevice
    ) -> ProcessLoader:
        """Return a Loader over ``fetch``, whose processes start now, while the learner is built."""
        from clipbench_torch.inputs import in_memory, in_pinned_memory

        return ProcessLoader(fetch, workers, in_pinned_memory if device.pin_memory else in_memory)

    def launcher(self, world_size: int, report: Path) -> list[str]:
        """Return the command of torch's elastic launcher, up to the module that each rank runs."""
        return [sys.executable, "-m", "clipbench_torch.launch", str(world_size), str(report)]

    def join(self, device: TorchDevice, world: World, timeout: float) -> TorchGroup:
        """Join the ranks that meet at MASTER_ADDR and MASTER_PORT."""
        from clipbench_torch.group import join

        atexit.register(_leave)
        return join(device, world, timeout)


def _end_busy_waiting() -> None:
    """Have waiting OpenMP threads sleep soon, unless the user has set how they wait.

    By default GNU's OpenMP spins for milliseconds. Where loader processes or other programs use the same cores, it
    keeps the thread it waits for from running: steps of a small model took several times as long. The variable is read
    once, when torch is imported.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


def torch_release(text: str) -> tuple[int, int]:
    """Return major and minor release of a torch version; a vendor's ``2.4.0a0+git1234`` counts as 2.4."""
    release = re.match(r"(\d+)\.(\d+)", text)
    return (int(release[1]), int(release[2])) if release else (0, 0)


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
