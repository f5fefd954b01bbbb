"""NVIDIA GPUs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from clipbench.api import Precision
from clipbench_torch.accelerator import Accelerator
from clipbench_torch.device import lines_of


class CudaDevice(Accelerator):
    """NVIDIA GPUs."""

    name = "cuda"
    pin_memory = True
    where_to_look = "check `nvidia-smi` and CUDA_VISIBLE_DEVICES"
    exact_float32: ClassVar[Mapping[str, Any]] = {"backends.cudnn.allow_tf32": False}
    driver_command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    variables = (
        "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_MAX_CONNECTIONS", "CUBLAS_WORKSPACE_CONFIG",
        "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT",
        "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING",
        "NCCL_ALGO", "NCCL_PROTO", "NCCL_P2P_DISABLE", "NCCL_IB_DISABLE",
    )  # fmt: skip
    float32_hint = "unset NVIDIA_TF32_OVERRIDE and TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, or choose --set precision=amp"

    # Dense TFLOP/s (no sparsity): plain float32, and float16 on the matrix units with float32 sums. First match wins.
    # Source: NVIDIA's data sheets and architecture papers; bfloat16 equals float16 from compute capability 8.0 on.
    PEAK_TFLOPS: ClassVar[Sequence[tuple[str, float, float]]] = (
        (r"\bH200 NVL\b", 60, 835.5),
        (r"\bH200\b", 67, 989.4),
        (r"\bH100 NVL\b", 60, 835.5),
        (r"\bH100 PCIe\b", 51, 756),
        (r"\bH100 80GB HBM3\b", 67, 989.4),
        (r"\bA100\b", 19.5, 312),
        (r"\bA40\b", 37.4, 149.7),
        (r"\bA30\b", 10.3, 165),
        (r"\bA10\b", 31.2, 125),
        (r"\bL40S\b", 91.6, 362),
        (r"\bL40\b", 90.5, 181),
        (r"\bL4\b", 30.3, 121),
        (r"\bRTX 4090$", 82.6, 165.2),
        (r"\bRTX 3090$", 35.6, 71),
        (r"\bT4\b", 8.1, 65),
        (r"\bV100-SXM2\b", 15.7, 125),
        (r"\bV100-PCIE\b", 14, 112),
    )

    def unavailable(self) -> str | None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            reason = super().unavailable()
        # torch warns of a driver that it cannot use.
        return reason and " ".join([reason, *(str(warning.message) for warning in caught)])

    def others(self) -> Sequence[str] | None:
        """Return the processes on all GPUs of this machine, as nvidia-smi lists them; a container may see none."""
        lines = lines_of(["nvidia-smi", "--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader"])
        return None if lines is None else [f"process {line}" for line in lines]

    def peak_flops(self, precision: Precision) -> float | None:
        return cuda_peak_flops(torch.cuda.get_device_name(), precision)

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Turn TF32 off, whatever this build's defaults are; torch's attention chooses its fused kernels itself."""
        return {**super().tune(earlier), "flash_attention": torch.backends.cuda.flash_sdp_enabled()}


def cuda_peak_flops(device_name: str, precision: Precision) -> float | None:
    """Return the peak dense FLOP/s of the GPU of this name, or None where it is not in the table."""
    if "MIG" in device_name:
        return None  # a slice of a GPU
    for pattern, float32, float16 in CudaDevice.PEAK_TFLOPS:
        if re.search(pattern, device_name):
            if precision == "bfloat16" and re.search(r"\b(T4|V100)", device_name):
                return None
            return (float32 if precision == "float32" else float16) * 1e12
    return None
