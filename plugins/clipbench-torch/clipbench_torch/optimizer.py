"""AdamW as a suite asks for it, by the fastest implementation that a device has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clipbench.api import OptimizerConfig


def build_optimizer(
    model: nn.Module, config: OptimizerConfig, place: torch.device
) -> tuple[torch.optim.Optimizer, str]:
    """AdamW over the model's parameters, and the name of its fastest implementation that works on ``place``."""
    kind = adamw_implementation(place)
    optimizer = torch.optim.AdamW(
        decay_groups(model, config),
        lr=0.0,
        betas=config.betas,
        eps=config.eps,
        **_adamw_flags(kind),
    )
    return optimizer, kind


def decay_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Parameter groups by weight decay: one group, or a second one without decay for all that is not a matrix."""
    parameters = list(model.parameters())
    if config.decay_norms_and_biases:
        return [{"params": parameters, "weight_decay": config.weight_decay}]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def adamw_implementation(place: torch.device) -> str:
    """Name of the first of "fused", "foreach" and "loop" that takes a correct step on ``place``.

    Tried rather than looked up: a device may be on torch's list of fused devices and still have no such kernel.
    """
    for kind in ("fused", "foreach"):
        parameter = nn.Parameter(torch.ones(4, device=place))
        parameter.grad = torch.ones_like(parameter)
        try:
            torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.0, **_adamw_flags(kind)).step()
        except (RuntimeError, NotImplementedError):
            continue
        # The first step of Adam is the learning rate, whatever the gradient's size.
        if torch.allclose(parameter.detach().cpu(), torch.full((4,), 0.9), atol=1e-4):
            return kind
    return "loop"


def _adamw_flags(kind: str) -> dict[str, Any]:
    return {"fused": True} if kind == "fused" else {"foreach": kind == "foreach"}


def steps_taken(optimizer: torch.optim.Optimizer) -> Tensor:
    """Steps that changed the weights, a scalar wherever the optimiser keeps it; those a scaler withheld do not count.

    A copy, so that it can be read when later steps have been taken.
    """
    for state in optimizer.state.values():
        return torch.as_tensor(state["step"]).detach().clone()
    return torch.zeros(())


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a float32 scalar on their device; waits for nothing."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    try:
        norms = torch._foreach_norm(gradients)  # what torch.nn.utils.get_total_norm calls, on releases without it too
    except (RuntimeError, NotImplementedError):
        norms = tuple(torch.linalg.vector_norm(gradient) for gradient in gradients)
    return torch.linalg.vector_norm(torch.stack(norms))
