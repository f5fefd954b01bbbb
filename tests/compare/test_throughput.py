"""One throughput for a run, whoever shows it."""

import json

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from tests.support.made_results import made_result
from tests.support.stored_results import run, stored


def test_run_compare_trend_and_baseline_show_the_same_figure(place):
    """The last epoch is fast and one window stalls: a mean of windows and a figure of one epoch would both differ."""
    stored(made_result("old", draw=3), "earlier")
    result = made_result("new", draw=1, losses=(0.5, 0.25, 0.25), stalled=9.0)
    windows = [window for record in result.epochs for window in record.windows]
    wanted = 50 * sum(w.steps for w in windows) / sum(w.seconds for w in windows)
    assert result.value("throughput") == pytest.approx(wanted)
    assert abs(result.epochs[-1].throughput - wanted) > 1
    stored(result, "new")
    asked = ("compare", "new", "--baseline", "earlier", "--reference", "own", "--format", "json")
    both = json.loads(CliRunner().invoke(main, asked).output)
    figures = [v["value"] for c in both["comparisons"] for v in c["verdicts"] if v["metric"] == "throughput"]
    assert figures == pytest.approx([wanted, wanted])
    (trend,) = json.loads(run("trend", "new", "--metric", "pairs/s", "--format", "json"))["trends"]
    assert (trend["metric"], trend["unit"]) == ("throughput", "pairs/s")
    assert trend["measurements"][0]["value"] == pytest.approx(wanted)
    run("baseline", "set", "new/new.json", "--reason", "why")
    assert json.loads(run("baseline", "list", "--format", "json"))[0]["metrics"]["throughput"] == pytest.approx(wanted)
