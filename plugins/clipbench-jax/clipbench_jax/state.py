"""Save and restore a learner: all that it needs to resume, as tensors by OpenAI's names and plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from jax.experimental import multihost_utils

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


def restored(
    state: LearnerState | None, current: TrainState, put: Callable[[np.ndarray], Array], ranks: int = 1
) -> tuple[TrainState, int]:
    """Return what ``state`` holds, each array given to ``put``, and the number of steps taken so far.

    With several ranks, all of them call this: the first has the state, the others give None and receive it. Raises
    NotReadyError, on every rank, for the state of another model or precision than that of ``current``.
    """
    problem = _problem(state, current) if state is not None else ""
    if ranks > 1:
        state, problem = _from_first(state, current, problem)
    if problem or state is None:
        raise NotReadyError(problem)

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


def _from_first(state: LearnerState | None, current: TrainState, problem: str) -> tuple[LearnerState | None, str]:
    """Return the first rank's state and problem on every rank; tensors are sent one at a time, where it has none."""
    is_first = state is not None
    problem = str(_broadcast_plain(problem, is_first))
    if problem:
        return None, problem
    values = _broadcast_plain(dict(state.values) if state else None, is_first)
    tensors = {}
    for name, array, _, shape in _tensors(current):
        own = state.tensors[name].read() if state else np.zeros(shape, array.dtype)
        sent = np.asarray(multihost_utils.broadcast_one_to_all(own, is_first), array.dtype)
        tensors[name] = TensorRef(sent.dtype, shape, partial(np.asarray, sent))
    return LearnerState(tensors, values), ""


def _broadcast_plain(value: object, is_first: bool) -> Any:  # noqa: ANN401
    """Return the first rank's ``value``, which fits JSON, on every rank."""
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text)), is_first))
    own = text if is_first else np.zeros(length, np.uint8)
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(own, is_first), np.uint8).tobytes())


def _problem(state: LearnerState, current: TrainState) -> str:
    """Return why this state is not this learner's, or nothing."""
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
    if not problems:
        return ""
    return f"the saved state does not fit the model. {' '.join(problems)} Is it of another model or precision?"


def _listed(what: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}."] if names else []
