"""Entries: what is known of each result among many, without its epochs, windows and query ranks."""

import hashlib
import json
import marshal
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clipbench.api import Result, from_plain, to_plain
from clipbench.api.plain import value_at
from clipbench.api.result import CaseError, EpochMetrics, LossTrace, Metric, Metrics
from clipbench.results.measures.metrics import UNITS_AND_DIRECTIONS
from clipbench.results.result import from_utc

# What is of a run and not of what it ran is left out of the setup, which many runs share; a skeleton has this instead.
_OF_RUN: Mapping[str, Any] = {
    **dict.fromkeys(("run_id", "started", "ended"), ""),
    **dict.fromkeys(("query_ranks", "per_query", "error", "probes", "numerics", "loss_trace", "retrieved")),
    **dict.fromkeys(("invocation", "task")),
    **dict.fromkeys(("epochs", "attempts", "warnings"), ()),
    "bad_images": None,
    "status": "completed",
    "metrics": {},
}
_OWN = ("run_id", "status", "started", "ended", "invocation", "task")
_OF_MACHINE = ("host", "extra", "memory_bytes")
_OF_START = ("tuning_decided",)
# Which of several devices a process was given.
_CHOICE = "VISIBLE_DEVICES"


class Entry(NamedTuple):
    """One result, in ``file``.

    ``result`` is the whole of it, or an ``outline`` without epochs, query ranks, probes, warnings and what else only a
    look at the run itself needs. ``epoch`` is the last of ``epochs`` in number, with ``steps`` together. ``machine``
    and ``repeats`` are as the result has them, and ``ranks`` is a digest of all that is stored of every query.
    ``setup`` is a text that is equal for runs of one configuration with one software on one kind of device. ``digest``
    is that of the file's content, which it carries; None where it does not. ``seconds`` are what a completed run took.
    """

    file: str
    result: Result
    outline: bool
    epoch: int
    epochs: int
    steps: int
    hosts: tuple[str, ...]
    machine: str | None
    repeats: bool | None
    ranks: str | None
    digest: str | None
    seconds: float | None
    setup: str

    @property
    def path(self) -> Path:
        return Path(self.file)


class Row(NamedTuple):
    """An entry as an index keeps it: ``setup`` as text, the same for many, and what is its own by ``marshal``.

    Of tens of thousands that is read in a quarter of the time that JSON takes. It is of one version of Python.
    """

    setup: str
    own: bytes


def row_of(result: Result, document: Mapping[str, Any]) -> Row:
    """Return what an index keeps of a result; ``document`` is what its file holds."""
    epochs = result.epochs
    facts = (
        epochs[-1].epoch if epochs else 0,
        len(epochs),
        sum(record.steps for record in epochs),
        tuple(result.hosts),
        value_at(result, "environment.host.machine"),
        value_at(result, "numerics.repeats"),
        _ranks_digest(result),
        document.get("digest"),
        _seconds(result),
    )
    parts = _stored(result.metrics.last), _error(result.error), to_plain(result.loss_trace)
    stored: Any = (tuple(getattr(result, name) for name in _OWN), parts, facts)
    return Row(_setup_of(document), marshal.dumps(stored))


def entry_of(row: Row, file: str, whole: Result | None = None) -> Entry:
    """Return the entry that a row stands for, with the ``whole`` result where it is at hand."""
    own, parts, facts = marshal.loads(row.own)
    return Entry._make((file, whole or _outline(row.setup, own, parts), whole is None, *facts, row.setup))


def _outline(setup: str, own: Sequence[Any], parts: Sequence[Any]) -> Result:
    metrics, error, trace = parts
    fields = {**_skeleton(setup), **dict(zip(_OWN, own, strict=True)), "metrics": _metrics(metrics)}
    if error:
        fields["error"] = from_plain(CaseError, error)
    if trace:
        fields["loss_trace"] = LossTrace(**trace)
    outline = object.__new__(Result)
    # What dataclasses.replace does, in a tenth of its time: there may be tens of thousands.
    object.__setattr__(outline, "__dict__", fields)
    return outline


def _setup_of(document: Mapping[str, Any]) -> str:
    """Return configuration, data, device and software of a stored result as JSON, in the order of its file."""
    setup = {key: value for key, value in document.items() if key not in _OF_RUN and key != "digest"}
    if environment := document["environment"]:
        device = {key: value for key, value in environment["device"].items() if key not in _OF_START}
        chosen = {key: value for key, value in environment["variables"].items() if not key.endswith(_CHOICE)}
        kept = {key: value for key, value in environment.items() if key not in _OF_MACHINE}
        setup["environment"] = {**kept, "device": device, "variables": chosen}
    # Of the model what was chosen, not what changes from step to step, as a scaler's scale does.
    setup["model"] = {key: value for key, value in (document["model"] or {}).items() if isinstance(value, (str, bool))}
    return json.dumps(setup)


@cache
def _skeleton(setup: str) -> Mapping[str, Any]:
    return vars(from_plain(Result, {**json.loads(setup), **_OF_RUN}))


def _seconds(result: Result) -> float | None:
    """Return what a completed run took: from its start to its end, or its epochs alone where it was resumed."""
    if not result.completed:
        return None
    if len(result.attempts) > 1:
        return sum(record.seconds.total for record in result.epochs)
    return (from_utc(result.ended) - from_utc(result.started)).total_seconds()


def _error(error: CaseError | None) -> Mapping[str, Any] | None:
    return to_plain(replace(error, traceback=None, details=None)) if error else None


def _ranks_digest(result: Result) -> str | None:
    """Return a digest of what is stored of every query, by all evaluations; None where nothing is."""
    kept: dict[str, Sequence[int]] = {}
    if ranks := result.query_ranks:
        kept |= {"text": ranks.text, "image": ranks.image}
    for evaluation, own in (result.per_query.values if result.per_query else {}).items():
        kept |= {f"{evaluation}.{name}": values for name, values in own.items()}
    digest = hashlib.sha256()
    for name, values in sorted(kept.items()):
        digest.update(f"{name} {len(values)} ".encode() + array("i", values).tobytes())
    return digest.hexdigest()[:16] if kept else None


# --- metrics --------------------------------------------------------------------------------------------------------


def _stored(last: EpochMetrics | None) -> tuple[Any, ...] | None:
    """Return epoch, names and values of the metrics of an epoch; of those whose unit is known the value alone."""
    if last is None:
        return None
    return last.epoch, tuple(last.values), tuple(_short(name, metric) for name, metric in last.values.items())


def _short(name: str, metric: Metric) -> float | tuple[Any, ...]:
    usual = (metric.unit, metric.direction) == UNITS_AND_DIRECTIONS.get(name)
    return metric.value if usual and metric.value is not None else tuple(vars(metric).values())


def _metrics(stored: tuple[Any, ...] | None) -> Metrics:
    return Metrics(EpochMetrics(stored[0], _Values(stored[1], stored[2]))) if stored else Metrics()


class _Values(Mapping[str, Metric]):
    """Metrics by name, made when they are asked for: of tens of thousands of results, one metric is shown."""

    def __init__(self, names: tuple[str, ...], stored: tuple[float | tuple[Any, ...], ...]) -> None:
        self._names, self._stored = names, stored

    def __getitem__(self, name: str) -> Metric:
        try:
            stored = self._stored[self._names.index(name)]
        except ValueError:
            raise KeyError(name) from None
        return Metric(*stored) if isinstance(stored, tuple) else Metric(stored, *UNITS_AND_DIRECTIONS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
