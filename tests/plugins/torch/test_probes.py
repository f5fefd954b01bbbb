"""Probes: an honest device passes them all, and every kind of lie is found out by the one that looks for it."""

import time
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from clipbench.api import Probe
from clipbench_torch import probes
from clipbench_torch.attention import MATH, SDPA
from clipbench_torch.device import CpuDevice
from clipbench_torch.engine import TorchEngine

NAMES = ["autocast", "matmul", "attention", "synchronize"]


def ask(device, precision="float32"):
    return {probe.name: probe for probe in TorchEngine().probe(device, precision)}


def failed(device, precision="float32"):
    return [name for name, probe in ask(device, precision).items() if not probe.ok]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_processor_passes(precision):
    answers = ask(CpuDevice(), precision)
    assert list(answers) == NAMES
    assert all(probe.ok for probe in answers.values()), answers
    assert [probe.refuses for probe in answers.values()] == ["run", "run", "run", "timing"]
    limit = probes.TOLERANCES[precision]
    for name in ("matmul", "attention"):
        assert 0 < max(answers[name].measured["relative_error"].values()) < limit / 2
    assert answers["matmul"].measured["relative_error"]["float32"] < 1e-5


def test_probes_draw_no_random_numbers_of_the_run():
    state = torch.get_rng_state()
    ask(CpuDevice())
    assert torch.equal(torch.get_rng_state(), state)


# --- lies about precision -------------------------------------------------------------------------------------------


class AutocastDoesNothing(CpuDevice):
    def autocast(self, precision):
        return nullcontext()


class AutocastToFloat16(CpuDevice):
    """As an extension whose autocast takes no dtype would, if bfloat16 were asked of it."""

    def autocast(self, precision):
        return super().autocast("float16" if precision == "bfloat16" else precision)


class AutocastInFloat32(CpuDevice):
    """Mixed precision that was never asked for."""

    def autocast(self, precision):
        return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("device", "precision", "got"),
    [
        (AutocastDoesNothing(), "bfloat16", "float32"),
        (AutocastToFloat16(), "bfloat16", "float16"),
        (AutocastInFloat32(), "float32", "bfloat16"),
    ],
)
def test_another_precision_under_its_name(device, precision, got):
    probe = ask(device, precision)["autocast"]
    assert (probe.ok, probe.refuses, probe.measured) == (False, "run", {"dtype": got})
    assert f"products in {precision} have the type {got}" in probe.detail


def test_a_precision_that_is_not_offered():
    class Float32Only(CpuDevice):
        def precisions(self):
            return ("float32",)

    probe = ask(Float32Only(), "float16")["autocast"]
    assert not probe.ok
    assert probe.detail == "float16 is not offered; there are float32"


def shortened(tensor, bits):
    """The float32 tensor with so many bits of mantissa, as TF32 (10) and bfloat16 (7) keep of each factor."""
    step = 1 << (23 - bits)
    words = tensor.detach().contiguous().view(torch.int32)
    return ((words + step // 2) & -step).view(torch.float32)


class ShortLinear(torch.autograd.Function):
    """A linear layer on factors of so many bits."""

    @staticmethod
    def forward(ctx, x, weight, bits):
        ctx.save_for_backward(x, weight)
        ctx.bits = bits
        return shortened(x, bits) @ shortened(weight, bits).t()

    @staticmethod
    def backward(ctx, gradient):
        x, weight = (shortened(tensor, ctx.bits) for tensor in ctx.saved_tensors)
        gradient = shortened(gradient.float(), ctx.bits)
        return gradient @ weight, gradient.t() @ x, None


def short_products(monkeypatch, bits, under_autocast):
    """Have the device shorten its factors, under autocast or outside it; the reference, in float64, stays exact."""
    exact = F.linear

    def linear(x, weight):
        lies = x.dtype == torch.float32 and torch.is_autocast_enabled("cpu") == under_autocast
        return ShortLinear.apply(x, weight, bits) if lies else exact(x, weight)

    monkeypatch.setattr(F, "linear", linear)


@pytest.mark.parametrize(("bits", "size"), [(10, 4e-4), (7, 3e-3)], ids=["TF32", "bfloat16"])
def test_shorter_products_are_not_float32(monkeypatch, bits, size):
    short_products(monkeypatch, bits, under_autocast=False)
    probe = ask(CpuDevice())["matmul"]
    assert (probe.ok, probe.refuses) == (False, "run")
    assert probe.measured["relative_error"]["float32"] == pytest.approx(size, rel=0.3)
    assert probe.detail.endswith("it computes in a shorter format; choose --set precision=amp")
    device = CpuDevice()
    device.float32_hint = "set EXACT=1"
    assert ask(device)["matmul"].detail.endswith("a shorter format; set EXACT=1")
    # Beside a half precision it is told, and does not decide.
    probe = ask(device, "bfloat16")["matmul"]
    assert probe.ok
    assert probe.measured["relative_error"]["float32"] == pytest.approx(size, rel=0.3)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_wrong_products_in_a_half_precision(monkeypatch, precision):
    short_products(monkeypatch, 3, under_autocast=True)  # as eight-bit floats have
    assert failed(CpuDevice()) == []
    probe = ask(CpuDevice(), precision)["matmul"]
    assert not probe.ok
    assert "the results are wrong" in probe.detail


def test_a_wrong_gradient(monkeypatch):
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return x @ weight.t()

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            return gradient @ weight, (gradient.t() @ x) * 1.01

    exact = F.linear
    monkeypatch.setattr(F, "linear", lambda x, w: Wrong.apply(x, w) if x.dtype == torch.float32 else exact(x, w))
    probe = ask(CpuDevice())["matmul"]
    assert not probe.ok
    assert probe.measured["relative_error"]["float32"] == pytest.approx(0.01, rel=0.01)


# --- lies about attention -------------------------------------------------------------------------------------------


def lying_attention(monkeypatch, lie):
    honest = F.scaled_dot_product_attention
    monkeypatch.setattr(CpuDevice, "attention_backend", lambda *_: SDPA)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, **options: lie(honest, q, k, v, options))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("lie", "wrong"),
    [
        (lambda honest, q, k, v, options: honest(q, k, v, attn_mask=options["attn_mask"]), "causal"),
        (lambda honest, q, k, v, options: honest(q, k, v, is_causal=options["is_causal"]), "masked"),
        (lambda honest, q, k, v, options: honest(q, k, v, **options, scale=1.0), "full"),
        (lambda honest, q, k, v, options: honest(q, k, v, **options) * float("nan"), "full"),
    ],
    ids=["ignores causality", "ignores the mask", "does not scale", "not a number"],
)
def test_attention_that_is_not_attention(monkeypatch, lie, wrong, precision):
    lying_attention(monkeypatch, lie)
    device = CpuDevice()
    assert failed(device, precision) == ["attention"]
    probe = ask(device, precision)["attention"]
    assert probe.refuses == "run"
    error = probe.measured["relative_error"][wrong]
    assert error is None or error > 0.1
    assert probe.detail.endswith("the results are wrong")


def test_attention_from_products_is_probed_too(monkeypatch):
    monkeypatch.setattr(CpuDevice, "attention_backend", lambda *_: MATH)
    assert failed(CpuDevice(), "float32") == []
    honest = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda scores, dim: honest(scores * 1.1, dim))
    assert failed(CpuDevice(), "float32") == ["attention"]


def test_a_probe_that_raises_has_failed(monkeypatch):
    def lacking(honest, q, k, v, options):
        raise NotImplementedError("Could not run 'aten::attention'\nwith a hundred lines of advice")

    lying_attention(monkeypatch, lacking)
    probe = ask(CpuDevice())["attention"]
    assert probe == Probe("attention", False, "it raised NotImplementedError: Could not run 'aten::attention'", "run")


# --- lies about waiting ---------------------------------------------------------------------------------------------


class Queue(TorchDispatchMode):
    """The processor as if it were asynchronous: a product is done ``seconds`` after those before it."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.done_at = seconds, 0.0

    def wait(self):
        time.sleep(max(0.0, self.done_at - time.perf_counter()))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.mm.default:
            self.done_at = max(self.done_at, time.perf_counter()) + self.seconds
        if function is torch.ops.aten._local_scalar_dense.default:
            self.wait()
        return function(*args, **(kwargs or {}))


class Asynchronous(CpuDevice):
    def __init__(self, synchronizes):
        super().__init__()
        self.queue, self.synchronizes = Queue(seconds=0.004), synchronizes

    def synchronize(self):
        if self.synchronizes:
            self.queue.wait()


def probe_in_queue(device):
    with device.queue:
        return probes.probe_synchronize(device, torch.device("cpu"))


def test_a_device_that_waits():
    probe = probe_in_queue(Asynchronous(synchronizes=True))
    assert probe.ok
    seconds = probe.measured["seconds"]
    assert seconds["synchronize"] > seconds["read"]


def test_a_device_that_does_not_wait():
    probe = probe_in_queue(Asynchronous(synchronizes=False))
    assert (probe.ok, probe.refuses) == (False, "timing")
    assert "synchronize() returns before the work is done" in probe.detail
    assert probe.measured["seconds"]["read"] > probe.measured["seconds"]["synchronize"]


def test_a_device_whose_every_read_is_slow_is_no_liar():
    assert not probes.Waited(launch=0.001, synchronize=0.015, read=0.03, read_again=0.03).early
    assert probes.Waited(launch=0.001, synchronize=0.0, read=0.045, read_again=0.03).early


@pytest.mark.parametrize(
    ("early", "ok", "rounds"),
    [("....", True, 4), ("!!!!", False, 4), ("!!!....", True, 7), (".!!.!!", False, 6), ("!....", True, 5)],
)
def test_one_verdict_needs_rounds_that_agree(monkeypatch, early, ok, rounds):
    told = iter(early)

    def told_round(work, synchronize):
        early = next(told) == "!"
        return probes.Waited(0.001, 0.001, 0.02, 0.0) if early else probes.Waited(0.02, 0.001, 0.001, 0.001)

    monkeypatch.setattr(probes, "_round", told_round)
    probe = probes.probe_synchronize(CpuDevice(), torch.device("cpu"))
    assert (probe.ok, probe.measured["rounds"]) == (ok, rounds)
    assert probe.measured["seconds"]["read"] == (0.001 if ok else 0.02)
