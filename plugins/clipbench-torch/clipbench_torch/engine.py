"""The torch engine. Importing this module does not import torch, so that a missing torch can be explained."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from clipbench.api import LearnerJob, Precision, Probe, World

if TYPE_CHECKING:
    import numpy as np

    from clipbench_torch.device import TorchDevice
    from clipbench_torch.group import TorchGroup
    from clipbench_torch.learner import TorchLearner
    from clipbench_torch.loader import TorchLoader

TORCH_FLOOR = (2, 4)
PYTHON_FLOOR = (3, 10)
SPIN_COUNT = "2000"  # tens of microseconds: about what waking a thread costs


class TorchEngine:
    """PyTorch, reduced to what the core needs of it."""

    def __init__(self) -> None:
        self._pin_memory = False

    def problem(self) -> str | None:
        """Why the installed torch cannot be used and what to do about it, or None."""
        if sys.version_info < PYTHON_FLOOR:
            return f"Python {_dotted(PYTHON_FLOOR)} or newer is needed, this is {_dotted(sys.version_info[:3])}"
        _end_busy_waiting()
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
        """Versions that a result records, by package."""
        import torch

        return {"torch": str(torch.__version__), "numpy": version("numpy")}

    def probe(self, device: TorchDevice, precision: Precision, local_rank: int) -> Sequence[Probe]:
        """Whether the device computes and waits as it says; see clipbench_torch.probes."""
        from clipbench_torch.probes import probe_device

        return probe_device(device, precision, local_rank)

    def learner(self, job: LearnerJob) -> TorchLearner:
        """A Learner for ``job``; with several ranks, ``join`` comes first."""
        from clipbench_torch.learner import TorchLearner

        self._pin_memory = getattr(job.device, "pin_memory", False)
        return TorchLearner(job)

    def loader(self, fetch: Callable[[Any], tuple[np.ndarray, ...]], workers: int) -> TorchLoader:
        """A Loader over ``fetch``. Built before the learner, its workers' server starts while the learner is built."""
        from clipbench_torch.loader import TorchLoader

        return TorchLoader(fetch, workers, pin_memory=lambda: self._pin_memory)

    def launcher(self, ranks: int) -> list[str]:
        """Command of torch's elastic launcher for ``ranks`` processes here, up to the module that each runs."""
        return [sys.executable, "-m", "clipbench_torch.launch", str(ranks)]

    def join(self, device: Any, world: World, timeout: float) -> TorchGroup:  # noqa: ANN401
        """Join the ranks that MASTER_ADDR and MASTER_PORT bring together."""
        from clipbench_torch.group import join

        atexit.register(_leave)
        return join(device, world, timeout)


def _end_busy_waiting() -> None:
    """Have threads that wait for each other give way soon, unless the user has said how they should wait.

    By default GNU's OpenMP spins for milliseconds. Where loader processes or a neighbour want the same core, whoever is
    waited for is then kept from it: steps of a small model were seen to take several times as long. Read once, when
    torch is imported.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


def torch_release(text: str) -> tuple[int, int]:
    """Major and minor release of a torch version; a vendor's ``2.4.0a0+git1234`` counts as 2.4."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
