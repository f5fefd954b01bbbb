"""What the page is made of: plain data from results and their comparisons, nothing drawn yet."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipbench.compare.history import Band, band_around, bands, commits_of
from clipbench.compare.verdicts import Verdict
from clipbench.report.page.charts import EPOCH_CHARTS
from clipbench.report.page.judging import Judged, Run
from clipbench.report.page.words import figure, metric_words, unit_words, when
from clipbench.results.metrics import RECALL_NAMES, UNITS_AND_DIRECTIONS
from clipbench.results.references import finite_number
from clipbench.results.result import Result

# Rows that differ between any two runs, and say nothing by it.
VOLATILE = {"run id", "started", "minutes", "config_sha256"}
Row = dict[str, Any]


def curves(result: Result) -> dict[str, list[float | None]]:
    """The values of every chart over the epochs, one list for each key, and ``epoch`` itself."""
    keys = [curve.key for chart in EPOCH_CHARTS for curve in chart.curves]
    found: dict[str, list[float | None]] = {"epoch": [], **{key: [] for key in keys}}
    for record in result["epochs"]:
        values = {**(record["recall"] or {}), **{key: value for key, value in record.items() if key != "recall"}}
        found["epoch"].append(record["epoch"])
        for key in keys:
            found[key].append(shortened(finite_number(values.get(key))))
    return found


def epoch_rows(run: Run, chart: int) -> Iterator[Row]:
    """The rows that a chart draws of a run; about ten points of a line carry a mark."""
    values = curves(run.result)
    for curve in EPOCH_CHARTS[chart].curves:
        there = [(epoch, v) for epoch, v in zip(values["epoch"], values[curve.key], strict=True) if v is not None]
        every = math.ceil(len(there) / 10)
        for index, (epoch, value) in enumerate(there):
            mark = int(index % every == 0 or index == len(there) - 1)
            yield {"epoch": epoch, "value": value, "mark": mark, "run": run.label, "curve": curve.label}


def difference_rows(run: Run) -> list[Row]:
    """How far each recall is from what it was held against first, in points of percent."""
    return [
        {
            "run": run.label,
            "metric": metric_words(verdict.metric),
            "difference": shortened(verdict.difference),
            "low": None if verdict.tolerance is None else -verdict.tolerance,
            "words": f"{figure(verdict.value, verdict.unit)} % ({figure(verdict.difference, verdict.unit, '+')}): "
            + verdict.label,
        }
        for verdict in run.comparisons[0].verdicts
        if verdict.metric in RECALL_NAMES and verdict.difference is not None
    ]


def verdict_row(verdict: Verdict) -> Row:
    """One metric of a result for its table, every cell in words."""
    allowed = "–"
    if verdict.tolerance is not None:
        sign = "\N{MINUS SIGN}" if verdict.direction == "higher" else "+"
        allowed = sign + figure(verdict.tolerance, verdict.unit)
    difference = figure(verdict.difference, verdict.unit, "+")
    if verdict.error is not None and verdict.difference is not None:
        difference += f" ± {figure(verdict.error, verdict.unit)}"
    return {
        "metric": metric_words(verdict.metric),
        "name": verdict.metric,
        "unit": unit_words(verdict.unit),
        "value": figure(verdict.value, verdict.unit),
        "reference": figure(verdict.reference, verdict.unit),
        "difference": difference,
        "apart": figure(verdict.difference, verdict.unit, "+"),
        "allowed": allowed,
        "status": verdict.status,
        "label": verdict.label,
        "reason": verdict.reason if verdict.status != "ungated" else None,
    }


def facts(result: Result) -> Iterator[tuple[str, str, str]]:
    """Environment, inputs and configuration of a result: section, key, value in words."""
    minutes = (_time(result["ended"]) - _time(result["started"])).total_seconds() / 60
    about = {
        "run id": result["run_id"],
        "started": when(result["started"]),
        "minutes": round(minutes, 1),
        "suite": result["suite"],
        "case": result["case"],
        "seed": result["seed"],
        "clipbench": result["clipbench"]["version"],
        "commit": result["clipbench"]["commit"],
        "uncommitted changes": result["clipbench"]["dirty"],
    }
    environment = dict(result["environment"] or {})
    sections = {
        "Run": about,
        "Device": environment.pop("device", {}),
        "Packages": environment.pop("packages", {}),
        "Plugins": environment.pop("plugins", {}),
        "Variables": environment.pop("variables", {}),
        "Host": environment,
        "Data": result["dataset"] or {},
        "Weights": result["weights"] or {},
        "Model": result["model"] or {},
        "Configuration": {k: v for k, v in result["config"].items() if k not in ("name", "suite", "seed")},
    }
    for section, values in sections.items():
        for key, value in _leaves(values):
            yield section, key, _worded(value)


def fact_table(runs: Sequence[Run]) -> list[Row]:
    """The facts of all runs side by side: section, key, a value for each run, and whether they differ."""
    found = [{(section, key): value for section, key, value in facts(run.result)} for run in runs]
    order: dict[str, list[str]] = {}
    for one in found:
        for section, key in one:
            keys = order.setdefault(section, [])
            if key not in keys:
                keys.append(key)
    rows = []
    for section, keys in order.items():
        for key in keys:
            values = [one.get((section, key), "–") for one in found]
            rows.append(
                {
                    "section": section,
                    "key": key,
                    "values": values,
                    "differs": len(set(values)) > 1 and key not in VOLATILE,
                }
            )
    return rows


def history_data(judged: Judged) -> dict[str, Any]:
    """Every series for the page, by columns: what many results share is there once."""
    points = [point for series in judged.series for point in series.points]
    commits = list(commits_of(sorted(points, key=lambda point: point.started)))
    number = {commit: index for index, commit in enumerate(commits)}
    statuses = sorted({point.status for point in points})
    gates = sorted({gate.status for point in points for gate in point.gates.values()})
    return {
        "commits": [(commit or "none")[:10] for commit in commits],
        "statuses": statuses,
        "gates": gates,
        "series": [_series(judged, index, number, statuses, gates) for index in range(len(judged.series))],
    }


def _series(
    judged: Judged, index: int, number: Mapping[str | None, int], statuses: list[str], gates: list[str]
) -> dict[str, Any]:
    series = judged.series[index]
    points = series.points
    metrics = [name for name in UNITS_AND_DIRECTIONS if any(point.values.get(name) is not None for point in points)]
    metrics += sorted({n for p in points for n, v in p.values.items() if v is not None} - set(metrics))
    units = {name: unit for point in points for name, unit in point.units.items()}
    return {
        "name": series.name,
        "runs": [point.run_id for point in points],
        "seconds": [int(_time(point.started).timestamp()) for point in points],
        "commit": [number[point.commit] for point in points],
        "status": [statuses.index(point.status) for point in points],
        "metrics": [
            {
                "name": name,
                "words": metric_words(name),
                "unit": unit_words(units.get(name, "")),
                "values": [shortened(point.values.get(name)) for point in points],
                "gates": [gates.index(p.gates[name].status) if name in p.gates else -1 for p in points],
                "against": "baseline" if (index, name) in judged.bands else "reference",
                "bands": [_band(band, units.get(name)) for band in _bands_of(judged, index, name)],
            }
            for name in metrics
        ],
    }


def _bands_of(judged: Judged, index: int, metric: str) -> tuple[Band, ...]:
    """The baseline's, which holds for the whole series, or else those of the references that its results had."""
    if (index, metric) in judged.bands:
        reference, tolerance = judged.bands[index, metric]
        return (band_around(0, reference, tolerance),)
    return bands(judged.series[index].points, metric)


def _band(band: Band, unit: str | None) -> list[float | int | None]:
    high = min(band.high, 100.0) if band.high is not None and unit == "percent" else band.high
    return [band.start, *(shortened(value) for value in (band.reference, band.low, high))]


def long_series(history: Mapping[str, Any]) -> int:
    """The series to show first: the newest that was measured more than once, else the newest."""
    return next((n for n, one in enumerate(history["series"]) if len(one["runs"]) > 1 and one["metrics"]), 0)


def history_rows(history: Mapping[str, Any], series: int, metric: int, by: str) -> list[Row]:
    """The rows that the history chart draws of one metric of one series; the page's script makes the same."""
    one = history["series"][series]
    data = one["metrics"][metric]
    slots = sorted(set(one["commit"]))
    xs = [s * 1000 for s in one["seconds"]] if by == "date" else [slots.index(commit) for commit in one["commit"]]
    rows: list[Row] = [
        {"x": x, "value": value, "status": history["gates"][gate], "band": False}
        for x, value, gate in zip(xs, data["values"], data["gates"], strict=True)
        if value is not None and gate >= 0
    ]
    rows.sort(key=lambda row: row["status"] != "pass")  # what does not pass is drawn on top
    ends = [[len(xs) - 1, *band[1:]] for band in data["bands"][-1:]]  # the last one holds until the newest result
    for start, reference, low, high in [*data["bands"], *ends]:
        rows.append({"x": xs[start], "reference": reference, "low": low, "high": high, "band": True})
    return rows


def shortened(value: float | None) -> float | None:
    """Six digits that count: more than any chart shows, and a third of the bytes."""
    return None if value is None else float(f"{value:.6g}")


def _time(utc: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(utc[:19] + "+00:00")


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), value


def _worded(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if value is not None else "none"
