"""Device ``xpu``: GPUs of Intel, which torch has built in."""

import torch

from clipbench_torch.accelerator import Accelerator


class XpuDevice(Accelerator):
    """The driver's version is a property of the device."""

    name = "xpu"
    backend = "xccl"
    where_to_look = "check `xpu-smi discovery` and ZE_AFFINITY_MASK"
    exact_float32 = {"backends.mkldnn.allow_tf32": False}  # noqa: RUF012
    versions = ("version.xpu",)
    variables = (
        "ZE_AFFINITY_MASK", "ZE_FLAT_DEVICE_HIERARCHY", "ONEAPI_DEVICE_SELECTOR", "SYCL_CACHE_PERSISTENT",
        "PYTORCH_ALLOC_CONF", "ONEDNN_DEFAULT_FPMATH_MODE", "CCL_ALLREDUCE",
    )  # fmt: skip

    def driver(self) -> str | None:
        version = getattr(torch.xpu.get_device_properties(), "driver_version", None)
        return version or self.unknown("driver", "torch.xpu.get_device_properties() has no driver_version")
