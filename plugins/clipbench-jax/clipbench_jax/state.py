"""Save and restore a learner: all that it needs to resume, as tensors by OpenAI's names and plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import numpy as np
import optax
from jax import Array

from clipbench.api import LearnerState, NotReadyError, TensorRef
from clipbench_jax.parameters import names_in
from clipbench_jax.training import Scaler, TrainState

SHOWN = 5
# Of a state's tensors: the prefix of each dict of arrays, and what follows the parameter's name.
MODEL, FIRST_MOMENT, SECOND_MOMENT = ("model.", ""), ("optimizer.", ".mu"), ("optimizer.", ".nu")


def read_state(state: TrainState, steps: int) -> LearnerState:
    """Return the state after ``steps`` steps; its tensors are read one at a time, when asked for."""
    tensors = {
        name: TensorRef(np.dtype(array.dtype), shape, partial(_read, array, row))
        for name, array, row, shape in _tensors(state)
    }
    scaler = None if state.scaler is None else [value.item() for value in state.scaler]
    return LearnerState(tensors, {"steps": steps, "adam_steps": int(state.adam.count), "scaler": scaler})


def restored(state: LearnerState, current: TrainState, put: Callable[[np.ndarray], Array]) -> tuple[TrainState, int]:
    """Return what ``state`` holds, each array given to ``put``, and the number of steps taken so far.

    Raises NotReadyError for the state of another model or precision than that of ``current``.
    """
    _check(state, current)

    def arrays(kind: tuple[str, str], params: Mapping[str, Array]) -> dict[str, Array]:
        return {name: put(_stacked(state, kind, name, array)) for name, array in params.items()}

    params = arrays(MODEL, current.params)
    moments = arrays(FIRST_MOMENT, current.params), arrays(SECOND_MOMENT, current.params)
    count = put(np.asarray(state.values["adam_steps"], np.int32))
    scaler = None
    if current.scaler is not None:
        pairs = zip(state.values["scaler"], current.scaler, strict=True)
        scaler = Scaler(*(put(np.asarray(value, own.dtype)) for value, own in pairs))
    return TrainState(params, optax.ScaleByAdamState(count, *moments), scaler), int(state.values["steps"])


def _tensors(state: TrainState) -> Iterator[tuple[str, Array, int | None, tuple[int, ...]]]:
    """Yield name, array, row of the array and shape of every tensor, always in one order."""
    for (prefix, suffix), arrays in (
        (MODEL, state.params),
        (FIRST_MOMENT, state.adam.mu),
        (SECOND_MOMENT, state.adam.nu),
    ):
        for stack, array in arrays.items():
            for name, row, shape in names_in(stack, array.shape):
                yield f"{prefix}{name}{suffix}", array, row, shape


def _read(array: Array, row: int | None) -> np.ndarray:
    return np.asarray(jax.device_get(array if row is None else array[row]), order="C")


def _stacked(state: LearnerState, kind: tuple[str, str], stack: str, array: Array) -> np.ndarray:
    prefix, suffix = kind
    rows = [state.tensors[f"{prefix}{name}{suffix}"].read() for name, _, _ in names_in(stack, array.shape)]
    return np.stack(rows) if array.ndim > rows[0].ndim else rows[0]


def _check(state: LearnerState, current: TrainState) -> None:
    own = {name: (np.dtype(array.dtype), shape) for name, array, _, shape in _tensors(current)}
    saved = {name: (ref.dtype, ref.shape) for name, ref in state.tensors.items()}
    problems = [
        *_listed("missing", [name for name in own if name not in saved]),
        *_listed("unexpected", [name for name in saved if name not in own]),
        *_listed("of another shape or type", [name for name in own if name in saved and saved[name] != own[name]]),
    ]
    if lacking := {"steps", "adam_steps", "scaler"} - set(state.values):
        problems.append(f"It lacks the values {', '.join(sorted(lacking))}.")
    elif (state.values["scaler"] is None) != (current.scaler is None):
        problems.append("It has a gradient scaler and this run has none, or the other way round.")
    if problems:
        text = " ".join(problems)
        raise NotReadyError(f"the saved state does not fit the model. {text} Is it of another model or precision?")


def _listed(what: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}."] if names else []
