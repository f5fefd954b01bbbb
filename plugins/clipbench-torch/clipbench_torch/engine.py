"""The torch engine. Importing this module does not import torch, so that a missing torch can be explained."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from clipbench.api import LearnerJob

if TYPE_CHECKING:
    import numpy as np

    from clipbench_torch.learner import TorchLearner
    from clipbench_torch.loader import TorchLoader

TORCH_FLOOR = (2, 4)
PYTHON_FLOOR = (3, 10)
SPIN_COUNT = "2000"  # tens of microseconds: about what waking a thread costs
PATIENCE = timedelta(hours=1)  # ranks wait for each other in a step while the first one evaluates


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

    def learner(self, job: LearnerJob) -> TorchLearner:
        """A Learner for ``job``; with several ranks it joins them first, by the variables that torchrun sets."""
        from clipbench_torch.learner import TorchLearner

        if job.world.size > 1:
            _join(job)
        self._pin_memory = getattr(job.device, "pin_memory", False)
        return TorchLearner(job)

    def loader(self, fetch: Callable[[Any], tuple[np.ndarray, ...]], workers: int) -> TorchLoader:
        """A Loader over ``fetch``. Built before the learner, its workers' server starts while the learner is built."""
        from clipbench_torch.loader import TorchLoader

        return TorchLoader(fetch, workers, pin_memory=lambda: self._pin_memory)

    def launcher(self, ranks: int) -> list[str]:
        """torchrun's command for ``ranks`` processes of this machine, up to the module that each runs."""
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]


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


def _join(job: LearnerJob) -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        return
    job.device.select(job.world.local_rank)  # back ends bind to the device that is current
    dist.init_process_group(
        job.device.collective_backend(), rank=job.world.rank, world_size=job.world.size, timeout=PATIENCE
    )
    atexit.register(_leave)


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
