"""Accelerators of many vendors for clipbench's torch engine. Hooks only: a device's module is imported when it is used.

All of them were written by the vendors' documentation and sources, and have not yet been run on the hardware.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from clipbench.api import DeviceSpec, hookimpl, package_missing
from clipbench_torch.builds import built_without

# Beside a host's own GPU, a card with a vendor's extension is what somebody has bought to compute on.
CARD, GPU = 30, 15


@hookimpl
def clipbench_devices() -> list[DeviceSpec]:
    return [
        _device("npu", "Ascend NPUs of Huawei", "Npu", CARD, _package("torch_npu", "Huawei's Ascend Extension")),
        _device("mlu", "MLU cards of Cambricon", "Mlu", CARD, _package("torch_mlu", "Cambricon's PyTorch image")),
        _device("musa", "GPUs of Moore Threads", "Musa", CARD, _package("torch_musa", "Moore Threads' MUSA image")),
        _device(
            "hpu", "Gaudi accelerators of Intel", "Hpu", CARD, _package("habana_frameworks", "Intel's Gaudi image")
        ),
        _device("rocm", "GPUs of AMD", "Rocm", GPU + 5, partial(built_without, "hip", "AMD's ROCm")),
        _device("xpu", "GPUs of Intel", "Xpu", GPU, partial(built_without, "xpu", "Intel GPUs (XPU)")),
        _device("mps", "GPUs of Apple", "Mps", GPU, _not_a_mac),
    ]


def _device(name: str, summary: str, cls: str, priority: int, absent: Callable[[], str | None]) -> DeviceSpec:
    load = f"clipbench_accelerators.{name}:{cls}Device"
    return DeviceSpec(name, "torch", summary, load, priority, absent=absent, tried=False)


def _package(package: str, source: str) -> Callable[[], str | None]:
    return partial(package_missing, package, f"it comes with {source}; activate the environment that has it")


def _not_a_mac() -> str | None:
    return None if sys.platform == "darwin" else "this is not a Mac"
