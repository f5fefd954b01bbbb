"""Tests of a device before anything is timed: its precision, its results, and whether ``synchronize`` waits.

Each probe takes some tens of milliseconds and of megabytes, and draws nothing from the run's random numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from clipbench.api import Precision, Probe
from clipbench_torch.attention import attend
from clipbench_torch.device import DTYPES, TorchDevice

# Relative error (Frobenius norm) against float64. True float32 gives 3e-7 and TF32 4e-4 on the products below; for the
# halves it is eight units of rounding (2^-11 and 2^-8), where a product alone takes one and an attention two.
TOLERANCES: Mapping[Precision, float] = {"float32": 1e-4, "float16": 8 * 2**-11, "bfloat16": 8 * 2**-8}

WRONG = 0.1  # no float format in use is as coarse as this
ROUNDS = 4
EARLY_SHARE = 0.25
WORK_SECONDS, PRODUCT_SECONDS = 0.015, 0.001
SMALLEST_PRODUCT, LARGEST_PRODUCT, MOST_PRODUCTS = 256, 4096, 100

Results = tuple[Tensor, ...]


def probe_device(device: TorchDevice, precision: Precision) -> list[Probe]:
    """Return all probes of the selected device for a run in ``precision``; one that raises has failed."""
    torch_device = device.torch_device
    return [
        _probe("autocast", "run", lambda: probe_autocast(device, precision, torch_device)),
        _probe("matmul", "run", lambda: probe_matmul(device, precision, torch_device)),
        _probe("attention", "run", lambda: probe_attention(device, precision, torch_device)),
        _probe("synchronize", "timing", lambda: probe_synchronize(device, torch_device)),
    ]


def _probe(name: str, refuses: Literal["run", "timing"], probe: Callable[[], Probe]) -> Probe:
    try:
        return probe()
    except Exception as error:  # a driver may raise anything
        first_line = str(error).strip().partition("\n")[0]
        return Probe(name, False, f"it raised {type(error).__name__}: {first_line}", refuses)


# --- results --------------------------------------------------------------------------------------------------------


def probe_autocast(device: TorchDevice, precision: Precision, torch_device: torch.device) -> Probe:
    """Test whether a product under autocast has the type ``precision``."""
    if precision not in device.precisions():
        return Probe("autocast", False, f"{precision} is not offered; there are {', '.join(device.precisions())}")
    ones = torch.ones(8, 8, device=torch_device)
    with device.autocast(precision):
        dtype = str((ones @ ones).dtype).removeprefix("torch.")
    detail = f"products in {precision} have the type {dtype}"
    if dtype != precision:
        detail += "; torch and the device's autocast do not fit together, so choose another precision"
    return Probe("autocast", dtype == precision, detail, measured={"dtype": dtype})


def probe_matmul(device: TorchDevice, precision: Precision, torch_device: torch.device) -> Probe:
    """Test whether a linear layer and its gradients are as exact as ``precision`` should be.

    Beside a half precision, float32 is measured too; it does not decide.
    """
    x, weight, gradient = _random((256, 768), (256, 768), (256, 256))

    def products(x: Tensor, weight: Tensor, gradient: Tensor) -> Results:
        y = F.linear(x, weight)
        return (y, *_gradients(y, (x, weight), gradient))

    exact = _in_float64(products, x, weight, gradient)
    errors = {
        name: _worst_error(_on_device(device, name, torch_device, products, x, weight, gradient), exact)
        for name in dict.fromkeys((precision, "float32"))
    }
    return _verdict("matmul", errors, precision, errors[precision], device)


def probe_attention(device: TorchDevice, precision: Precision, torch_device: torch.device) -> Probe:
    """Test whether attention and its gradients agree with the definition, in the three forms that the model uses.

    They are ``full``, ``causal``, and ``masked``: the last block's one query of each row, with a mask for each.
    """
    length = 77
    last_seen = torch.tensor([[[[length // 2]]], [[[length - 1]]]])
    masks = {
        "full": None,
        "causal": torch.ones(length, length, dtype=torch.bool).tril(),
        "masked": torch.arange(length) <= last_seen,
    }
    errors = {}
    for form, mask in masks.items():
        queries = 1 if form == "masked" else length
        inputs = _random((2, 4, queries, 64), (2, 4, length, 64), (2, 4, length, 64), (2, 4, queries, 64))
        exact = _in_float64(partial(_defined_attention, mask), *inputs)
        fused = partial(_attention_of_models, device, form, mask, DTYPES[precision])
        errors[form] = _worst_error(_on_device(device, precision, torch_device, fused, *inputs), exact)
    return _verdict("attention", errors, precision, max(errors.values()), device)


def _defined_attention(mask: Tensor | None, q: Tensor, k: Tensor, v: Tensor, gradient: Tensor) -> Results:
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    y = scores.softmax(-1) @ v
    return (y, *_gradients(y, (q, k, v), gradient))


def _attention_of_models(
    device: TorchDevice,
    form: str,
    mask: Tensor | None,
    dtype: torch.dtype,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gradient: Tensor,
) -> Results:
    visible = mask.to(q.device) if form == "masked" and mask is not None else None
    # Under autocast, queries, keys and values come out of products and have their type.
    cast = (tensor.to(dtype) for tensor in (q, k, v))
    y = attend(device.attention_backend(dtype), *cast, causal=form == "causal", visible=visible)
    return (y, *_gradients(y, (q, k, v), gradient))


def _gradients(y: Tensor, inputs: Results, gradient: Tensor) -> Results:
    """Return the gradients of ``inputs`` for this one of ``y``, in the type of ``y``.

    Not as an argument of autograd: torch imports a whole algebra system to compare its shape, which takes 0.3 s.
    """
    return torch.autograd.grad((y * gradient.to(y.dtype)).sum(), inputs)


def _random(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)  # not the run's, which stays as it is
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _in_float64(function: Callable[..., Results], *inputs: Tensor) -> Results:
    return function(*(tensor.double().requires_grad_() for tensor in inputs))


def _on_device(
    device: TorchDevice,
    precision: Precision,
    torch_device: torch.device,
    function: Callable[..., Results],
    *inputs: Tensor,
) -> Results:
    moved = [tensor.to(torch_device).requires_grad_() for tensor in inputs]
    with device.autocast(precision):
        return function(*moved)


def _worst_error(results: Results, exact: Results) -> float:
    errors = [
        float((result.detach().cpu().double() - right).norm() / right.norm())
        for result, right in zip(results, (tensor.detach() for tensor in exact), strict=True)
    ]
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def _verdict(name: str, errors: Mapping[str, float], precision: Precision, worst: float, device: TorchDevice) -> Probe:
    """Return the probe for these relative errors by part; ``worst`` decides."""
    limit = TOLERANCES[precision]
    detail = f"relative error {worst:.1e}, {precision} allows {limit:.0e}"
    ok = worst <= limit
    if not ok and precision == "float32" and worst < WRONG:
        detail += f": it computes in a shorter format; {device.float32_hint or 'choose --set precision=amp'}"
    elif not ok:
        detail += ": the results are wrong"
    measured = {part: float(f"{error:.4g}") if math.isfinite(error) else None for part, error in errors.items()}
    return Probe(name, ok, detail, measured={"limit": limit, "relative_error": measured})


# --- waiting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waited:
    """Seconds of one round: launching the work, synchronising, reading the result, and reading it again."""

    launch: float
    synchronize: float
    read: float
    read_again: float

    @property
    def total(self) -> float:
        return self.launch + self.synchronize + self.read

    @property
    def early(self) -> bool:
        """Whether ``synchronize`` returned while much of the work was still to be done."""
        return self.read - self.read_again > EARLY_SHARE * self.total


def probe_synchronize(device: TorchDevice, torch_device: torch.device) -> Probe:
    """Test whether work is done when ``synchronize`` returns: reading its result must then take no extra time.

    A pause of this process at the wrong moment looks the same, but does not repeat: either verdict needs ROUNDS rounds
    that agree.
    """
    work = _work(torch_device)
    rounds: list[Waited] = []
    while max(count := [sum(r.early == early for r in rounds) for early in (False, True)]) < ROUNDS:
        rounds.append(_round(work, device.synchronize))
    ok = count[False] == ROUNDS
    typical = sorted((r for r in rounds if r.early != ok), key=lambda r: r.total)[ROUNDS // 2]
    measured = {part: round(seconds, 6) for part, seconds in vars(typical).items()}
    launch, waited, read, _ = (f"{1000 * seconds:.1f} ms" for seconds in measured.values())
    detail = f"{launch} to launch, {waited} to wait, {read} to read"
    if not ok:
        detail += ": synchronize() returns before the work is done, so times measured here mean nothing"
    return Probe("synchronize", ok, detail, "timing", {"rounds": len(rounds), "seconds": measured})


def _round(work: Callable[[], Tensor], synchronize: Callable[[], None]) -> Waited:
    start = time.perf_counter()
    result = work()
    launched = time.perf_counter()
    synchronize()
    waited = time.perf_counter()
    float(result[0, 0])  # needs the work to be done
    read = time.perf_counter()
    float(result[0, 0])  # what reading takes when there is nothing to wait for
    return Waited(launched - start, waited - launched, read - waited, time.perf_counter() - read)


def _work(torch_device: torch.device) -> Callable[[], Tensor]:
    """Return a function that computes for about WORK_SECONDS, in products that each take longer than their launch."""
    size = SMALLEST_PRODUCT
    while True:
        matrix = torch.ones(size, size, device=torch_device)
        float((matrix @ matrix)[0, 0])  # the first one may load kernels
        start = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        seconds = time.perf_counter() - start
        if seconds >= PRODUCT_SECONDS or size >= LARGEST_PRODUCT:
            break
        size *= 2
    products = max(1, min(MOST_PRODUCTS, round(WORK_SECONDS / seconds)))

    def work() -> Tensor:
        for _ in range(products):
            result = matrix @ matrix
        return result

    return work
