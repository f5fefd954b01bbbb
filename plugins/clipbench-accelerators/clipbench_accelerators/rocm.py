"""Device ``rocm``: GPUs of AMD, which torch calls ``cuda``."""

from collections.abc import Mapping
from typing import Any

import torch

from clipbench_torch.accelerator import Accelerator


class RocmDevice(Accelerator):
    """A build of torch for ROCm answers under torch.cuda, and has ``torch.version.hip``."""

    name = "rocm"
    torch_type = "cuda"
    pin_memory = True
    where_to_look = "check `rocm-smi` and HIP_VISIBLE_DEVICES"
    float32_hint = "unset HIPBLASLT_ALLOW_TF32, or choose --set precision=amp"
    versions = ("version.hip",)
    driver_command = ("rocm-smi", "--showdriverversion")
    driver_pattern = r"Driver version:\s*(\S+)"
    variables = (
        "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION",
        "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "HIPBLASLT_ALLOW_TF32", "TORCH_BLAS_PREFER_HIPBLASLT",
        "PYTORCH_TUNABLEOP_ENABLED", "AMD_SERIALIZE_KERNEL", "HIP_LAUNCH_BLOCKING", "NCCL_ALGO", "NCCL_PROTO",
    )  # fmt: skip

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        return {**super().tune(earlier), "flash_attention": torch.backends.cuda.flash_sdp_enabled()}
