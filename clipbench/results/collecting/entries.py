"""Entries: what is known of each result among many, without its windows and query ranks."""

import hashlib
import json
import marshal
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from clipbench.api import Result, from_plain, to_plain
from clipbench.api.plain import value_at
from clipbench.api.result import (
    BadImages,
    CaseError,
    EpochMetrics,
    EpochRecord,
    EpochSeconds,
    LossTrace,
    Metric,
    Metrics,
    Numerics,
    Telemetry,
)
from clipbench.results.measures.metrics import BEST_METRIC, UNITS_AND_DIRECTIONS
from clipbench.results.result import from_utc

# What is of a run and not of what it ran is left out of the setup, which many runs share; this stands for what outlines
# do not have of it.
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
_OUTLINED = (*_OWN, "_stored", "_parts")
_OF_MACHINE = ("host", "extra", "memory_bytes")
_OF_START = ("tuning_decided",)
# Which of several devices a process was given.
_CHOICE = "VISIBLE_DEVICES"

# Of the metrics of a run's last evaluation: the epoch, names, values, and all else of those of which that is not known.
_Stored = tuple[int, tuple[str, ...], tuple[float | None, ...], Mapping[str, tuple[Any, ...]]]
_NOTHING: _Stored = (0, (), (), {})


class Entry(NamedTuple):
    """One result, in ``file``.

    ``result`` is the whole of it, or an ``outline`` with what a comparison with a reference takes: without query ranks,
    probes and warnings, and with few figures of each epoch. ``epoch`` is the last of ``epochs`` in number, with
    ``steps`` together. ``machine`` and ``repeats`` are as the result has them, and ``ranks`` is a digest of all that is
    stored of every query. ``digest`` is that of the file's content, which it carries; None where it does not.
    ``seconds`` are what a completed run took. ``setup`` is a text that is equal for runs of one configuration with one
    software on one kind of device.
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


def row_of(result: Result, document: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return what an index keeps of a result: its setup, and what is its own; ``document`` is what its file holds.

    The second is by ``marshal``: tens of thousands are read in a quarter of the time that JSON takes.
    """
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
    own = (*(getattr(result, name) for name in _OWN), _stored_metrics(result.metrics.last))
    found = ((name, part, getattr(result, name)) for name, part in _PARTS.items())
    parts = {name: marshal.dumps(part.stored(value)) for name, part, value in found if value}
    return _setup_of(document), marshal.dumps((own, parts, facts))


def entry_of(setup: str, own: bytes, file: str, whole: Result | None = None) -> Entry:
    """Return the entry that ``row_of`` has kept, with the ``whole`` result where it is at hand."""
    few, parts, facts = marshal.loads(own)
    return Entry._make((file, whole or _outline(setup, few, parts), whole is None, *facts, setup))


def in_outlines(path: str) -> bool:
    """Return whether outlines have at a dotted path what the whole results have there."""
    first, *rest = path.split(".")
    if first == "environment":
        whole = rest and rest[0] not in (*_OF_MACHINE, "variables")
        return bool(whole) and rest != ["device"] and rest[-1] not in _OF_START
    return first in _OWN or (first, *rest[:1]) == ("metrics", "last") or first not in (*_OF_RUN, "model")


# --- what runs of one setup share -----------------------------------------------------------------------------------


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


class _Outline(Result):
    """A result of which a few values are its own; what it shares is its class's, other parts are read when asked for.

    So tens of thousands are made in a tenth of a second.
    """

    _stored: _Stored | None
    _parts: Mapping[str, bytes]

    def metric(self, name: str) -> Metric | None:
        _, names, values, others = self._stored or _NOTHING
        return _metric(name, values[names.index(name)], others) if name in names else None

    @property
    def evaluated_epoch(self) -> int | None:
        return self._stored[0] if self._stored else None

    @property
    def metric_names(self) -> tuple[str, ...]:
        return (self._stored or _NOTHING)[1]

    @property
    def metric_values(self) -> dict[str, float | None]:
        _, names, values, _ = self._stored or _NOTHING
        return dict(zip(names, values, strict=True))


@cache
def _kind(setup: str) -> type[_Outline]:
    """Return the class of the outlines of one setup."""
    shared = vars(from_plain(Result, {**json.loads(setup), **_OF_RUN}))
    parts = {name: cached_property(partial(_read_part, name, shared[name])) for name in _PARTS}
    return type("Outline", (_Outline,), {**shared, **parts, "metrics": cached_property(_read_metrics)})


def _outline(setup: str, own: tuple[Any, ...], parts: Mapping[str, bytes]) -> Result:
    outline = object.__new__(_kind(setup))
    vars(outline).update(zip(_OUTLINED, (*own, parts), strict=True))
    return outline


def _read_part(name: str, default: object, outline: Any) -> Any:  # noqa: ANN401
    stored = outline._parts.get(name)
    return default if stored is None else _PARTS[name].read(marshal.loads(stored))


# --- facts ----------------------------------------------------------------------------------------------------------


def _seconds(result: Result) -> float | None:
    """Return what a completed run took: from its start to its end, or its epochs alone where it was resumed."""
    if not result.completed:
        return None
    if len(result.attempts) > 1:
        return sum(record.seconds.total for record in result.epochs)
    return (from_utc(result.ended) - from_utc(result.started)).total_seconds()


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


# --- parts ----------------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """How a field of a result is stored, as plain data that ``marshal`` takes, and read."""

    stored: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _stored_error(error: CaseError) -> Any:  # noqa: ANN401
    return to_plain(replace(error, traceback=None, details=None))


def _stored_epochs(epochs: Iterable[EpochRecord]) -> list[tuple[Any, ...]]:
    return [
        (
            *(record.epoch, record.steps, record.train_loss, (record.recall or {}).get(BEST_METRIC), record.evaluated),
            *(record.seconds.train, record.seconds.eval),
            record.telemetry and to_plain(replace(record.telemetry, samples=(), reasons={})),
        )
        for record in epochs
    ]


def _read_epochs(stored: Iterable[tuple[Any, ...]]) -> tuple[EpochRecord, ...]:
    return tuple(map(_read_epoch, stored))


def _read_epoch(stored: tuple[Any, ...]) -> EpochRecord:
    """Return what a comparison with a reference takes of an epoch; all else of it is None, or empty."""
    epoch, steps, loss, recall, evaluated, train, evaluating, telemetry = stored
    return EpochRecord(
        *(epoch, steps, loss, None, None),
        recall=({} if recall is None else {BEST_METRIC: recall}) if evaluated else None,
        throughput=None,
        data_wait=None,
        step_seconds=None,
        windows=(),
        peak_memory_bytes=None,
        host_memory_bytes=None,
        seconds=EpochSeconds(train, evaluating),
        reasons={},
        telemetry=from_plain(Telemetry, telemetry) if telemetry else None,
    )


_PARTS: Mapping[str, _Part] = {
    "error": _Part(_stored_error, partial(from_plain, CaseError)),
    "loss_trace": _Part(to_plain, partial(from_plain, LossTrace)),
    "epochs": _Part(_stored_epochs, _read_epochs),
    "bad_images": _Part(to_plain, partial(from_plain, BadImages)),
    "numerics": _Part(to_plain, partial(from_plain, Numerics)),
}


# --- metrics --------------------------------------------------------------------------------------------------------


def _stored_metrics(last: EpochMetrics | None) -> _Stored | None:
    if last is None:
        return None
    values = last.values
    about = {name: (metric.unit, metric.direction, metric.reason) for name, metric in values.items()}
    others = {name: one for name, one in about.items() if one != (*UNITS_AND_DIRECTIONS.get(name, ()), None)}
    return last.epoch, tuple(values), tuple(metric.value for metric in values.values()), others


def _metric(name: str, value: float | None, others: Mapping[str, tuple[Any, ...]]) -> Metric:
    return Metric(value, *(others.get(name) or UNITS_AND_DIRECTIONS[name]))


def _read_metrics(outline: Any) -> Metrics:  # noqa: ANN401
    if outline._stored is None:
        return Metrics()
    epoch, names, values, others = outline._stored
    return Metrics(EpochMetrics(epoch, {n: _metric(n, value, others) for n, value in zip(names, values, strict=True)}))
