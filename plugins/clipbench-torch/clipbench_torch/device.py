"""Devices of the torch engine: what it asks of any, and the two that stock PyTorch knows."""

from __future__ import annotations

import math
import platform
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from clipbench.api import DeviceInfo, Precision

DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
# True float32 gives 3e-7 on the product below, TF32 and bfloat16 give 4e-4 and 3e-3.
FLOAT32_ERROR_LIMIT = 1e-5
TIMED_PRODUCTS = 6
# Processors on which oneDNN is worth it have it twice as fast. A gain that noise could turn round is not taken, for two
# runs on one machine have to compute alike.
WORTHWHILE_SPEEDUP = 1.5


class TorchDevice:
    """A Device for the torch engine: subclass it, and override what differs from stock PyTorch.

    Beyond clipbench.api.Device, the engine asks for ``torch_device(local_rank)`` (where tensors and the model go) and
    ``pin_memory`` (whether copies from page-locked host memory are faster). A subclass sets ``name``, the device type
    that torch knows it by, and writes at least ``unavailable``, ``info``, ``synchronize`` and ``collective_backend``.
    ``precisions``, ``autocast`` and ``grad_scaler`` suit every device type that ``torch.autocast`` supports.
    """

    name: str
    pin_memory: bool = False

    def unavailable(self) -> str | None:
        raise NotImplementedError

    def info(self) -> DeviceInfo:
        raise NotImplementedError

    def synchronize(self) -> None:
        raise NotImplementedError

    def collective_backend(self) -> str:
        raise NotImplementedError

    def torch_device(self, local_rank: int) -> torch.device:
        """Where rank ``local_rank`` of this machine computes."""
        return torch.device(self.name, local_rank)

    def select(self, local_rank: int) -> None:
        """Make device ``local_rank`` this process's own."""

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def reset_peak_memory(self) -> None:
        """Start a new peak; nothing where peaks are not counted."""

    def peak_memory(self) -> int | None:
        return None

    def precisions(self) -> Sequence[Precision]:
        return ("float32", "float16", "bfloat16")

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.name, dtype=DTYPES[precision])

    def grad_scaler(self, precision: Precision) -> Any:  # noqa: ANN401 -- vendors bring scalers of their own
        return torch.amp.GradScaler(self.name) if precision == "float16" else None

    def peak_flops(self, precision: Precision) -> float | None:
        return None

    def environment_variables(self) -> Sequence[str]:
        return ()

    def tune(self) -> Mapping[str, Any]:
        return {}


class CpuDevice(TorchDevice):
    """The processor. Its memory is the host's, which the core records, so there is no device peak to report."""

    name = "cpu"

    def __init__(self) -> None:
        self._products: Mapping[str, Any] | None = None

    def unavailable(self) -> str | None:
        return None

    def info(self) -> DeviceInfo:
        return DeviceInfo(name=_processor_name(), count=1)

    def synchronize(self) -> None:
        """Nothing to wait for: work is done when the call that asked for it returns."""

    def collective_backend(self) -> str:
        return "gloo"

    def torch_device(self, local_rank: int) -> torch.device:
        return torch.device("cpu")

    def precisions(self) -> Sequence[Precision]:
        # bfloat16 before float16, which has no fast products on any processor that is common today.
        return ("float32", "bfloat16", "float16")

    def environment_variables(self) -> Sequence[str]:
        return (
            "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES",
            "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME",
            "MKL_NUM_THREADS", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY",
            "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA", "LD_PRELOAD", "MALLOC_CONF",
        )  # fmt: skip

    def tune(self) -> Mapping[str, Any]:
        """Send float32 products to oneDNN where that is faster and still float32.

        torch sends them there at matmul precision "medium", which also permits bfloat16: on some processors that is
        what one gets. So products are compared with float64 before the setting is kept.
        """
        if self._products is None:  # once: a second timing might decide otherwise
            self._products = choose_float32_products()
        return self._products


def choose_float32_products() -> dict[str, Any]:
    """Keep matmul precision "medium" if its products are true float32 and faster than the default's here.

    Returns ``float32_products`` ("onednn" or "default") and their relative error against float64: the worst of a
    linear layer's output and its two gradients, by Frobenius norm. Takes some tens of milliseconds.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 768, generator=generator)
    weight = torch.randn(1536, 768, generator=generator)
    # A part is enough to tell formats apart, and float64 is slow.
    few = x[:48], weight[:512], torch.randn(48, 512, generator=generator)
    exact = _linear_products(*(tensor.double() for tensor in few))
    error = dict.fromkeys(("highest", "medium"), 0.0)
    seconds = dict.fromkeys(error, math.inf)
    for precision in error:
        torch.set_float32_matmul_precision(precision)
        for got, want in zip(_linear_products(*few), exact, strict=True):
            error[precision] = max(error[precision], float((got.double() - want).norm() / want.norm()))
    threads = torch.get_num_threads()
    # One thread and its own time: on a busy machine, wall time says who was interrupted and not what is faster.
    torch.set_num_threads(1)
    for _ in range(TIMED_PRODUCTS):
        for precision in seconds:
            torch.set_float32_matmul_precision(precision)
            start = time.thread_time()
            F.linear(x, weight)
            seconds[precision] = min(seconds[precision], time.thread_time() - start)
    torch.set_num_threads(threads)
    if error["medium"] < FLOAT32_ERROR_LIMIT and seconds["medium"] * WORTHWHILE_SPEEDUP < seconds["highest"]:
        return {"float32_products": "onednn", "float32_products_relative_error": error["medium"]}
    torch.set_float32_matmul_precision("highest")
    return {"float32_products": "default", "float32_products_relative_error": error["highest"]}


def _linear_products(x: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return F.linear(x, weight), gradient @ weight, gradient.t() @ x


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


class CudaDevice(TorchDevice):
    """NVIDIA GPUs through CUDA (and whatever else answers to ``torch.cuda``)."""

    name = "cuda"
    pin_memory = True

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
        if torch.version.cuda is None and torch.version.hip is None:
            return f"torch {torch.__version__} was built without CUDA: install a CUDA build (https://pytorch.org)"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if torch.cuda.is_available():
                return None
        reason = " ".join(str(warning.message) for warning in caught) or "torch.cuda.is_available() is False"
        if shutil.which("nvidia-smi") is None:
            return f"no NVIDIA driver is installed (nvidia-smi is not on PATH): {reason}"
        return f"torch sees no GPU: {reason}; check `nvidia-smi` and CUDA_VISIBLE_DEVICES"

    def info(self) -> DeviceInfo:
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        return DeviceInfo(
            name=properties.name,
            count=torch.cuda.device_count(),
            driver=first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]),
            total_memory=properties.total_memory,
        )

    def select(self, local_rank: int) -> None:
        torch.cuda.set_device(local_rank)

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)
        torch.cuda.manual_seed_all(seed)

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def collective_backend(self) -> str:
        return "nccl"

    def reset_peak_memory(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def peak_memory(self) -> int | None:
        return torch.cuda.max_memory_allocated()

    def precisions(self) -> Sequence[Precision]:
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ("float32", "float16", "bfloat16")
        return ("float32", "float16")

    def peak_flops(self, precision: Precision) -> float | None:
        return cuda_peak_flops(torch.cuda.get_device_name(), precision)

    def environment_variables(self) -> Sequence[str]:
        return (
            "CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_MAX_CONNECTIONS", "CUBLAS_WORKSPACE_CONFIG",
            "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT",
            "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING",
            "NCCL_ALGO", "NCCL_PROTO", "NCCL_P2P_DISABLE", "NCCL_IB_DISABLE", "OMP_NUM_THREADS",
        )  # fmt: skip

    def tune(self) -> Mapping[str, Any]:
        """Keep float32 what it says, whatever this build's defaults are, and let attention choose its fused kernels."""
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        return {"tf32": False, "flash_attention": torch.backends.cuda.flash_sdp_enabled()}


def cuda_peak_flops(device_name: str, precision: Precision) -> float | None:
    """Peak dense FLOP/s of the GPU that calls itself ``device_name``, or None where it is not in the table."""
    if "MIG" in device_name:
        return None  # a slice of a GPU
    for pattern, float32, float16 in CudaDevice.PEAK_TFLOPS:
        if re.search(pattern, device_name):
            if precision == "bfloat16" and re.search(r"\b(T4|V100)", device_name):
                return None
            return (float32 if precision == "float32" else float16) * 1e12
    return None


def first_line(command: Sequence[str]) -> str | None:
    """First line that ``command`` prints, or None where it is not installed, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().partition("\n")[0] or None
