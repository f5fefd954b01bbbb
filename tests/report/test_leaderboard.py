"""The leaderboard: who has which place, and what the page says of it."""

import json
from dataclasses import replace

import pytest

from clipbench.compare.gate import Request, load
from clipbench.compare.leaderboard import leaderboards
from clipbench.results.result import read_result, write_result
from tests.support.made_results import agreeing, changed, made_result
from tests.support.stored_results import run


def on(device, run_id, **made):
    """A result on a device, which names the reference of these tests."""
    result = changed(made_result(run_id, **made), "environment.device.name", device)
    return agreeing(replace(result, reference="made", config={**result.config, "reference": "made"}))


@pytest.fixture
def reference(tmp_path):
    """A reference that the made results pass, with a target that they reach."""
    path = tmp_path / "references" / "made.json"
    path.parent.mkdir()
    value = made_result().value("recall_mean")
    metrics = {"recall_mean": {"value": value, "unit": "percent", "direction": "higher", "tolerance": {"absolute": 3}}}
    about = {"summary": "made", "source": "a test", "date": "2026-01-01", "device": None, "precision": None}
    document = {"kind": "clipbench.reference", "schema_version": 1, "name": "made", **about, "batch_size": None}
    document |= {"epochs": None, "conditions": {}, "target": value - 5, "metrics": metrics}
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for result in (
        on("Fast card", "fast"),
        on("Slow card", "slow", slower=0.5),
        on("Slow card", "slower", slower=0.6),
        on("Wrong card", "wrong", lost=0.5, slower=-0.5),
    ):
        write_result(folder, result)
    return folder


def board(results, reference):
    request = Request((results,), (reference.parent,), all_runs=True)
    (only,) = leaderboards(request, load(request))
    return only


def test_quality_comes_first_and_then_speed(results, reference):
    rows = board(results, reference).rows
    assert [(row.place, row.result.run_id) for row in rows] == [(1, "fast"), (2, "slow"), (None, "wrong")]
    assert [row.runs for row in rows] == [1, 2, 1]
    assert rows[0].per_device == pytest.approx(rows[0].throughput)


def test_several_devices_are_another_row_and_share_their_speed(results, reference):
    four = on("Fast card", "four")
    four = replace(four, config={**four.config, "world_size": 4})
    rows = {row.result.run_id: row for row in board_of(results, reference, agreeing(four))}
    assert {"fast", "four"} <= set(rows)
    assert rows["four"].per_device == pytest.approx(rows["four"].throughput / 4)


def board_of(results, reference, more):
    write_result(results, more)
    return board(results, reference).rows


def test_the_page_links_each_row_to_its_result(results, reference, tmp_path):
    out = tmp_path / "board"
    price = ("--price", "Fast card=9,999 EUR")
    run("report", str(results), "--leaderboard", "--references", str(reference.parent), *price, "--out", str(out))
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.index("Fast card") < page.index("Slow card") < page.index("Wrong card")
    assert "9,999 EUR" in page and "best of 2 runs" in page and "no place: FAIL" in page
    linked = sorted(path.stem for path in (out / "results").glob("*.json"))
    assert linked == ["fast", "slow", "wrong"] and all(f'href="results/{name}.json"' in page for name in linked)
    assert read_result(out / "results" / "fast.json") == read_result(results / "fast.json")


def test_names_of_devices_are_text_and_never_html(results, reference, tmp_path):
    write_result(results, on("<script>alert(1)</script>", "script"))
    out = tmp_path / "board"
    run("report", str(results), "--leaderboard", "--references", str(reference.parent), "--out", str(out))
    assert "<script" not in (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--leaderboard", "--price", "No card=5"], "there are: Fast card, Slow card, Wrong card"),
        (["--leaderboard", "--price", "5"], "expected DEVICE=PRICE"),
        (["--leaderboard", "--run", "fast"], "takes no --run"),
        (["--price", "Fast card=5"], "add --leaderboard"),
    ],
)
def test_what_does_not_fit_together_is_said(results, reference, tmp_path, words, said):
    folders = ("--references", str(reference.parent), "--out", str(tmp_path / "board"))
    assert said in " ".join(run("report", str(results), *words, *folders, code=2).split())


def test_without_a_compared_result_nothing_is_written(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    run("report", str(empty), "--leaderboard", "--out", str(tmp_path / "board"), code=4)
    assert not (tmp_path / "board").exists()
