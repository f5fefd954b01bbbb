"""Device ``mps``: the GPU of an Apple chip, which torch has built in."""

import platform

import torch

from clipbench.api import DeviceInfo
from clipbench_torch.accelerator import Accelerator
from clipbench_torch.device import lines_of


class MpsDevice(Accelerator):
    """There is one, it shares the host's memory, and its peak is not counted. It comes with macOS, as its driver."""

    name = "mps"
    pin_memory = False
    where_to_look = "macOS 14 or newer on an Apple chip is needed"
    variables = (
        "PYTORCH_ENABLE_MPS_FALLBACK", "PYTORCH_MPS_FAST_MATH", "PYTORCH_MPS_PREFER_METAL",
        "PYTORCH_MPS_HIGH_WATERMARK_RATIO", "PYTORCH_MPS_LOW_WATERMARK_RATIO",
    )  # fmt: skip

    def info(self) -> DeviceInfo:
        unknown = {"total_memory": "it is the host's", "peak_memory": "torch.mps does not count it"}
        chip = lines_of(["sysctl", "-n", "machdep.cpu.brand_string"]) or ["Apple GPU"]
        return DeviceInfo(chip[0], count=1, driver=f"macOS {platform.mac_ver()[0]}", unknown=unknown)

    def free_memory(self) -> int | None:
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
