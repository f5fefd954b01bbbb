"""torch.compile for the towers: whether it works here, and compilation before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clipbench.api import ClipConfig, LearnerJob, NotReadyError, UsageError
from clipbench_torch.device import TorchDevice

LENGTHS = 16  # captions are padded to a multiple, so that a mode with CUDA graphs records few of them
NO_GRAPHS = "default"


def compile_towers(towers: nn.Module, job: LearnerJob, device: TorchDevice, torch_device: torch.device) -> None:
    """Have ``towers`` compiled when they are first called, in the job's mode.

    Raises UsageError for a mode that does not work with micro-batches, NotReadyError where the device has no compiler.
    """
    if job.accumulate > 1 and job.compile != NO_GRAPHS:
        raise UsageError(
            f"train.compile: {job.compile} with train.accumulate: {job.accumulate} is not offered: CUDA graphs write a "
            f"micro-batch's gradients over those of the one before; use train.compile: {NO_GRAPHS}"
        )
    options = {"mode": job.compile, "backend": device.compile_backend}
    reason = device.compiles() or compiler_failure(torch_device, options)
    if reason:
        raise NotReadyError(
            f"train.compile: {job.compile}: torch.compile does not work on device {device.name!r} here "
            f"({reason}); leave train.compile out, or null, to run without it"
        )
    towers.compile(**options)


def compiler_failure(torch_device: torch.device, options: Mapping[str, Any]) -> str | None:
    """Compile a product, forward and backward; return why that fails on ``torch_device``, or None."""

    def product(x: Tensor) -> Tensor:
        return (x @ x.t()).relu().sum()

    x = torch.ones(4, 4, device=torch_device, requires_grad=True)
    try:
        torch.compile(product, **options)(x).backward()
        right = x.grad is not None and float(x.grad.sum()) == 128.0
    except Exception as error:  # compilers and back ends raise what they like
        cause = getattr(error, "inner_exception", error)
        return str(cause).strip().partition("\n")[0] or type(cause).__name__
    return None if right else "what it compiled computes something else"


def padded_length(length: int, context: int) -> int:
    """Return the length to which a batch is padded whose longest caption has ``length`` tokens."""
    return min(context, -(-length // LENGTHS) * LENGTHS)


def compile_lengths(towers: nn.Module, pixels: Tensor, config: ClipConfig) -> None:
    """Run ``towers`` forward and backward with captions of every padded length, so that no timed step compiles.

    Leaves meaningless gradients in the parameters.
    """
    for length in sorted({padded_length(n, config.context_length) for n in range(1, config.context_length + 1)}):
        tokens = torch.zeros(len(pixels), length, dtype=torch.int32)
        tokens[:, -1] = config.vocab_size - 1
        features = towers(pixels, with_any_length(tokens.to(pixels.device)))
        torch.autograd.backward(features, [torch.zeros_like(feature) for feature in features])


def with_any_length(tokens: Tensor) -> Tensor:
    """Mark the captions' length as one that changes, so that one compilation serves every length; return them."""
    torch._dynamo.maybe_mark_dynamic(tokens, 1)
    return tokens
