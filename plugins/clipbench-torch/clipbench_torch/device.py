"""Devices of the torch engine: what it asks of any, and the processor."""

from __future__ import annotations

import json
import math
import os
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
from clipbench_torch.attention import KERNEL, PRODUCTS, AttentionKind
from clipbench_torch.processor import cpuinfo, processor_flags

DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
# Who computes float32 products on a processor, and the matmul precision at which torch asks them.
PATHS = {"default": "highest", "onednn": "medium"}
# True float32 gives 3e-7 on the product below, TF32 and bfloat16 give 4e-4 and 3e-3.
FLOAT32_ERROR_LIMIT = 1e-5
TIMED_PRODUCTS = 5
# Where oneDNN is worth it, it is 1.1 to 2 times as fast. A gain that noise could turn round is not taken, for two runs
# on one machine have to compute alike: by the time measured below, 1.10 was never seen as less than 1.08 there.
WORTHWHILE_SPEEDUP = 1.05


class TorchDevice:
    """A Device for the torch engine: subclass it, and override what differs from stock PyTorch.

    Beyond clipbench.api.Device, the engine asks for ``torch_device(local_rank)`` (where tensors and the model go) and
    ``pin_memory`` (whether copies from page-locked host memory are faster); ``float32_hint`` says how to get products
    in full float32 where they are not. A subclass sets ``name``, the device type that torch knows it by, and writes at
    least ``unavailable``, ``info``, ``synchronize`` and ``collective_backend``. ``precisions``, ``autocast`` and
    ``grad_scaler`` suit every device type that ``torch.autocast`` supports.
    """

    name: str
    pin_memory: bool = False
    float32_hint: str = ""

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

    def free_memory(self) -> int | None:
        """Bytes of the selected device that are free, for ``clipbench doctor``."""
        return None

    def others(self) -> Sequence[str] | None:
        """What else is done on these devices, a line each, for ``clipbench doctor``; None where it cannot be known.

        Asked before ``select``.
        """
        return None

    def precisions(self) -> Sequence[Precision]:
        return ("float32", "float16", "bfloat16")

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.name, dtype=DTYPES[precision])

    def grad_scaler(self, precision: Precision) -> Any:  # noqa: ANN401 -- vendors bring scalers of their own
        return torch.amp.GradScaler(self.name) if precision == "float16" else None

    def attention_kind(self, dtype: torch.dtype) -> AttentionKind:
        """How models attend on this device to tensors of this type; asked of a tuned device."""
        return KERNEL

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

    def attention_kind(self, dtype: torch.dtype) -> AttentionKind:
        """torch's kernel for processors cuts attention into many small products. Those in bfloat16 are slow without
        AMX, and those in float32 are slow as soon as float32 products go to oneDNN.

        A fact of the processor decides and not a stopwatch: two runs on one machine have to round alike.
        """
        if dtype == torch.bfloat16:
            return PRODUCTS if "avx512_bf16" in processor_flags() and "amx_bf16" not in processor_flags() else KERNEL
        to_onednn = dtype == torch.float32 and torch.get_float32_matmul_precision() != PATHS["default"]
        return PRODUCTS if to_onednn else KERNEL

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
    linear layer's output and its two gradients, by Frobenius norm. Takes some 0.2 s. A run that goes on
    (CLIPBENCH_TUNING has what it was tuned to) keeps its choice where that is still float32.
    """
    generator = torch.Generator().manual_seed(0)
    products = [torch.randn(size, generator=generator) for size in ((256, 768), (1536, 768), (256, 1536))]
    # A part is enough to tell formats apart, and float64 is slow.
    few = [
        tensor[:rows, :columns] for tensor, rows, columns in zip(products, (48, 512, 48), (768, 768, 512), strict=True)
    ]
    exact = _linear_products(*(tensor.double() for tensor in few))
    error = dict.fromkeys(PATHS, 0.0)
    for path, precision in PATHS.items():
        torch.set_float32_matmul_precision(precision)
        for got, want in zip(_linear_products(*few), exact, strict=True):
            error[path] = max(error[path], float((got.double() - want).norm() / want.norm()))
    path = json.loads(os.environ.get("CLIPBENCH_TUNING") or "{}").get("float32_products")
    if path is None:
        path = "onednn" if _onednn_is_faster(*products) else "default"
    if error["onednn"] >= FLOAT32_ERROR_LIMIT:
        path = "default"
    torch.set_float32_matmul_precision(PATHS[path])
    return {"float32_products": path, "float32_products_relative_error": error[path]}


def _onednn_is_faster(x: Tensor, weight: Tensor, gradient: Tensor) -> bool:
    seconds = {path: [math.inf] * 3 for path in PATHS}
    threads = torch.get_num_threads()
    # One thread and its own time: on a busy machine, wall time says who was interrupted and not what is faster.
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
    """What ``command`` prints, or None where it is not installed, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()
