"""Whether a result agrees with itself: what follows from its other parts is computed again, as its writer did."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from clipbench.api import Result
from clipbench.api.plain import to_plain, value_at
from clipbench.api.result import EpochRecord, Metric, QueryRanks, Window
from clipbench.results.measures.accuracy import accuracy_metrics
from clipbench.results.measures.metrics import ACCURACY_NAMES, RECALL_NAMES, UNITS_AND_DIRECTIONS, summarise
from clipbench.results.measures.recall import recall_metrics, with_means
from clipbench.results.measures.timing import measure
from clipbench.results.measures.trace import loss_trace, stretches
from clipbench.results.result import from_utc

# Sums in another order differ by some 1e-15 of their size. One query more or less changes a recall by 100 / queries.
ROUNDING = 1e-9
# The start and the end of a run are read from a clock that may be set meanwhile, its parts from one that may not.
CLOCK_SECONDS = 60.0
# What a result states twice: its own field, and where the configuration has the same.
_TWICE = {"seed": "seed", "suite": "suite", "case": "name", "reference": "reference"}
# Whole numbers of sections whose other keys are free: the least that each may be, and what it is where it is absent.
_NUMBERS = (
    ("config.train.epochs", 0, None),
    ("config.train.batch_size", 1, None),
    ("config.world_size", 1, 1),
    ("environment.device.devices_per_card", 1, 1),
)
_Parts = Mapping[str, float] | Mapping[str, float | None]


class Disagreement(NamedTuple):
    """A key of a result, the figure stated there, and the one that it should be, with where that comes from."""

    key: str
    stated: object
    expected: object

    def __str__(self) -> str:
        return f"{self.key} is {_short(self.stated)}, expected {_short(self.expected)}"


def disagreements(result: Result) -> Iterator[Disagreement]:
    """Yield what does not agree, causes before what follows from them: a reader stops at the first."""
    yield from _copies(result)
    yield from _epochs(result)
    yield from _windows(result)
    yield from _recalls(result)
    yield from _metrics(result)
    yield from _queries(result)
    yield from _per_query(result)
    yield from _clock(result)
    yield from _numerics(result)
    yield from _trace(result)


def _copies(result: Result) -> Iterator[Disagreement]:
    for key, path in _TWICE.items():
        ours, theirs = getattr(result, key), value_at(result.config, path, getattr(result, key))
        if ours != theirs:
            yield Disagreement(key, ours, f"{_short(theirs)}, as in config.{path}")
    for path, least, usual in _NUMBERS:
        if type(number := value_at(result, path, usual)) is not int or number < least:
            yield Disagreement(path, number, f"a whole number, at least {least}")
    for path in ("config.engine", "environment.device.name", "environment.device.precision"):
        if not isinstance(text := value_at(result, path), (str, type(None))):
            yield Disagreement(path, text, "a text")


# --- epochs ---------------------------------------------------------------------------------------------------------


def _epochs(result: Result) -> Iterator[Disagreement]:
    """Yield what differs from the plan: epochs from 1 without a gap, as many steps in each as data and batch give.

    A run that only evaluates has one epoch, 0, without steps. One that did not complete has the first epochs alone.
    """
    per_epoch, steps = _planned_steps(result)
    planned, count = math.ceil(steps / per_epoch) if steps else 1, len(result.epochs)
    if count > planned or (result.completed and count < planned):
        yield Disagreement("epochs", f"{count} records", f"{planned}, by config.train and dataset.train")
    for index, record in enumerate(result.epochs):
        number, own = (index + 1, min(per_epoch, steps - index * per_epoch)) if steps else (0, 0)
        if record.epoch != number:
            yield Disagreement(f"epochs.{index}.epoch", record.epoch, number)
        if record.steps != own:
            yield Disagreement(f"epochs.{index}.steps", record.steps, f"{own}, by config.train and dataset.train")
    if not result.completed:
        return
    last, asked = result.epochs[-1], value_at(result.config, "eval.evaluations", ["retrieval"])
    if "retrieval" in asked and last.recall is None:
        yield Disagreement(f"epochs.{count - 1}.recall", None, "the recalls of the evaluation that ends a run")
    if "retrieval" in asked and result.query_ranks is None:
        yield Disagreement("query_ranks", None, "those of the evaluation that ends a run")
    if "classification" in asked and not {*ACCURACY_NAMES} <= last.metrics.keys():
        expected = f"{', '.join(ACCURACY_NAMES)} of the evaluation that ends a run"
        yield Disagreement(f"epochs.{count - 1}.metrics", sorted(last.metrics), expected)


def _planned_steps(result: Result) -> tuple[int, int]:
    """Return the steps of an epoch, and of the run."""
    train = result.config["train"]
    images = result.dataset.train.images if result.dataset and result.dataset.train else 0
    per_epoch = images // train["batch_size"]
    limit, steps = train.get("max_steps"), per_epoch * train["epochs"]
    return per_epoch, min(steps, limit) if isinstance(limit, int) else steps


def _windows(result: Result) -> Iterator[Disagreement]:
    """Yield what cannot be true of timed windows, and the figures that they do not give."""
    for index, record in enumerate(result.epochs):
        for number, window in enumerate(record.windows):
            if not _is_possible(window):
                expected = "whole steps, the seconds they took, and how many of these were spent waiting"
                yield Disagreement(f"epochs.{index}.windows.{number}", list(window), expected)
        yield from _timing(result, record, f"epochs.{index}")
    # A process leaves out its warm-up and no other step, unless no timing is to be trusted at all.
    warmup = value_at(result.config, "timing.warmup_steps")
    untimed = sum(record.steps - _timed_steps(record) for record in result.epochs)
    if type(warmup) is int and untimed > warmup and len(result.attempts) < 2 and any(r.windows for r in result.epochs):
        yield Disagreement("epochs: steps outside the timed windows", untimed, f"at most {warmup}, the warm-up")


def _is_possible(window: Window) -> bool:
    whole = type(window.steps) is int and window.steps > 0
    return whole and window.seconds > 0 and window.data_wait <= window.seconds * (1 + ROUNDING)


def _timing(result: Result, record: EpochRecord, at: str) -> Iterator[Disagreement]:
    """Yield where an epoch's windows are more than it had, or do not give the figures that it states."""
    if (steps := _timed_steps(record)) > record.steps:
        yield Disagreement(f"{at}.windows", f"{steps} steps", f"at most the epoch's {record.steps}")
    seconds, taken = sum(window.seconds for window in record.windows), record.seconds
    # Of several ranks, each window is that of the slowest.
    if seconds > taken.train * result.world_size * (1 + ROUNDING):
        expected = f"at most the {taken.train:.6g} s of the epoch's training"
        yield Disagreement(f"{at}.windows", f"{seconds:.6g} s", expected)
    for name, own, due in (("train", taken.train, record.steps > 0), ("eval", taken.eval, record.evaluated)):
        if due and own <= 0:
            yield Disagreement(f"{at}.seconds.{name}", own, "the seconds that it took")
    measured = measure(record.windows, result.config["train"]["batch_size"])
    for name in ("throughput", "data_wait", "step_seconds"):
        stated, computed = getattr(record, name), getattr(measured, name)
        if not _close(stated, computed):
            yield Disagreement(f"{at}.{name}", stated, f"{_short(computed)}, by its windows")
    yield from _shares(result, record, at)


def _shares(result: Result, record: EpochRecord, at: str) -> Iterator[Disagreement]:
    """Yield a throughput of a device or a card that is not its share of the whole."""
    ranks = result.world_size
    cards = math.ceil(ranks / value_at(result, "environment.device.devices_per_card", 1))
    for name, count in (("throughput_per_device", ranks), ("throughput_per_card", cards)):
        if (share := getattr(record, name)) is not None and not _close(share * count, record.throughput):
            yield Disagreement(f"{at}.{name}", share, f"{_short(record.throughput)} / {count}")


def _timed_steps(record: EpochRecord) -> int:
    return sum(window.steps for window in record.windows)


def _recalls(result: Result) -> Iterator[Disagreement]:
    for index, record in enumerate(result.epochs):
        if (recall := record.recall) is None:
            continue
        if recall.keys() != set(RECALL_NAMES):
            yield Disagreement(f"epochs.{index}.recall", sorted(recall), sorted(RECALL_NAMES))
        yield from _unequal(f"epochs.{index}.recall", recall, with_means(recall), "the mean of its parts")


# --- what epochs and queries add up to ------------------------------------------------------------------------------


def _metrics(result: Result) -> Iterator[Disagreement]:
    """Yield what is not that of the last evaluated epoch, or of the best one; metrics of other names are as stated."""
    computed = summarise(result.epochs, result.config["train"]["batch_size"])
    for which in ("last", "best"):
        stated, own = getattr(result.metrics, which), getattr(computed, which)
        epochs = [one.epoch if one else None for one in (stated, own)]
        if epochs[0] != epochs[1]:
            yield Disagreement(f"metrics.{which}: the epoch", *epochs)
        elif own:
            yield from _unequal_metrics(f"metrics.{which}.values", stated.values, own.values)


def _unequal_metrics(at: str, stated: Mapping[str, Metric], computed: Mapping[str, Metric]) -> Iterator[Disagreement]:
    for name, metric in computed.items():
        found = stated.get(name)
        if found is None:
            yield Disagreement(f"{at}.{name}", None, f"{_short(metric.value)}, by the epochs")
        elif (found.unit, found.direction) != (metric.unit, metric.direction):
            facts = (f"in {one.unit}, {one.direction} is better" for one in (found, metric))
            yield Disagreement(f"{at}.{name}", *facts)
        elif not _close(found.value, metric.value):
            yield Disagreement(f"{at}.{name}.value", found.value, f"{_short(metric.value)}, by the epochs")
    for name in stated.keys() & UNITS_AND_DIRECTIONS.keys() - computed.keys():
        yield Disagreement(f"{at}.{name}", stated[name].value, "none, by the epochs")


def _last_evaluated(result: Result) -> int | None:
    """Return the place of the epoch that ``metrics.last`` is of, None where there is none."""
    if (last := result.metrics.last) is None:
        return None
    return next((index for index, record in enumerate(result.epochs) if record.epoch == last.epoch), None)


def _of_another_epoch(key: str, epoch: int, result: Result) -> Disagreement:
    last = result.metrics.last
    return Disagreement(key, epoch, f"{last.epoch if last else None}, that of metrics.last")


def _queries(result: Result) -> Iterator[Disagreement]:
    """Yield where the ranks of the last evaluation are not of the validation data, or do not give its recalls."""
    ranks, dataset = result.query_ranks, result.dataset
    if ranks is None:
        return
    if dataset is None or (index := _last_evaluated(result)) is None or ranks.epoch != result.epochs[index].epoch:
        yield _of_another_epoch("query_ranks.epoch", ranks.epoch, result)
        return
    yield from _query_counts(ranks, dataset.val.images, dataset.val.captions)
    recall = result.epochs[index].recall or {}
    yield from _unequal(f"epochs.{index}.recall", recall, recall_metrics(ranks.text, ranks.image), "by query_ranks")


def _per_query(result: Result) -> Iterator[Disagreement]:
    """Yield where what is kept of a classification is not of the validation data, or does not give its accuracies."""
    kept, dataset = result.per_query, result.dataset
    if kept is None:
        return
    if dataset is None or (index := _last_evaluated(result)) is None or kept.epoch != result.epochs[index].epoch:
        yield _of_another_epoch("per_query.epoch", kept.epoch, result)
        return
    if (own := kept.values.get("classification")) is None:
        return
    for name in ("rank", "label"):
        if len(values := own.get(name, ())) != dataset.val.images or min(values) < 0:
            key, expected = f"per_query.values.classification.{name}", f"{dataset.val.images}, from 0, by dataset.val"
            yield Disagreement(key, f"{len(values)} numbers", expected)
            return
    stated = {name: metric.value for name, metric in result.epochs[index].metrics.items()}
    computed = accuracy_metrics(own["rank"], own["label"])
    yield from _unequal(f"epochs.{index}.metrics", stated, computed, "by per_query")


def _query_counts(ranks: QueryRanks, images: int, captions: int) -> Iterator[Disagreement]:
    counts = {"text": (images, captions), "image": (captions, images), "image_of_text": (captions, images)}
    for name, (count, below) in counts.items():
        values = np.asarray(getattr(ranks, name))
        if len(values) != count:
            yield Disagreement(f"query_ranks.{name}", f"{len(values)} numbers", f"{count}, by dataset.val")
        if values.max() >= below:
            yield Disagreement(f"query_ranks.{name}", int(values.max()), f"less than {below}, by dataset.val")
    if without := int(np.count_nonzero(np.bincount(ranks.image_of_text, minlength=images) == 0)):
        yield Disagreement("query_ranks.image_of_text", f"{without} images without a caption", "one for each")


def _clock(result: Result) -> Iterator[Disagreement]:
    """Yield where a run ends before it began, or its epochs took longer than all of it."""
    times = {}
    for key in ("started", "ended"):
        try:
            times[key] = from_utc(getattr(result, key))
        except ValueError:
            yield Disagreement(key, getattr(result, key), "a time in UTC")
            return
    taken = (times["ended"] - times["started"]).total_seconds()
    if taken < 0 or (taken == 0 and result.completed):
        yield Disagreement("ended", result.ended, f"later than started, {result.started}")
    seconds = sum(record.seconds.total for record in result.epochs)
    if seconds > taken + CLOCK_SECONDS:
        yield Disagreement("epochs: seconds in all", f"{seconds:.6g}", f"at most the {taken:.6g} from started to ended")


# --- figures --------------------------------------------------------------------------------------------------------


def _unequal(key: str, stated: _Parts, computed: _Parts, source: str) -> Iterator[Disagreement]:
    for name, value in computed.items():
        if not _close(stated.get(name), value):
            yield Disagreement(f"{key}.{name}", stated.get(name), f"{_short(value)}, {source}")


def _close(stated: object, computed: object) -> bool:
    """Return whether two figures, or two sections of figures, are equal up to rounding."""
    if stated == computed:
        return True
    if isinstance(stated, Mapping) and isinstance(computed, Mapping):
        return stated.keys() == computed.keys() and all(_close(stated[name], computed[name]) for name in computed)
    if isinstance(stated, (int, float)) and isinstance(computed, (int, float)):
        return math.isclose(stated, computed, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return False


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:200]


# --- the loss trace -------------------------------------------------------------------------------------------------


def _trace(result: Result) -> Iterator[Disagreement]:
    """Yield where digests are not one for each stretch of an epoch's steps, or the trace is not that of the epochs."""
    for index, record in enumerate(result.epochs):
        count, expected = len(record.loss_digests), len(stretches(record.steps))
        if count and count != expected:
            yield Disagreement(f"epochs.{index}.loss_digests", f"{count} digests", f"{expected}, by its steps")
    if result.loss_trace != (computed := loss_trace(result.epochs)):
        stated, own = (
            f"{trace.sha256} of {trace.steps} steps" if trace else None for trace in (result.loss_trace, computed)
        )
        yield Disagreement("loss_trace", stated, f"{own}, by the epochs")


# --- numerics -------------------------------------------------------------------------------------------------------


def _numerics(result: Result) -> Iterator[Disagreement]:
    """Yield where a check of numerics is not the one that the suite asked for, or not of the device that it ran on."""
    found, kind = result.numerics, value_at(result, "environment.device.kind")
    if found is None:
        return
    if to_plain(found.asked) != (asked := value_at(result.config, "numerics")):
        yield Disagreement("numerics.asked", to_plain(found.asked), f"{_short(asked)}, as in config.numerics")
    if found.is_trusted and kind not in (None, found.trusted_device):
        yield Disagreement("numerics.is_trusted", True, f"false: the run was on {kind}")
    few = found.asked.float32_steps
    for name, count in (("fixed_batch", found.asked.steps), ("float32", few), ("trusted", few)):
        steps = getattr(found, name)
        if steps is None:
            continue
        taken = len(steps.losses)
        if taken > count or (taken < count and steps.losses[-1] is not None) or len(steps.grad_norms) != taken:
            yield Disagreement(f"numerics.{name}", f"{taken} steps", f"{count}, or up to a loss that is not finite")
