"""AdamW with a suite's settings, in the fastest implementation that works on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clipbench.api import OptimizerConfig


def _uncompiled(method: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(method, "__wrapped__", method)


class AdamW(torch.optim.AdamW):
    """torch's own AdamW without the wrappers that keep its compiler away.

    Their first call imports the compiler, which takes about a second of every start; optimisers are not compiled here.
    """

    add_param_group = _uncompiled(torch.optim.AdamW.add_param_group)
    zero_grad = _uncompiled(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(_uncompiled(torch.optim.AdamW.step))


def build_optimizer(
    model: nn.Module, config: OptimizerConfig, torch_device: torch.device
) -> tuple[torch.optim.Optimizer, str]:
    """Return AdamW over the model's parameters, and the name of its implementation, the fastest that works here."""
    implementation = adamw_implementation(torch_device)
    optimizer = AdamW(
        decay_groups(model, config),
        lr=0.0,
        betas=config.betas,
        eps=config.eps,
        **_adamw_flags(implementation),
    )
    return optimizer, implementation


def decay_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Return parameter groups by weight decay: one, or a second one without decay for all that is not a matrix."""
    parameters = list(model.parameters())
    if config.decay_norms_and_biases:
        return [{"params": parameters, "weight_decay": config.weight_decay}]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def adamw_implementation(torch_device: torch.device) -> str:
    """Return the first of "fused", "foreach" and "loop" that takes a correct step on ``torch_device``.

    Tried, not looked up: a device may be on torch's list of fused devices and still lack the kernel.
    """
    for implementation in ("fused", "foreach"):
        parameter = nn.Parameter(torch.ones(4, device=torch_device))
        parameter.grad = torch.ones_like(parameter)
        try:
            AdamW([parameter], lr=0.1, weight_decay=0.0, **_adamw_flags(implementation)).step()
        except (RuntimeError, NotImplementedError):
            continue
        # The first step of Adam is the learning rate, whatever the gradient's size.
        if torch.allclose(parameter.detach().cpu(), torch.full((4,), 0.9), atol=1e-4):
            return implementation
    return "loop"


def _adamw_flags(implementation: str) -> dict[str, Any]:
    return {"fused": True} if implementation == "fused" else {"foreach": implementation == "foreach"}


def steps_taken(optimizer: torch.optim.Optimizer) -> Tensor:
    """Return how many steps changed the weights, a scalar on the device where the optimiser keeps it.

    Steps that a gradient scaler withheld do not count. It is a copy, which later steps do not change.
    """
    for state in optimizer.state.values():
        return torch.as_tensor(state["step"]).detach().clone()
    return torch.zeros(())


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients together, a float32 scalar on their device; waits for nothing."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.linalg.vector_norm(torch.cat([norms.view(-1) for norms in _norms(gradients)]))


def _norms(gradients: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return norms of the gradients or of their rows."""
    if not all(gradient.is_cpu for gradient in gradients):
        try:
            return torch._foreach_norm(gradients)  # what torch.nn.utils.get_total_norm calls, where a release has it
        except (RuntimeError, NotImplementedError):
            pass
    # By row: on a processor, one thread adds up a whole tensor in order, which is slow and loses digits.
    return [torch.linalg.vector_norm(gradient, dim=-1) for gradient in gradients]
