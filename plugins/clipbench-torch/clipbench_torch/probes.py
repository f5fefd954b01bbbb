"""Questions to a device before anything is timed: does it compute in what it says, rightly, and wait when asked to?

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


def probe_device(device: TorchDevice, precision: Precision, local_rank: int) -> list[Probe]:
    """All probes of device ``local_rank`` for a run in ``precision``; one that raises has failed."""
    place = device.torch_device(local_rank)
    return [
        _ask("autocast", "run", lambda: probe_autocast(device, precision, place)),
        _ask("matmul", "run", lambda: probe_matmul(device, precision, place)),
        _ask("attention", "run", lambda: probe_attention(device, precision, place)),
        _ask("synchronize", "timing", lambda: probe_synchronize(device, place)),
    ]


def _ask(name: str, refuses: Literal["run", "timing"], question: Callable[[], Probe]) -> Probe:
    try:
        return question()
    except Exception as error:  # whatever a driver may raise, it is this probe's answer
        first_line = str(error).strip().partition("\n")[0]
        return Probe(name, False, f"it raised {type(error).__name__}: {first_line}", refuses)


# --- what it computes -----------------------------------------------------------------------------------------------


def probe_autocast(device: TorchDevice, precision: Precision, place: torch.device) -> Probe:
    """Whether a product under autocast really comes out in ``precision``."""
    if precision not in device.precisions():
        return Probe("autocast", False, f"{precision} is not offered; there are {', '.join(device.precisions())}")
    ones = torch.ones(8, 8, device=place)
    with device.autocast(precision):
        got = str((ones @ ones).dtype).removeprefix("torch.")
    detail = f"products in {precision} come out as {got}"
    if got != precision:
        detail += "; torch and the device's autocast do not suit each other, so choose another precision"
    return Probe("autocast", got == precision, detail, measured={"dtype": got})


def probe_matmul(device: TorchDevice, precision: Precision, place: torch.device) -> Probe:
    """Whether a linear layer and its gradients are as exact as ``precision`` should be.

    Beside a half precision, what is left in float32 is measured too, and does not decide.
    """
    x, weight, gradient = _random((256, 768), (256, 768), (256, 256))

    def products(x: Tensor, weight: Tensor, gradient: Tensor) -> Results:
        y = F.linear(x, weight)
        return (y, *torch.autograd.grad(y, (x, weight), gradient.to(y.dtype)))

    wanted = _exactly(products, x, weight, gradient)
    errors = {
        name: _worst_error(_on_device(device, name, place, products, x, weight, gradient), wanted)
        for name in dict.fromkeys((precision, "float32"))
    }
    return _verdict("matmul", errors, precision, errors[precision], device)


def probe_attention(device: TorchDevice, precision: Precision, place: torch.device) -> Probe:
    """Whether attention and its gradients agree with the definition, in the three forms that the model uses.

    They are ``full``, ``causal``, and ``masked``: the last block's one query of each row, with a mask of its own.
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
        wanted = _exactly(partial(_defined_attention, mask), *inputs)
        fused = partial(_attention_of_models, device, form, mask, DTYPES[precision])
        errors[form] = _worst_error(_on_device(device, precision, place, fused, *inputs), wanted)
    return _verdict("attention", errors, precision, max(errors.values()), device)


def _defined_attention(mask: Tensor | None, q: Tensor, k: Tensor, v: Tensor, gradient: Tensor) -> Results:
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    y = scores.softmax(-1) @ v
    return (y, *torch.autograd.grad(y, (q, k, v), gradient))


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
    given = mask.to(q.device) if form == "masked" and mask is not None else None
    # Autocast hands attention what its products made: queries, keys and values that are already short.
    short = (tensor.to(dtype) for tensor in (q, k, v))
    y = attend(device.attention_kind(dtype), *short, causal=form == "causal", visible=given)
    return (y, *torch.autograd.grad(y, (q, k, v), gradient.to(y.dtype)))


def _random(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)  # of its own: the run's random numbers stay as they were
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _exactly(function: Callable[..., Results], *inputs: Tensor) -> Results:
    return function(*(tensor.double().requires_grad_() for tensor in inputs))


def _on_device(
    device: TorchDevice, precision: Precision, place: torch.device, function: Callable[..., Results], *inputs: Tensor
) -> Results:
    there = [tensor.to(place).requires_grad_() for tensor in inputs]
    with device.autocast(precision):
        return function(*there)


def _worst_error(got: Results, wanted: Results) -> float:
    errors = [
        float((here.detach().cpu().double() - want).norm() / want.norm())
        for here, want in zip(got, (tensor.detach() for tensor in wanted), strict=True)
    ]
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def _verdict(name: str, errors: Mapping[str, float], precision: Precision, worst: float, device: TorchDevice) -> Probe:
    """The probe of relative errors by part, of which ``worst`` decides."""
    limit = TOLERANCES[precision]
    detail = f"relative error {worst:.1e}, {precision} allows {limit:.0e}"
    ok = worst <= limit
    if not ok and precision == "float32" and worst < WRONG:
        detail += f": it computes in something shorter; {device.float32_hint or 'choose --set precision=amp'}"
    elif not ok:
        detail += ": what comes out is wrong"
    measured = {part: float(f"{error:.4g}") if math.isfinite(error) else None for part, error in errors.items()}
    return Probe(name, ok, detail, measured={"limit": limit, "relative_error": measured})


# --- whether it waits -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waited:
    """Seconds that asking for a piece of work took, then waiting for the device, reading the result, and once more."""

    launch: float
    synchronize: float
    read: float
    read_again: float

    @property
    def whole(self) -> float:
        return self.launch + self.synchronize + self.read

    @property
    def early(self) -> bool:
        """Whether much of the work was still to be done when the wait was over."""
        return self.read - self.read_again > EARLY_SHARE * self.whole


def probe_synchronize(device: TorchDevice, place: torch.device) -> Probe:
    """Whether work is done when ``synchronize`` returns: reading its result must then take no longer than ever.

    A processor that pauses this process at the wrong moment looks as bad, but not again and again: one of two verdicts
    needs ROUNDS rounds that agree.
    """
    work = _work(place)
    rounds: list[Waited] = []
    while max(count := [sum(r.early == early for r in rounds) for early in (False, True)]) < ROUNDS:
        rounds.append(_round(work, device.synchronize))
    ok = count[False] == ROUNDS
    typical = sorted((r for r in rounds if r.early != ok), key=lambda r: r.whole)[ROUNDS // 2]
    measured = {part: round(seconds, 6) for part, seconds in vars(typical).items()}
    launch, waited, read, _ = (f"{1000 * seconds:.1f} ms" for seconds in measured.values())
    detail = f"{launch} to ask, {waited} to wait, {read} to read"
    if not ok:
        detail += ": synchronize() returns before the work is done, so no time taken here means anything"
    return Probe("synchronize", ok, detail, "timing", {"rounds": len(rounds), "seconds": measured})


def _round(work: Callable[[], Tensor], synchronize: Callable[[], None]) -> Waited:
    start = time.perf_counter()
    result = work()
    asked = time.perf_counter()
    synchronize()
    waited = time.perf_counter()
    float(result[0, 0])  # cannot be known before the work is done
    read = time.perf_counter()
    float(result[0, 0])  # what reading takes when there is nothing to wait for
    return Waited(asked - start, waited - asked, read - waited, time.perf_counter() - read)


def _work(place: torch.device) -> Callable[[], Tensor]:
    """Products of ``place`` that take about WORK_SECONDS together, each long against the asking for it."""
    size = SMALLEST_PRODUCT
    while True:
        matrix = torch.ones(size, size, device=place)
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
