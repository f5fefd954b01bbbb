"""The tables of the page: runs, and the configurations of a suite."""

from dataclasses import replace

import pytest

from clipbench.compare.history import judge_history
from clipbench.report.page.tables import MOST_ROWS, columns_of, run_rows, suite_tables
from clipbench.results.collecting.collect import Collection
from tests.compare.test_deciding import figure, figures
from tests.support.made_results import changed, failed, made_result, with_metric


def dated(index, **changes):
    return replace(
        made_result(f"run-{index:03d}", **changes), started=f"2026-01-01T00:{index:02d}:00Z", reference="figures"
    )


def history(*results, chosen=()):
    reference = figures({"recall_mean": figure(93.0)})
    return judge_history(Collection(results, {"figures": reference}), lambda newest: chosen)


def in_precision(result, precision):
    case = f"quickstart@precision={precision}"
    return replace(changed(result, "environment.device.precision", precision), case=case)


MATRIX = [
    *(in_precision(dated(index, seed=index, slower=0.5), "float32") for index in range(2)),
    *(in_precision(dated(index, seed=index, lost=0.05 * index), "bfloat16") for index in range(2, 4)),
]


def test_a_matrix_is_a_table_of_configurations_by_metrics():
    (table,) = suite_tables(history(*MATRIX).newest)
    assert table.keys == ("precision",)
    rows = {row.traits["precision"]: row for row in table.rows}
    assert {name: row.runs for name, row in rows.items()} == {"bfloat16": 2, "float32": 2}
    assert {name: row.status for name, row in rows.items()} == {"bfloat16": "fail", "float32": "pass"}
    recall, speed = (
        {name: row.cells[metric] for name, row in rows.items()} for metric in ("recall_mean", "throughput")
    )
    assert recall["float32"].best and not recall["bfloat16"].best
    assert speed["bfloat16"].best and speed["bfloat16"].mean == pytest.approx(2 * speed["float32"].mean, rel=0.05)
    assert recall["float32"].spread == pytest.approx(0.0) and recall["bfloat16"].spread > 0.5


def test_numbers_sort_by_what_they_are():
    batches = [changed(dated(n), "config.train.batch_size", size) for n, size in enumerate((100, 50, 9))]
    (table,) = suite_tables(history(*(replace(r, case=f"c{i}") for i, r in enumerate(batches))).newest)
    assert [row.traits["train.batch_size"] for row in table.rows] == ["9", "50", "100"]


def test_one_configuration_is_no_table():
    assert suite_tables(history(dated(0, seed=0), dated(1, seed=1)).newest) == []


def test_a_metric_that_nobody_foresaw_is_a_column():
    made = with_metric(dated(0), "acc@3", value=71.5, unit="percent", direction="higher")
    points = history(made).newest
    columns = {column.metric: column for column in columns_of(points)}
    assert list(columns)[:2] == ["recall_mean", "throughput"] and columns["acc@3"].unit == "percent"
    assert "text_recall@1" not in columns


def test_the_table_of_runs_is_bounded_and_has_those_in_full():
    first = dated(0)
    results = [
        replace(first, run_id=f"r{n:04d}", started=f"2026-02-01T{n // 60:02d}:{n % 60:02d}:00Z")
        for n in range(MOST_ROWS + 5)
    ]
    rows = run_rows(history(*results, chosen=["r0001"]))
    assert len(rows) == MOST_ROWS + 1
    assert rows[0].point.result.run_id == results[-1].run_id
    assert [row.point.result.run_id for row in rows if row.shown is not None] == ["r0001"]


def test_a_failed_case_has_a_row_without_figures():
    (row,) = run_rows(history(failed(dated(0))))
    assert row.point.status == "failed case" and columns_of([row.point]) == ()
