"""The HTML report through its command: what is on the page, what it costs, and what cannot get into it."""

import importlib.util
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api.result import Metrics
from clipbench.report.page.charts import MOST_RUNS
from clipbench.report.page.template import embedded
from clipbench.results.measures.metrics import summarise
from tests.support.report_results import HOSTILE, failed, make_result
from tests.support.stored_results import run, stored


class Page(HTMLParser):
    """Elements of a page, and the text outside its scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self.data, self._inside = [], "", "", None
        self.source = (path / "index.html").read_text(encoding="utf-8")
        self.feed(self.source)
        self.words = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._inside = dict(attributes).get("id") or tag

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data):
        if self._inside is None:
            self.text += f"{data} "
        elif self._inside == "data":
            self.data += data

    def all(self, tag, **wanted):
        return [a for name, a in self.elements if name == tag and all(a.get(k) == v for k, v in wanted.items())]


@pytest.fixture(scope="module")
def page(report):
    return Page(report)


def test_the_verdict_comes_first(page):
    """Seeds 0 and 1 of one device, seed 0 of the other: what is newest passes, whatever an older result came to."""
    assert page.words.index("PASS") < page.words.index("Reference quickstart")
    assert "The newest result of each case, device and seed: 3 pass" in page.words
    assert "All 12 results on this page: 1 fail, 11 pass." in page.words
    assert "exit code 1, a gate failed" in page.words


def test_a_page_says_fail_when_the_newest_result_fails(write_report):
    _, out = write_report([make_result(0), make_result(1, loss=12)])
    page = Page(out)
    assert "hero fail" in [attributes.get("class") for attributes in page.all("section")]
    assert "FAIL" in page.words and "(at most 1.7 points is allowed)" in page.words


def test_with_many_results_the_first_sentence_is_what_was_found(write_report):
    made = [make_result(index, seed=index, loss=39 if index in (1, 4) else 0) for index in range(9)]
    page = Page(write_report(made)[1])
    finding = "FAIL quickstart lost up to 38.8 points of recall mean on 2 of 9 runs (at most 1.7 points is allowed)"
    assert finding in page.words
    assert page.words.index(finding) < page.words.index("The newest result of each")
    # These two are among the runs in full, though six others are newer.
    assert json.loads(page.data)["runs"] == ["seed 4", "seed 1", "seed 8", "seed 7", "seed 6", "seed 5"]


def test_there_is_no_tile_without_a_figure(write_report, page):
    assert len(page.all("div", **{"class": "tile"})) == 4
    broken = replace(failed(make_result(0)), epochs=(), metrics=Metrics(), query_ranks=None)
    alone = Page(write_report([broken])[1])
    assert not alone.all("div", **{"class": "tile"}) and "hero failed-case alone" in alone.source


def test_a_run_is_called_by_what_tells_it_apart_and_a_dirty_tree_is_marked(write_report):
    one = make_result(0, commit="1" * 40)
    other = replace(one, run_id="quickstart-other", clipbench=replace(one.clipbench, dirty=True))
    page = Page(write_report([one, other, make_result(1, seed=3)])[1])
    assert set(json.loads(page.data)["runs"]) == {"seed 0, 1111111 dirty", "seed 0, 1111111", "seed 3"}
    marked = [title for title in page.all("span") if "uncommitted" in title.get("title", "")]
    assert len(marked) == 2  # in the table of runs, and under its verdict


def test_several_configurations_of_a_suite_are_a_table(page, write_report):
    table = page.words[page.words.index("The newest runs of each configuration") : page.words.index("Verdicts 6")]
    assert re.search(r"device .*✓ pass Other Card 1 .*✓ pass Test Card 2 ", table) and "★" in table and "±" in table
    assert page.all("a", href="#configurations")
    assert "Configurations" not in Page(write_report([make_result(0), make_result(1, seed=1)])[1]).words


def test_a_figure_has_the_decimals_of_its_metric_everywhere(write_report):
    page = Page(write_report([make_result(0)])[1])
    losses = re.findall(r"loss nats ([0-9.]+) ([0-9.]+) (\S+) (\S+)", page.words)
    assert losses and all(len(figure.rpartition(".")[2]) == 4 for row in losses for figure in row)
    (throughput,) = (m for m in json.loads(page.data)["history"]["series"][0]["metrics"] if m["name"] == "throughput")
    assert throughput["decimals"] == 1 and re.search(r"Throughput 1,\d\d\d\.\d pairs/s", page.words)


def test_nothing_is_loaded_from_elsewhere(page):
    for name, attributes in page.elements:
        for key in ("src", "href", "action", "data", "poster"):
            assert not attributes.get(key) or attributes[key].startswith("#"), (name, attributes)
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'") and "http" not in policy["content"]


def test_nothing_moves_for_whoever_asked_for_that(page):
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)[1]
    smooth = "@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }"
    assert style.count(smooth) == style.count("scroll-behavior") == 1
    assert "transition" not in style and "animation" not in style


def test_the_libraries_are_there_once(page):
    assert page.source.count("window.vegaEmbed") == 1


def test_what_differs_is_marked_in_words(page):
    facts = page.words[page.words.index("What differs between these runs") :]
    differing = facts[: facts.index("Everything")]
    assert "seed ≠ differs" in differing and "name ≠ differs Other Card Test Card Test Card" in differing
    assert "train.lr" not in differing and "train.lr" in facts
    assert "started" not in differing


def test_the_newest_are_shown_in_full_and_all_in_the_history(page, results):
    """The newest of each series and seed before older ones."""
    data = json.loads(page.data)
    newest = [results[index] for index in (11, 9, 8, 10, 7, 6)]
    (loss,) = (chart for chart in data["charts"] if chart["name"] == "epoch_loss")
    assert [line["train_loss"][0] for line in loss["lines"]] == [
        float(f"{result.epochs[0].train_loss:.6g}") for result in newest
    ]
    shown = [run for series in data["history"]["series"] for run in series["runs"]]
    assert sorted(shown) == sorted(result.run_id for result in results)


def test_runs_are_chosen_by_their_id(write_report, results):
    wanted = [results[3].run_id, results[7].run_id]
    outcome, out = write_report(results, "--run", wanted[0], "--run", wanted[1])
    assert outcome.exit_code == 0
    assert [box["data-switch"] for box in Page(out).all("input", type="checkbox")] == ["0", "1"]
    assert all(run_id in Page(out).words for run_id in wanted)


def test_a_baseline_is_judged_too_and_its_band_is_in_the_history(write_report):
    good = make_result(0)
    outcome, out = write_report([good, make_result(1, loss=3)], "--baseline", good.run_id)
    assert outcome.exit_code == 0, outcome.output
    page = Page(out)
    assert f"Baseline {good.run_id}" in page.words and "Reference quickstart" in page.words
    (series,) = json.loads(page.data)["history"]["series"]
    recall = next(metric for metric in series["metrics"] if metric["name"] == "recall_mean")
    assert recall["against"] == "baseline"
    value = good.value("recall_mean")
    assert recall["bands"][0] == pytest.approx([0, value, value - 0.5, value + 0.5], abs=1e-3)


def test_the_page_begins_with_the_sentence_and_says_what_changed(write_report):
    good = make_result(0, commit="1" * 40)
    bad = make_result(1, loss=3, commit="2" * 40)
    page = Page(write_report([good, bad], "--baseline", good.run_id)[1])
    assert page.words.index("FAIL quickstart on Test Card: ") < page.words.index("The newest result:")
    assert f"Changed since the baseline: commit {'1' * 12} to {'2' * 12}" in page.words


def test_a_result_costs_the_page_little(write_report):
    """Two thousand results in ten million bytes is 5,000 each; curves are there for a handful alone."""
    few, many = ([make_result(index) for index in range(count)] for count in (10, 60))
    sizes = [(write_report(made)[1] / "index.html").stat().st_size for made in (few, many)]
    assert (sizes[1] - sizes[0]) / 50 < 1000


def test_a_result_without_training_makes_a_page(write_report):
    """Evaluation alone: no losses over epochs, no throughput, no learning rate."""
    made = make_result(0, epochs=1)
    nothing = dict.fromkeys(("train_loss", "val_loss", "throughput", "learning_rate", "data_wait", "step_seconds"))
    record = replace(made.epochs[0], epoch=0, steps=0, windows=(), **nothing)
    config = {**made.config, "train": {**made.config["train"], "epochs": 0}}
    dataset, ranks = replace(made.dataset, train=None), replace(made.query_ranks, epoch=0)
    made = replace(made, epochs=(record,), config=config, dataset=dataset, query_ranks=ranks)
    outcome, out = write_report([replace(made, metrics=summarise([record], 50))], pictures=True)
    assert outcome.exit_code == 0, outcome.output
    runs_own = f"{made.run_id}.recall"
    assert {path.stem for path in out.glob("*.png")} == {"epoch_recall", "memory", runs_own}


def test_nothing_that_a_user_wrote_becomes_part_of_the_page(hostile_report):
    page = Page(hostile_report)
    assert not page.all("img")
    assert len(page.all("script")) == 3
    assert page.words.count(HOSTILE) >= 4  # title, case, device, configuration, error: shown as they are
    assert json.loads(page.data)["history"]["series"][0]["name"].startswith(HOSTILE)


@given(st.recursive(st.text() | st.none() | st.integers(), lambda inner: st.lists(inner)))
def test_embedded_data_stays_inside_its_element_and_is_what_it_was(data):
    text = embedded(data)
    assert "<" not in text and json.loads(text) == data


# --- what can go wrong --------------------------------------------------------------------------------------------


def test_a_refused_file_is_named_on_the_page_and_fails(write_report, tmp_path):
    foreign = tmp_path / "foreign.json"
    foreign.write_text("{}")
    outcome, out = write_report([make_result(0)], str(foreign))
    assert outcome.exit_code == 3
    assert "foreign.json: not a file of clipbench" in outcome.stderr
    assert "REFUSED" in Page(out).words and "foreign.json: not a file of clipbench" in Page(out).words


def test_no_result_is_exit_4_and_no_page(write_report):
    outcome, out = write_report([])
    assert outcome.exit_code == 4 and "no result" in outcome.stderr
    assert not out.exists()


def test_a_run_that_is_not_there_is_named(write_report):
    outcome, _ = write_report([make_result(0)], "--run", "nobody-1")
    assert outcome.exit_code == 2 and "--run nobody-1" in outcome.stderr


def test_too_many_runs_are_refused(write_report):
    made = [make_result(index) for index in range(MOST_RUNS + 1)]
    outcome, _ = write_report(made, *(word for result in made for word in ("--run", result.run_id)))
    assert outcome.exit_code == 2 and str(MOST_RUNS) in outcome.stderr


def test_out_that_is_a_file_is_named(write_report, tmp_path):
    (tmp_path / "taken").write_text("")
    outcome, _ = write_report([make_result(0)], "--out", str(tmp_path / "taken"))
    assert outcome.exit_code == 2 and "taken: is a file" in outcome.stderr


def test_without_the_extra_the_command_says_how_to_get_it(write_report, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vl_convert" else found(name))
    outcome, out = write_report([make_result(0)])
    assert outcome.exit_code == 5
    assert "vl-convert-python" in outcome.stderr and "pip install 'clipbench[report]'" in outcome.stderr
    assert not out.exists()


def test_the_template_ships_in_the_wheel():
    from hatchling.builders.wheel import WheelBuilder

    shipped = {file.distribution_path for file in WheelBuilder(str(Path(__file__).parents[2])).recurse_included_files()}
    here = Path(__file__).parents[2]
    parts = {
        str(path.relative_to(here))
        for kind in ("html", "css", "js", "json")
        for path in (here / "clipbench/report").rglob(f"*.{kind}")
    }
    assert len(parts) > 10 and parts <= shipped


def test_older_results_are_left_out_and_the_page_says_how_many(tmp_path):
    results = [make_result(index, images=5) for index in range(4)]
    for result in results:
        stored(result, tmp_path / "results")
    newest, out = results[3].run_id, str(tmp_path / "out")
    said = run("report", str(tmp_path / "results"), "--out", out, "--last", "1", "--run", newest)
    assert "older results that are not drawn: 3 (--last N" in said
    page = Page(tmp_path / "out")
    assert "3 older results are not on this page" in page.words
    assert newest in page.source and results[0].run_id not in page.source
