"""The comparison as people see it, on narrow and wide terminals."""

from io import StringIO

import pytest
from rich.console import Console

from clipbench.compare.verdicts import Against, Cause, Difference, Judgement, Verdict
from clipbench.report.judgement import terminal
from clipbench.report.judgement.terminal import NUMBER_WIDTH, number
from clipbench.results.measures.metrics import RECALL_NAMES
from tests.support.judgements import comparison as any_comparison
from tests.support.judgements import whole

BASELINE = Against("baseline", "nightly", "driver 2", "2026-01-01T00:00:00Z", "NVIDIA H100", ("a", "b"))


def comparison_report(comparisons, problems=(), verbose=False):
    return terminal.comparison_report(Judgement(tuple(comparisons), tuple(problems)), verbose)


def passing(metric, value=85.9, reference=85.7):
    return Verdict(metric, "percent", "higher", value, reference, 1.5, error=2.1)


SPEED = Verdict("throughput", "pairs/s", "higher", 412.3, cause=Cause.NO_FIGURE)
PASSING = (*(passing(name) for name in RECALL_NAMES), SPEED)
LOST = Verdict("text_recall@1", "percent", "higher", 70.0, 85.7, 1.5, cause=Cause.TOLERANCE, limit=1.5)
GONE = Verdict("text_recall@5", "percent", "higher", None, 97.3, 1.0, cause=Cause.NO_VALUE, note="no data")
OTHER = Verdict("image_recall@1", "percent", "higher", 71.0, 71.78, 1.0, cause=Cause.CONDITIONS)


def comparison(status="pass", verdicts=PASSING, run_id="run-1", **others):
    facts = {"runs": (run_id,), "device": "NVIDIA H100", "precision": "float16", "world_size": 2}
    return any_comparison(*verdicts, status=status, **{**facts, **others})


def rendered(renderable, width=80, **options):
    file = StringIO()
    Console(width=width, file=file, **options).print(renderable)
    return file.getvalue()


def row(text, label):
    (found,) = [line.split()[1:] for line in text.splitlines() if line.startswith(label + " ")]
    return found


@pytest.mark.parametrize("width", [80, 120, 200])
def test_every_number_is_whole_at_every_width(width):
    text = rendered(comparison_report([comparison()]), width)
    assert row(text, "result") == ["85.90"] * 9
    assert row(text, "reference") == ["85.70"] * 9
    assert row(text, "diff") == ["+0.20"] * 9
    assert row(text, "+/-") == ["2.10"] * 9
    assert row(text, "gate") == ["pass"] * 9
    assert "\nthroughput: 412.3 pairs/s\n" in text


def test_a_line_fits_79_columns_of_ascii():
    text = rendered(comparison_report([comparison(), comparison("fail", (LOST, GONE, OTHER))]))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 79


def test_blocks_line_up_under_the_header():
    text = rendered(comparison_report([comparison(), comparison()]))
    assert (
        len({len(line.rstrip()) for line in text.splitlines() if line.startswith(("result", "reference", "gate"))}) == 1
    )
    assert ["R@1", "R@5", "R@10", "mean", "R@1", "R@5", "R@10", "mean", "mean"] in map(str.split, text.splitlines())


def test_words_tell_what_colours_tell():
    text = rendered(comparison_report([comparison("fail", (LOST, GONE, OTHER))]), 200)
    assert row(text, "gate") == ["FAIL", "MISS", "n/c"]
    assert "FAIL  run-1" in text
    said = "FAIL mine on 2 x NVIDIA H100: text R@1 is 70.00 %, 15.7 points below the reference's 85.70"
    assert " ".join(text.split()).startswith(said)
    assert "  - text R@5 is missing: no data" in text and text.count("text R@1 is 70.00 %") == 1
    assert "\x1b" not in text
    assert "\x1b" in rendered(
        comparison_report([comparison("fail", (LOST,))]), color_system="standard", force_terminal=True
    )


def test_what_is_neither_pass_nor_fail_has_words_of_its_own():
    causes = {"better": Cause.BETTER, "inconclusive": Cause.CHANCE, "pass": Cause.WARN}
    verdicts = [
        Verdict(name, "percent", "higher", 90.0, 85.0, 1.0, 0.6, cause, 1.0, 0.04)
        for name, (status, cause) in zip(RECALL_NAMES, causes.items(), strict=False)
    ]
    shown = comparison("inconclusive", verdicts, against=BASELINE)
    text = rendered(comparison_report([shown]))
    assert row(text, "gate")[:3] == ["BETTER", "unsure", "warn"]
    assert row(text, "baseline")[:3] == ["85.00"] * 3
    assert "against nightly (2 runs)" in text
    assert text.startswith("INCONCLUSIVE mine on 2 x NVIDIA H100: text R@5 rose from 85.00 to 90.00 %,")
    assert "- better: text R@1 rose from 85.00 to 90.00 %" in text and "- warn: text R@10 rose" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_differs_is_said_and_what_was_allowed():
    found = (
        Difference("device", "environment.device.name", "Card 2", "Card 1", "all", True),
        *(Difference("", f"environment.packages.p{k}", "2", "1", "nothing") for k in range(10)),
    )
    text = rendered(comparison_report([comparison(against=BASELINE, differences=found)]), 200).replace("\n", " ")
    assert "- allowed: environment.device.name is Card 2, the baseline has Card 1" in text
    assert "changed since the baseline: p0 1 to 2, p1 1 to 2," in text and "2 more (--format json has all)" in text


def test_figures_of_a_whole_run_are_shown_with_their_gate():
    verdicts = (
        Verdict("seconds_to_quality", "s", "lower", None, 10.0, cause=Cause.NO_VALUE, note="never reached"),
        Verdict("loss_curve", "percent", "lower", 1.5, 0.0, 5.0),
    )
    text = rendered(comparison_report([comparison("fail", verdicts)]))
    assert "time to quality: - s, reference 10.0, gate MISS" in text
    assert "loss curve: 1.50 %, gate pass" in text


def test_metrics_that_the_reference_does_not_know_are_listed():
    unknown = Verdict("val_loss", "nats", "lower", 0.25, cause=Cause.NO_FIGURE)
    text = rendered(comparison_report([comparison(verdicts=(*PASSING, unknown))]))
    assert "\nonly shown: validation loss 0.2500 nats\n" in text


def test_a_result_without_reference_shows_its_own_numbers():
    text = rendered(
        comparison_report([comparison("no reference", (SPEED,), against=None, **whole("no reference", None))])
    )
    assert "\nthroughput: 412.3 pairs/s\n" in text
    assert text.startswith("NO REFERENCE mine on 2 x NVIDIA H100: the suite names no reference\n")
    assert not any(line.startswith(("reference", "gate ")) for line in text.splitlines())


def test_a_gated_figure_without_a_column_is_shown_too():
    verdicts = (Verdict("val_loss", "nats", "lower", 0.5, 0.25, 0.1, cause=Cause.TOLERANCE),)
    assert "validation loss: 0.5000 nats, reference 0.2500, gate FAIL" in rendered(
        comparison_report([comparison("fail", verdicts)])
    )


def test_brackets_in_names_and_reasons_are_text():
    failed = comparison("failed case", run_id="run[bold]", **whole("failed case", "[red]x[/red] [/]"))
    text = rendered(comparison_report([failed], ["[x].json: [/y]"]))
    for part in ("run[bold]", "[x].json: [/y]"):
        assert part in text
    assert "[red]x[/red] [/]" in rendered(comparison_report([failed]))


def test_words_are_explained_where_they_are_there_and_all_of_them_when_verbose():
    plain = rendered(comparison_report([comparison()]))
    assert "image -> text recall" not in plain and "unsure" not in plain and "none" not in plain
    assert "MISS: gated, but the result does not have it" in rendered(comparison_report([comparison("fail", (GONE,))]))
    verbose = rendered(comparison_report([comparison("fail", (LOST, GONE))], verbose=True))
    for word in ("image -> text recall", "unsure: ", "BETTER: ", "n/c: "):
        assert word in verbose


def test_a_throughput_is_told_with_the_share_that_it_differs_by():
    slower = Verdict("throughput", "pairs/s", "higher", 373.1, 516.2, 15.5, cause=Cause.TOLERANCE, limit=15.5)
    text = rendered(comparison_report([comparison("fail", (slower,), against=BASELINE)]))
    assert "throughput: 373.1 pairs/s, baseline 516.2 (-27.7 %), gate FAIL" in text


def test_of_several_results_each_block_has_its_own_sentence():
    text = rendered(comparison_report([comparison(), comparison("fail", (LOST,), run_id="run-2")]), 200)
    assert text.startswith("FAIL mine lost 15.7 points of text R@1 on 1 of 2 runs (at most 1.5 points is")
    assert "\nPASS mine on 2 x NVIDIA H100: all 9 gated metrics are within what is allowed" in text


def test_a_long_run_id_is_folded_not_cut():
    run_id = "suite@" + "train.lr=1e-6," * 10
    assert run_id in rendered(comparison_report([comparison(run_id=run_id)])).replace("\n", "")


def test_the_last_line_is_the_verdict():
    text = rendered(comparison_report([], ["x.json: broken"]))
    assert "- x.json: broken" in text
    assert "1 refused file: exit code 3" in text.splitlines()[-2] + text.splitlines()[-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (100.0, "100.00"),
        (1234.56, "1234.6"),
        (123456.7, "123457"),
        (-100.0, "-100.0"),
        (1e30, "1e+30"),
    ],
)
def test_a_number_fits_its_column(value, text):
    assert number(value) == text


def test_sizes_of_a_metric_fit():
    assert all(len(number(value)) <= NUMBER_WIDTH for value in (0.0, 99.999, 99_999.9, -99.99, 5e-9, 999_999.4))
