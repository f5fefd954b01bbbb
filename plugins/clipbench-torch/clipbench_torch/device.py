"""Devices of the torch engine: what it asks of any, and the processor."""

from __future__ import annotations

import math
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clipbench.api import DeviceInfo, Precision
from clipbench_torch.attention import MATH, SDPA, AttentionBackend
from clipbench_torch.processor import cpuinfo, processor_flags

DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
# Libraries that compute float32 products on a processor, and the matmul precision at which torch calls each.
PATHS = {"default": "highest", "onednn": "medium"}
# True float32 gives 3e-7 on the product below, TF32 and bfloat16 give 4e-4 and 3e-3.
FLOAT32_ERROR_LIMIT = 1e-5
TIMED_PRODUCTS = 5
# Where oneDNN is worth it, it is 1.1 to 2 times as fast. A gain within the noise is not taken, because two runs on one
# machine must compute alike: a true 1.10 was never measured below 1.08.
WORTHWHILE_SPEEDUP = 1.05


class TorchDevice:
    """A Device for the torch engine: everything that the engine asks, and all that clipbench.api.Device does.

    ``clipbench_torch.accelerator.Accelerator`` has all of this for accelerators that follow torch's conventions. Any
    other subclass sets ``name`` and writes at least ``unavailable``, ``info``, ``synchronize`` and
    ``collective_backend``. ``precisions``, ``autocast`` and ``grad_scaler`` suit every device type that
    ``torch.autocast`` supports.

    ``pin_memory``: whether copies from page-locked host memory are faster. ``float32_hint``: how to get full float32
    where a product is shorter. ``compile_backend``: torch.compile's back end, by name or as a function.
    """

    name: str
    _local_rank: int = 0
    pin_memory: bool = False
    float32_hint: str = ""
    compile_backend: str | Callable[..., Any] = "inductor"

    # --- what the engine asks of its devices ------------------------------------------------------------------------

    @property
    def torch_device(self) -> torch.device:
        """Return the device that was selected."""
        return torch.device(self.name, self._local_rank)

    def seed(self, seed: int) -> None:
        """Seed torch's generators, the device's included, for models that draw random numbers."""
        torch.manual_seed(seed)

    def synchronize(self) -> None:
        """Return when all work given to the device has been done."""
        raise NotImplementedError

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        """Return a context in which products are computed in ``precision``."""
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.torch_device.type, dtype=DTYPES[precision])

    def grad_scaler(self, precision: Precision) -> Any:  # noqa: ANN401 -- vendors bring scalers of their own
        """Return a gradient scaler for ``precision``, or None where none is needed."""
        return torch.amp.GradScaler(self.torch_device.type) if precision == "float16" else None

    def collective_backend(self) -> str:
        """Return the back end of torch.distributed that connects these devices."""
        raise NotImplementedError

    def attention_backend(self, dtype: torch.dtype) -> AttentionBackend:
        """Return how models compute attention of tensors of this type here; called after ``tune``."""
        return SDPA

    def compiles(self) -> str | None:
        """Return why torch.compile cannot be used here, or None where it can or must be tried."""
        return None

    # --- what the core asks of any device ---------------------------------------------------------------------------

    def unavailable(self) -> str | None:
        """Return why this device cannot be used here and what to do about it, or None when it can."""
        raise NotImplementedError

    def others(self) -> Sequence[str] | None:
        """Return a line for each other process on the devices, or None where that cannot be known."""
        return None

    def select(self, local_rank: int) -> None:
        """Make device ``local_rank`` this process's own."""
        self._local_rank = local_rank

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Turn on what is fast and exact here, as in ``earlier`` if given; return what was turned on."""
        return {}

    def info(self) -> DeviceInfo:
        """Return what a result records of the device."""
        raise NotImplementedError

    def precisions(self) -> Sequence[Precision]:
        """Return the supported precisions; the first that is not float32 is what ``amp`` means here."""
        return ("float32", "float16", "bfloat16")

    def peak_flops(self, precision: Precision) -> float | None:
        """Return the peak FLOP/s of one device in ``precision``, or None where it is not known."""
        return None

    def free_memory(self) -> int | None:
        """Return the free bytes of the selected device, or None where that cannot be known."""
        return None

    def reset_peak_memory(self) -> None:
        """Start a new peak; do nothing where peaks are not counted."""

    def peak_memory(self) -> int | None:
        """Return the peak bytes in use since the last reset, or None where that cannot be known."""
        return None

    def environment_variables(self) -> Sequence[str]:
        """Return the names of environment variables that change numerics or speed."""
        return ()


class CpuDevice(TorchDevice):
    """The processor. Its memory is the host's, which the core records, so it reports no peak of its own."""

    name = "cpu"

    def __init__(self) -> None:
        self._products: Mapping[str, Any] | None = None

    def unavailable(self) -> str | None:
        return None

    def info(self) -> DeviceInfo:
        return DeviceInfo(name=_processor_name(), count=1)

    def synchronize(self) -> None:
        """Do nothing: work is done when the call that asked for it returns."""

    def collective_backend(self) -> str:
        return "gloo"

    @property
    def torch_device(self) -> torch.device:
        return torch.device("cpu")

    def precisions(self) -> Sequence[Precision]:
        # bfloat16 first: no processor in common use has fast float16 products.
        return ("float32", "bfloat16", "float16")

    def attention_backend(self, dtype: torch.dtype) -> AttentionBackend:
        """Return MATH where torch's kernel is slow.

        The kernel cuts attention into many small products. Those in bfloat16 are slow without AMX, and those in float32
        are slow when float32 products go to oneDNN. The processor's flags decide, not a measurement: two runs on one
        machine must round alike.
        """
        if dtype == torch.bfloat16:
            return MATH if "avx512_bf16" in processor_flags() and "amx_bf16" not in processor_flags() else SDPA
        to_onednn = dtype == torch.float32 and torch.get_float32_matmul_precision() != PATHS["default"]
        return MATH if to_onednn else SDPA

    def environment_variables(self) -> Sequence[str]:
        return (
            "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES",
            "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME",
            "MKL_NUM_THREADS", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY",
            "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA", "LD_PRELOAD", "MALLOC_CONF",
        )  # fmt: skip

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Send float32 products to oneDNN where that is faster and still float32.

        torch sends them there at matmul precision "medium", which also permits bfloat16, and some processors then use
        it. So products are compared with float64 before the setting is kept.
        """
        if self._products is None:  # once: a second timing might decide otherwise
            self._products = choose_float32_products((earlier or {}).get("float32_products"))
        return self._products


def choose_float32_products(earlier: str | None = None) -> dict[str, Any]:
    """Keep matmul precision "medium" if its products are true float32 and faster than the default's here.

    Returns ``float32_products`` ("onednn" or "default") and their relative error against float64: the worst of a
    linear layer's output and its two gradients, by Frobenius norm. Timing takes about 0.2 s. An ``earlier`` choice is
    kept without it, unless its products are not float32 here.
    """
    generator = torch.Generator().manual_seed(0)
    products = [torch.randn(size, generator=generator) for size in ((256, 768), (1536, 768), (256, 1536))]
    # A part is enough to tell formats apart, and float64 is slow.
    parts = [
        tensor[:rows, :columns] for tensor, rows, columns in zip(products, (48, 512, 48), (768, 768, 512), strict=True)
    ]
    exact = _linear_products(*(tensor.double() for tensor in parts))
    error = dict.fromkeys(PATHS, 0.0)
    for path, precision in PATHS.items():
        torch.set_float32_matmul_precision(precision)
        for got, want in zip(_linear_products(*parts), exact, strict=True):
            error[path] = max(error[path], float((got.double() - want).norm() / want.norm()))
    path = earlier if earlier in PATHS else ("onednn" if _onednn_is_faster(*products) else "default")
    if error["onednn"] >= FLOAT32_ERROR_LIMIT:
        path = "default"
    torch.set_float32_matmul_precision(PATHS[path])
    return {"float32_products": path, "float32_products_relative_error": error[path]}


def _onednn_is_faster(x: Tensor, weight: Tensor, gradient: Tensor) -> bool:
    seconds = {path: [math.inf] * 3 for path in PATHS}
    threads = torch.get_num_threads()
    # One thread and its CPU time: on a busy machine, wall time measures interruptions.
    torch.set_num_threads(1)
    for _ in range(TIMED_PRODUCTS):
        for path, best in seconds.items():
            torch.set_float32_matmul_precision(PATHS[path])
            for i, product in enumerate(_LINEAR_PRODUCTS):
                start = time.thread_time()
                product(x, weight, gradient)
                best[i] = min(best[i], time.thread_time() - start)
    torch.set_num_threads(threads)
    return sum(seconds["onednn"]) * WORTHWHILE_SPEEDUP < sum(seconds["default"])


# A linear layer's output, and the gradients of its input and of its weight.
_LINEAR_PRODUCTS: Sequence[Callable[[Tensor, Tensor, Tensor], Tensor]] = (
    lambda x, weight, gradient: F.linear(x, weight),
    lambda x, weight, gradient: gradient @ weight,
    lambda x, weight, gradient: gradient.t() @ x,
)


def _linear_products(x: Tensor, weight: Tensor, gradient: Tensor) -> list[Tensor]:
    return [product(x, weight, gradient) for product in _LINEAR_PRODUCTS]


def _processor_name() -> str:
    return cpuinfo("model name") or platform.processor() or platform.machine()


def lines_of(command: Sequence[str]) -> list[str] | None:
    """Return the lines that ``command`` prints, or None where it is not installed, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()
