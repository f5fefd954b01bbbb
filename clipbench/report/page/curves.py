"""What the charts of a page draw of a result: over epochs, windows of steps, readings of a meter, first steps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clipbench.api.plain import finite, value_at
from clipbench.api.result import EpochRecord, Result, Window
from clipbench.report.metric_words import metric_words
from clipbench.report.page.charts import CHARTS, MOST_CURVES, Chart
from clipbench.results.measures.metrics import RECALL_NAMES, metrics_of
from clipbench.results.measures.timing import measure

MOST_POINTS = 150  # of a curve over steps or time: neighbours are taken together
MEGABYTE = 1e6
# Width of a line, what one that lies under another is wider, and how wide the lowest of many is.
LINE, MORE, WIDEST = 2.0, 3.5, 10.0
Row = dict[str, Any]
Point = tuple[float, Mapping[str, Any]]
# ``x`` and, by the key of each curve, as many values.
Lines = dict[str, list[float | None]]


def lines_of(result: Result, chart: Chart) -> Lines:
    """Return the points that ``chart`` draws of a result; a value is None where there is none."""
    points = list(SOURCES[chart.source](result))
    lines = {key: [shortened(finite(values.get(key))) for _, values in points] for key in chart.curves}
    return {"x": [shortened(x) for x, _ in points], **lines}


def charts_of(results: Sequence[Result]) -> list[Chart]:
    """Return the charts: those of every page, and those of the evaluations whose metrics are on none of them."""
    known = {*RECALL_NAMES, *(key for chart in CHARTS for key in chart.curves)}
    by_unit: dict[str, dict[str, str]] = {}
    for name, metric in (pair for r in results for record in r.epochs for pair in metrics_of(record).items()):
        if name not in known:
            by_unit.setdefault(metric.unit, {})[name] = metric_words(name)
    more = [(unit, curves) for unit, words in by_unit.items() for curves in _as_many_as_differ(words)]
    titles = [", ".join(curves.values()) for _, curves in more]
    evaluations = [Chart(f"evaluation_{n}", titles[n], *unit_and_curves) for n, unit_and_curves in enumerate(more)]
    return [*CHARTS[:2], *evaluations, *CHARTS[2:]]


def _as_many_as_differ(curves: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the curves, as many together as can be told apart in one chart."""
    pairs = list(curves.items())
    return (dict(pairs[at : at + MOST_CURVES]) for at in range(0, len(pairs), MOST_CURVES))


def alike(lines: Sequence[Lines]) -> list[list[int]]:
    """Return the groups of runs, by index, whose curves in a chart are the same point by point."""
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(lines):
        if any(value is not None for key, values in one.items() if key != "x" for value in values):
            groups.setdefault(repr(one), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def shortened(value: float | None) -> float | None:
    """Return six digits that count: more than any chart shows, and a third of the bytes."""
    return None if value is None else float(f"{value:.6g}")


def line_rows(label: str, lines: Lines, chart: Chart, width: float) -> Iterator[Row]:
    """Yield the rows that a picture draws of a run; about ten points of a line carry a mark, as on the page."""
    for key, curve in chart.curves.items():
        known = [(x, value) for x, value in zip(lines["x"], lines[key], strict=True) if value is not None]
        every = math.ceil(len(known) / 10)
        for index, (x, value) in enumerate(known):
            mark = int(index % every == 0 or index == len(known) - 1)
            yield {"x": x, "value": value, "mark": mark, "run": label, "curve": curve, "width": width}


def widths(count: int, groups: Sequence[Sequence[int]]) -> list[float]:
    """Return how wide each of ``count`` runs is drawn: of those with the same curves, each leaves the others' edges."""
    wide = [LINE] * count
    for group in groups:
        more = min(MORE, (WIDEST - LINE) / (len(group) - 1))
        for place, index in enumerate(reversed(group)):
            wide[index] = LINE + more * place
    return wide


# --- where points come from ---------------------------------------------------------------------------------------


def _epochs(result: Result) -> Iterator[Point]:
    for record in result.epochs:
        values = {name: metric.value for name, metric in metrics_of(record).items()}
        step = {f"step_{name}": 1000 * seconds for name, seconds in (record.step_seconds or {}).items()}
        memory = {key: _megabytes(getattr(record, key)) for key in ("peak_memory_bytes", "host_memory_bytes")}
        yield record.epoch, {**values, **vars(record), **step, **memory, **_telemetry(record)}


def _telemetry(record: EpochRecord) -> Mapping[str, Any]:
    return vars(record.telemetry) if record.telemetry else {}


def _windows(result: Result) -> Iterator[Point]:
    """Yield throughput and the share of waiting, by the step at the end of each window."""
    batch, before = value_at(result, "config.train.batch_size", 0), 0
    ends: list[tuple[int, Window]] = []
    for record in result.epochs:
        # What was not timed, the warm-up, or what an interrupted run did not keep, comes first.
        step = before + record.steps - sum(window.steps for window in record.windows)
        for window in record.windows:
            step += window.steps
            ends.append((step, window))
        before += record.steps
    for some in _together(ends):
        timing = measure([window for _, window in some], batch)
        yield some[-1][0], {"throughput": timing.throughput, "data_wait": timing.data_wait}


def _readings(result: Result) -> Iterator[Point]:
    """Yield memory in use, by the minutes since the start of the first epoch."""
    begun, samples = 0.0, []
    for record in result.epochs:
        if record.telemetry:
            samples += [(begun + sample.seconds, sample.memory_bytes) for sample in record.telemetry.samples]
        begun += record.seconds.total
    for some in _together(samples):
        known = [memory for _, memory in some if memory is not None]
        yield some[-1][0] / 60, {"memory_in_use": _megabytes(max(known, default=None))}


def _first_steps(result: Result) -> Iterator[Point]:
    """Yield losses and gradient norms of the check of numerics, step by step."""
    check = result.numerics
    parts = {name: getattr(check, name) for name in ("fixed_batch", "float32", "trusted") if getattr(check, name, None)}
    longest = max((len(steps.losses) for steps in parts.values()), default=0)
    for index in range(longest):
        values: dict[str, float | None] = {}
        for name, steps in parts.items():
            values |= {f"{name}_loss": _at(steps.losses, index), f"{name}_norm": _at(steps.grad_norms, index)}
        yield index + 1, values


def _at(values: Sequence[float | None], index: int) -> float | None:
    return values[index] if index < len(values) else None


def _together(points: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the points in order, neighbours together where there are too many to draw."""
    size = max(1, math.ceil(len(points) / MOST_POINTS))
    return (points[at : at + size] for at in range(0, len(points), size))


def _megabytes(size: float | None) -> float | None:
    return None if size is None else size / MEGABYTE


SOURCES: Mapping[str, Callable[[Result], Iterator[Point]]] = {
    "epochs": _epochs,
    "windows": _windows,
    "readings": _readings,
    "first_steps": _first_steps,
}
