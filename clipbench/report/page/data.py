"""Facts of the runs side by side, and every result over time: plain data, nothing drawn yet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipbench.api.plain import leaves, to_plain
from clipbench.api.result import Result
from clipbench.compare.comparing import ordered
from clipbench.compare.history import Band, History, Series, commits_of
from clipbench.compare.trend import age
from clipbench.report.metric_words import unit_words
from clipbench.report.page.curves import shortened
from clipbench.report.page.runs import Run
from clipbench.report.page.words import metric_words, when
from clipbench.report.quantity import DECIMALS
from clipbench.results.result import from_utc

# Rows that differ between any two runs, which means nothing.
VOLATILE = ("run id", "started", "minutes", "config_sha256")
ENVIRONMENT = ("device", "packages", "plugins", "variables")  # sections of their own; the rest is the host
Row = dict[str, Any]


# --- environment and configuration --------------------------------------------------------------------------------


def facts(result: Result) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield environment, inputs and configuration of a result: section and key, value in words."""
    minutes = (from_utc(result.ended) - from_utc(result.started)).total_seconds() / 60
    environment = result.environment or {}
    sections = {
        "Run": {
            "run id": result.run_id,
            "started": when(result.started),
            "minutes": round(minutes, 1),
            "suite": result.suite,
            "case": result.case,
            "seed": result.seed,
            "clipbench": result.clipbench.version,
            "commit": result.clipbench.commit,
            "uncommitted changes": result.clipbench.dirty,
        },
        **{name.capitalize(): environment.get(name, {}) for name in ENVIRONMENT},
        "Host": {key: value for key, value in environment.items() if key not in ENVIRONMENT},
        "Data": to_plain(result.dataset),
        "Weights": to_plain(result.weights),
        "Text weights": to_plain(result.text_weights),
        "Vocabulary": to_plain(result.vocabulary),
        "Model": result.model,
        "Configuration": {k: v for k, v in result.config.items() if k not in ("name", "suite", "seed")},
    }
    for section, values in sections.items():
        for key, value in leaves(values or {}):
            yield (section, key), _worded(value)


def fact_table(runs: Sequence[Run]) -> list[Row]:
    """Return the facts of all runs side by side: section, key, a value for each run, and whether they differ."""
    by_run = [dict(facts(run.result)) for run in runs]
    pairs = dict.fromkeys(pair for one in by_run for pair in one)
    sections = list(dict.fromkeys(section for section, _ in pairs))
    rows: list[Row] = []
    for section, key in sorted(pairs, key=lambda pair: sections.index(pair[0])):
        values = [one.get((section, key), "–") for one in by_run]
        differs = len(set(values)) > 1 and key not in VOLATILE
        rows.append({"section": section, "key": key, "values": values, "differs": differs})
    return rows


def _worded(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if value is not None else "none"


# --- history ------------------------------------------------------------------------------------------------------


def history_data(history: History) -> dict[str, Any]:
    """Return every series for the page, by columns: what many results share is there once."""
    points = [point for series in history.series for point in series.points]
    commits = commits_of(sorted(points, key=lambda point: age(point.result)))
    statuses = sorted({point.status for point in points})
    gates = sorted({verdict.label for point in points for verdict in point.verdicts.values()})
    return {
        "commits": [(commit or "none")[:10] for commit in commits],
        "statuses": statuses,
        "gates": gates,
        "series": [_series(series, commits, statuses, gates) for series in history.series],
    }


def _series(series: Series, commits: Sequence[str | None], statuses: Sequence[str], gates: Sequence[str]) -> Row:
    points = series.points
    measured = ordered(v.metric for point in points for v in point.verdicts.values() if v.value is not None)
    numbers = {commit: number for number, commit in enumerate(commits)}
    return {
        "name": series.key.label,
        "runs": [point.result.run_id for point in points],
        "seconds": [int(from_utc(point.result.started).timestamp()) for point in points],
        "commit": [numbers[point.result.clipbench.commit] for point in points],
        "dirty": [place for place, point in enumerate(points) if point.result.clipbench.dirty],
        "status": [statuses.index(point.status) for point in points],
        "metrics": [_metric(series, name, gates) for name in measured],
    }


def _metric(series: Series, name: str, gates: Sequence[str]) -> Row:
    verdicts = [point.verdicts.get(name) for point in series.points]
    unit = next((verdict.unit for verdict in reversed(verdicts) if verdict), "")
    return {
        "name": name,
        "words": metric_words(name),
        "unit": unit_words(unit),
        "decimals": DECIMALS.get(unit),
        "values": [shortened(verdict.value) if verdict else None for verdict in verdicts],
        "gates": [gates.index(verdict.label) if verdict else -1 for verdict in verdicts],
        "against": "baseline" if name in series.baselines else "reference",
        "bands": [_band(band, unit) for band in series.bands(name)],
    }


def _band(band: Band, unit: str) -> list[float | int | None]:
    high = min(band.high, 100.0) if band.high is not None and unit == "percent" else band.high
    return [band.start, *(shortened(value) for value in (band.reference, band.low, high))]


def long_series(data: Mapping[str, Any]) -> int:
    """Return the series to show first: the newest that was measured more than once, else the newest."""
    return next((n for n, one in enumerate(data["series"]) if len(one["runs"]) > 1 and one["metrics"]), 0)


def history_rows(data: Mapping[str, Any], series: Mapping[str, Any], metric: Mapping[str, Any]) -> list[Row]:
    """Return the rows that the chart by date draws of one metric of a series; the page's script makes the same."""
    xs = [seconds * 1000 for seconds in series["seconds"]]
    rows: list[Row] = [
        {"x": x, "value": value, "status": data["gates"][gate], "band": False}
        for x, value, gate in zip(xs, metric["values"], metric["gates"], strict=True)
        if value is not None and gate >= 0
    ]
    rows.sort(key=lambda row: row["status"] != "pass")  # what does not pass is drawn on top
    ends = [[len(xs) - 1, *band[1:]] for band in metric["bands"][-1:]]  # the last one holds until the newest result
    for start, reference, low, high in [*metric["bands"], *ends]:
        rows.append({"x": xs[start], "reference": reference, "low": low, "high": high, "band": True})
    return rows
