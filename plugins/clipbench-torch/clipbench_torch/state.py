"""Save and restore a learner: all that it needs to resume exactly, as tensors by name and plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from clipbench.api import LearnerState, NotReadyError, TensorRef

MODEL, OPTIMIZER = "model.", "optimizer."
SHOWN = 5
# numpy has no bfloat16: its values travel as two opaque bytes each.
_BFLOAT16 = np.dtype("V2")
_NUMPY = {
    torch.float64: np.dtype(np.float64),
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: _BFLOAT16,
    torch.int64: np.dtype(np.int64),
    torch.int32: np.dtype(np.int32),
    torch.int16: np.dtype(np.int16),
    torch.int8: np.dtype(np.int8),
    torch.uint8: np.dtype(np.uint8),
    torch.bool: np.dtype(np.bool_),
}
_TORCH = {dtype: name for name, dtype in _NUMPY.items()}


@dataclass(frozen=True)
class Layout:
    """Type and shape of one tensor of a state."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'bfloat16' if self.dtype == _BFLOAT16 else self.dtype} {self.shape}"


def read_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: Any,  # noqa: ANN401 -- vendors bring scalers of their own
    steps: int,
) -> LearnerState:
    """Return the state of a learner after ``steps`` steps; its tensors are read one at a time, when asked for.

    ``model.<name>`` for parameters and buffers, ``optimizer.<parameter>.<key>`` for what the optimizer keeps of each.
    """
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    kept: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{OPTIMIZER}{name}.{key}"] = value
            else:
                kept.setdefault(name, {})[key] = value
    return LearnerState(
        {
            name: TensorRef(_NUMPY[tensor.dtype], tuple(tensor.shape), partial(_read, tensor))
            for name, tensor in tensors.items()
        },
        {"steps": steps, "optimizer": kept, "scaler": None if scaler is None else _plain(scaler.state_dict())},
    )


def restore_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: Any,  # noqa: ANN401
    state: LearnerState | None,
    torch_device: torch.device,
    world_size: int = 1,
) -> int:
    """Copy ``state``, tensor by tensor, into model, optimiser and scaler; return the number of steps taken so far.

    With several ranks, all of them call this: the first has the state, the others give None and receive it.
    Raises NotReadyError, on every rank, for the state of another model; nothing is changed then.
    """
    header: dict[str, Any] = {}
    if state is not None:
        layouts = {name: Layout(ref.dtype, ref.shape) for name, ref in state.tensors.items()}
        header = {
            "problem": _problem(model, scaler, layouts, state.values),
            "values": dict(state.values),
            "optimizer": [
                (name, layout.dtype.str, layout.shape) for name, layout in layouts.items() if name.startswith(OPTIMIZER)
            ],
        }
    if world_size > 1:
        header = _broadcast_json(header, torch_device)
    if header["problem"]:
        raise NotReadyError(header["problem"])
    values = header["values"]
    targets = _targets(model, optimizer, header["optimizer"], values["optimizer"])
    _copy_in(targets, state, torch_device, world_size)
    if scaler is not None:
        scaler.load_state_dict(values["scaler"])
    return int(values["steps"])


def _targets(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    kept_tensors: Sequence[tuple[str, str, Sequence[int]]],
    kept_values: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor to be filled, in the same order on all ranks; the optimizer's are made here, one by one."""
    for name, tensor in model.state_dict().items():
        yield MODEL + name, tensor
    parameters = dict(model.named_parameters())
    on_device = {
        id(parameter)
        for group in optimizer.param_groups
        for parameter in group["params"]
        if group.get("fused") or group.get("capturable")
    }
    optimizer.state.clear()
    for name, dtype, shape in kept_tensors:
        owner, _, key = name.removeprefix(OPTIMIZER).rpartition(".")
        parameter = parameters[owner]
        torch_dtype = _TORCH[np.dtype(dtype)]
        if key == "step":  # counted on the host, except by kernels that read it
            tensor = torch.empty(
                tuple(shape), dtype=torch_dtype, device=parameter.device if id(parameter) in on_device else "cpu"
            )
        elif tuple(shape) == tuple(parameter.shape):
            tensor = torch.empty_like(parameter, dtype=torch_dtype, requires_grad=False)
        else:
            tensor = torch.empty(tuple(shape), dtype=torch_dtype, device=parameter.device)
        optimizer.state[parameter][key] = tensor
        yield name, tensor
    for name, values in kept_values.items():
        optimizer.state[parameters[name]].update(values)


@torch.no_grad()
def _copy_in(
    targets: Iterator[tuple[str, Tensor]], state: LearnerState | None, torch_device: torch.device, world_size: int
) -> None:
    for name, target in targets:
        if state is not None:
            target.copy_(_tensor(state.tensors[name].read()))
        if world_size > 1:
            # Back ends send tensors that are contiguous and on the device; some of these are neither.
            sent = target.detach().to(torch_device).contiguous()
            dist.broadcast(sent, 0)
            if state is None and sent.data_ptr() != target.data_ptr():
                target.copy_(sent)


def _read(tensor: Tensor) -> np.ndarray:
    """Return the tensor on the host: itself where it is there and contiguous, else a copy."""
    host = tensor.detach().cpu().contiguous()
    if host.dtype == torch.bfloat16:
        return host.view(torch.int16).numpy().view(_BFLOAT16)
    return host.numpy()


def _tensor(array: np.ndarray) -> Tensor:
    # torch has no read-only tensors, and warns about arrays that are (those of a mapped file).
    array = array if array.flags.writeable else array.copy()
    return (
        torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        if array.dtype == _BFLOAT16
        else torch.from_numpy(array)
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scaler's state as JSON has it; some scalers keep one-element tensors in it."""
    return {name: value.item() if isinstance(value, Tensor) else value for name, value in values.items()}


def _problem(
    model: nn.Module,
    scaler: Any,  # noqa: ANN401
    layouts: Mapping[str, Layout],
    values: Mapping[str, Any],
) -> str | None:
    """Return why this state is not this learner's, or None."""
    own = {
        MODEL + name: Layout(_NUMPY[tensor.dtype], tuple(tensor.shape)) for name, tensor in model.state_dict().items()
    }
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    unexpected = [OPTIMIZER + name for name in values.get("optimizer", {}) if name not in shapes]
    mismatched = []
    for name, layout in layouts.items():
        owner = name.removeprefix(OPTIMIZER).rpartition(".")[0]
        if name.startswith(OPTIMIZER) and owner in shapes:
            if layout.dtype not in _TORCH or layout.shape not in ((), (1,), shapes[owner]):
                mismatched.append(f"{name} is {layout}, its parameter {own[MODEL + owner]}")
        elif name not in own:
            unexpected.append(name)
        elif layout != own[name]:
            mismatched.append(f"{name} is {layout}, the model's is {own[name]}")
    problems = [
        *_listed("missing", [*(name for name in own if name not in layouts), *_incomplete(layouts)]),
        *_listed("unexpected", unexpected),
        *_listed("of another shape or type", mismatched),
    ]
    if lacking := {"steps", "optimizer", "scaler"} - set(values):
        problems.append(f"It lacks the values {', '.join(sorted(lacking))}.")
    elif (values["scaler"] is None) != (scaler is None):
        problems.append("It has a gradient scaler and this run has none, or the other way round.")
    if not problems:
        return None
    return "the saved state does not fit the model. " + " ".join(problems) + " Is it of another model or precision?"


def _incomplete(layouts: Mapping[str, Layout]) -> list[str]:
    """Return what the optimizer keeps for some parameters and lacks for others for which it keeps anything."""
    kept: dict[str, set[str]] = {}
    for name in layouts:
        if name.startswith(OPTIMIZER):
            owner, _, key = name.removeprefix(OPTIMIZER).rpartition(".")
            kept.setdefault(owner, set()).add(key)
    every = set().union(*kept.values())
    return [f"{OPTIMIZER}{owner}.{key}" for owner, keys in kept.items() for key in sorted(every - keys)]


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}."]


def _broadcast_json(data: dict[str, Any], torch_device: torch.device) -> dict[str, Any]:
    """Return rank 0's ``data`` on every rank; sent as 32-bit words, because some devices hardly support bytes."""
    text = json.dumps(data).encode()
    text += b" " * (-len(text) % 4)
    length = torch.tensor([len(text) // 4], dtype=torch.int64).to(torch_device)
    dist.broadcast(length, 0)
    words = torch.zeros(int(length.item()), dtype=torch.int32)
    if dist.get_rank() == 0:
        words = torch.from_numpy(np.frombuffer(text, np.int32).copy())
    words = words.to(torch_device)
    dist.broadcast(words, 0)
    return dict(json.loads(words.cpu().numpy().tobytes()))
