"""What the charts draw: curves from all that a result holds, and differences on an axis that no outlier flattens."""

import json
import re
from dataclasses import replace

import pytest
import vl_convert

from clipbench.api.config import NumericsConfig
from clipbench.api.result import FirstSteps, Metric, Numerics, Telemetry, TelemetrySample
from clipbench.report.page.charts import CHARTS, line_chart
from clipbench.report.page.curves import LINE, MOST_POINTS, WIDEST, alike, charts_of, line_rows, lines_of, widths
from clipbench.report.page.differences import differences_of
from clipbench.report.page.runs import Run
from tests.report.test_page import Page
from tests.support.judgements import comparison, verdict
from tests.support.made_results import BATCH, STEPS, made_result
from tests.support.report_results import make_result

ASKED = NumericsConfig(batch_size=8, steps=3, least_fall=0.1, float32_steps=2, largest_error=1e-3)
CHART = {chart.name: chart for chart in CHARTS}


def drawn(result, name):
    return lines_of(result, CHART[name])


def test_throughput_is_drawn_window_by_window_at_its_step():
    result = made_result(windows=10)
    lines = drawn(result, "throughput")
    windows = [window for record in result.epochs for window in record.windows]
    assert lines["throughput"] == [float(f"{BATCH * w.steps / w.seconds:.6g}") for w in windows]
    # Five windows of ten steps each at the end of two epochs: what comes before them was warm-up.
    assert lines["x"] == [*range(STEPS - 40, STEPS + 1, 10), *range(2 * STEPS - 40, 2 * STEPS + 1, 10)]


def test_a_long_run_keeps_its_rate_in_fewer_points():
    result = made_result(noise=0.0, losses=(0.5,))
    (record,) = result.epochs
    result = replace(result, epochs=(replace(record, windows=record.windows[:1] * 4 * MOST_POINTS),))
    lines = drawn(result, "throughput")
    assert len(lines["x"]) == MOST_POINTS
    assert set(lines["throughput"]) == {float(f"{10 * BATCH / 1.0:.6g}")}


def test_step_times_gradient_norms_and_memory_are_drawn_by_epoch():
    result = make_result(0, epochs=2)
    result = replace(
        result, epochs=tuple(replace(r, grad_norm=2.5, peak_memory_bytes=3_000_000) for r in result.epochs)
    )
    step = drawn(result, "step_time")
    assert step["x"] == [1, 2]
    assert step["step_max"] == [pytest.approx(1000 * r.step_seconds["max"], rel=1e-5) for r in result.epochs]
    assert drawn(result, "grad_norm")["grad_norm"] == [2.5, 2.5]
    assert drawn(result, "memory")["peak_memory_bytes"] == [3.0, 3.0]


def test_memory_in_use_is_drawn_over_minutes():
    samples = tuple(TelemetrySample(float(at), None, None, None, None, 1_000_000 * at) for at in (0, 30))
    telemetry = Telemetry("nvml", {}, *[None] * 8, samples, {})
    result = make_result(0, epochs=2)
    result = replace(result, epochs=tuple(replace(record, telemetry=telemetry) for record in result.epochs))
    lines = drawn(result, "memory_in_use")
    second = result.epochs[0].seconds.total
    assert lines["x"] == [pytest.approx(at / 60, rel=1e-5) for at in (0, 30, second, second + 30)]
    assert lines["memory_in_use"] == [0.0, 30.0, 0.0, 30.0]


def test_the_check_of_numerics_is_drawn_step_by_step():
    fixed, trusted = FirstSteps((3.0, 2.0, None), (1.0, 0.9, None)), FirstSteps((3.1, 2.1), (1.1, 0.8))
    check = Numerics(ASKED, fixed_batch=fixed, float32=trusted, trusted=trusted)
    lines = drawn(replace(make_result(0), numerics=check), "check_loss")
    assert lines == {
        "x": [1, 2, 3],
        "fixed_batch_loss": [3.0, 2.0, None],
        "float32_loss": [3.1, 2.1, None],
        "trusted_loss": [3.1, 2.1, None],
    }


def test_the_metrics_of_other_evaluations_have_charts_of_their_own():
    metrics = {f"acc{k}": Metric(50.0, "percent", "higher") for k in range(5)} | {"ece": Metric(0.1, "share", "lower")}
    result = make_result(0, epochs=1)
    result = replace(result, epochs=(replace(result.epochs[0], metrics=metrics),))
    more = [chart for chart in charts_of([result]) if chart not in CHARTS]
    assert [list(chart.curves) for chart in more] == [["acc0", "acc1", "acc2", "acc3"], ["acc4"], ["ece"]]
    assert lines_of(result, more[2])["ece"] == [0.1]


def test_epochs_are_whole_numbers_on_their_axis():
    rows = [row for row in line_rows("a", drawn(make_result(0, epochs=3), "epoch_loss"), CHART["epoch_loss"], LINE)]
    picture = vl_convert.vegalite_to_svg(line_chart(CHART["epoch_loss"], ["a"], fixed=True, rows=rows))
    axis = picture[: picture.index(">epoch</text>")].rpartition('aria-label="X-axis')[2]
    assert [text for text in re.findall(r">([^<]*)</text>", axis) if text] == ["1", "2", "3"]


# --- the same curves ----------------------------------------------------------------------------------------------


def test_runs_with_the_same_curves_are_said_and_drawn_one_inside_the_other(write_report):
    one, other = make_result(0), make_result(1, seed=1)
    page = Page(write_report([one, replace(one, run_id="same"), other])[1])
    (loss,) = (chart for chart in json.loads(page.data)["charts"] if chart["name"] == "epoch_loss")
    assert sorted(loss["widths"]) == [LINE, LINE, pytest.approx(5.5)]
    assert "The same curves, drawn one inside the other: " in page.words
    assert "inside the other: all runs." in page.words  # of the learning rate


def test_only_curves_that_are_the_same_point_by_point_are_alike():
    lines = [{"x": [1, 2], "a": [1.0, 2.0]}, {"x": [1, 2], "a": [1.0, 2.1]}, {"x": [1, 2], "a": [1.0, 2.0]}]
    nothing = {"x": [1, 2], "a": [None, None]}
    assert alike([*lines, nothing, nothing]) == [[0, 2]]
    assert widths(8, [list(range(8))]) == pytest.approx(sorted(widths(8, [list(range(8))]), reverse=True))
    assert widths(8, [list(range(8))])[0] == pytest.approx(WIDEST)


# --- differences --------------------------------------------------------------------------------------------------


def runs(*values, **changes):
    judged = [comparison(verdict(value=90.91 + value, **changes)) for value in values]
    return [Run(f"run {number}", make_result(0, epochs=1), (one,)) for number, one in enumerate(judged)]


def test_one_outlier_stands_named_at_the_edge_and_the_others_keep_their_places():
    found = differences_of(runs(0.1, -0.2, -39.0))
    low, high = found.extent
    assert -4 < low < -1 and high < 1
    ((near,), (other,), (far,)) = found.rows
    assert (near["shown"], near["beyond"], near["far"]) == (pytest.approx(0.1), 0, "")
    assert other["beyond"] == 0
    assert (far["shown"], far["beyond"], far["far"]) == (pytest.approx(low, rel=1e-5), -1, "◂ −39.00  run 2")


def test_a_wide_tolerance_does_not_flatten_the_others():
    close = [verdict(name, value=90.91 + 0.2) for name in ("text_recall_mean", "image_recall_mean", "recall_mean")]
    wide = verdict("acc1", value=61.0, reference=60.0, tolerance=60.0)
    found = differences_of([Run("a", make_result(0, epochs=1), (comparison(*close, wide),))])
    low, high = found.extent
    assert low > -60 and 1.0 < high < 60 and all(row["beyond"] == 0 for row in found.rows[0])
    assert [row["low"] for row in found.rows[0]] == [-close[0].tolerance] * 3 + [low]


def test_without_an_outlier_the_differences_make_the_axis():
    assert differences_of(runs(0.1, -0.9)).extent is None
    assert differences_of(runs(0.0, 0.0)).extent is None
    # Half of them far off: that is what there is to see.
    assert differences_of(runs(0.1, -39.0, -38.0, -40.0)).extent is None


def test_any_figure_in_percent_has_its_difference():
    judged = comparison(verdict("acc1", value=60.0, reference=61.0), verdict("val_loss", value=0.1, reference=0.2))
    found = differences_of([Run("a", make_result(0, epochs=1), (judged,))])
    assert found.metrics == ("Acc1",)
