"""What is judged is exactly what was named: nothing is skipped, replaced or averaged away in silence."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from clipbench.files import schemas
from clipbench.files.bundled import bundled
from clipbench.results.baselines import read_baseline, write_baseline
from clipbench.results.document import results_digest
from tests.results.test_collect import write_reference
from tests.support.made_results import changed, made_result
from tests.support.stored_results import run, stored


def dated(run_id, day, **changes):
    """A result of the ``day`` of a month."""
    times = {"started": f"2026-01-{day:02d}T00:00:00Z", "ended": f"2026-01-{day:02d}T00:05:00Z"}
    return replace(made_result(run_id, **changes), **times)


def seen(*arguments, code=0):
    """Everything that `compare --format json` says of what it found, and the runs of its comparisons."""
    data = json.loads(run("compare", *arguments, "--format", "json", code=code))
    assert list(schemas.problems("comparison", data)) == []
    return data["seen"], [comparison["runs"] for comparison in data["comparisons"]]


def baseline_of(*results, **changes):
    """Adopt results under the name nightly."""
    path = run("baseline", "set", *(stored(r, "first") for r in results), "--reason", "good", "--name", "nightly")
    assert "nightly" in path
    return Path("results", "baseline", "nightly.json")


# --- references ---------------------------------------------------------------------------------------------------


def lenient(path):
    """The shipped reference with other figures."""
    document = json.loads((bundled("reference") / "quickstart.json").read_text())
    for metric in document["metrics"].values():
        metric["value"], metric["tolerance"] = 1.0, {"absolute": 99.0}
    path.write_text(json.dumps({**document, "conditions": {}}))
    return str(path)


def test_a_reference_among_the_paths_never_replaces_the_shipped_one(place):
    stored(made_result("mine", lost=0.9))
    lenient(place / "results" / "mine.json.json")
    assert "with the name of" in run("compare", "results", code=2)
    assert "with the name of" in run("report", "results", "--out", "page", code=2)
    assert not (place / "page").exists()


def test_a_copy_of_a_shipped_reference_is_another_file(place):
    stored(made_result("mine"))
    shutil.copy(bundled("reference") / "quickstart.json", "results")
    assert seen("results", code=3)[0]["others"] == 1


def test_a_reference_of_another_name_is_compared_with_where_it_is_named(place):
    stored(made_result("mine"))
    path = write_reference(place / "results" / "figures.json")
    run("compare", "results", "--reference", "figures", code=2)
    (comparison,) = json.loads(run("compare", "results", "--reference", str(path), "--format", "json"))["comparisons"]
    assert (comparison["against"]["name"], comparison["status"]) == ("figures", "better")


def test_two_references_of_one_name_in_folders_are_refused(place):
    (place / "more").mkdir()
    lenient(place / "more" / "quickstart.json")
    output = run("compare", stored(made_result("mine", lost=0.9)), "--references", "more", code=3)
    assert "the reference 'quickstart' is also in" in output


# --- files --------------------------------------------------------------------------------------------------------


def test_results_behind_links_and_in_capitals_are_read(place):
    baseline_of(made_result("old"))
    bad = Path(stored(made_result("bad", lost=0.3), "elsewhere"))
    (place / "out").mkdir()
    (place / "out" / "linked").symlink_to(place / "elsewhere")
    assert seen("out", "--baseline", "nightly", code=1)[1] == [["bad"]]
    bad.rename(place / "elsewhere" / "BAD.JSON")
    assert seen("out", "--baseline", "nightly", code=1)[1] == [["bad"]]


def test_a_link_that_leads_back_is_named_and_one_folder_is_read_once(place):
    stored(made_result("mine"))
    for name in ("a", "b"):
        (place / "out" / name).mkdir(parents=True)
    (place / "out" / "one").symlink_to(place / "results")
    (place / "out" / "two").symlink_to(place / "results")
    counts, runs = seen("out", "results", code=3)
    assert (runs, counts["copies"], counts["refused"]) == ([["mine"]], 0, 0)
    (place / "out" / "a" / "back").symlink_to(place / "out")
    assert "out/a/back: a link that leads back" in run("compare", "out", code=3).replace("\n", " ")
    (place / "out" / "self.json").symlink_to("self.json")
    assert "self.json: cannot be read" in run("compare", "out", code=3).replace("\n", " ")


def test_everything_that_was_seen_is_counted(place):
    baseline_of(dated("old", 1))
    stored(dated("old", 1), "out")
    stored(dated("middle", 2, draw=1), "out")
    stored(dated("new", 3, draw=2), "out/deep")
    shutil.copy("out/deep/new.json", "out/again.json")
    for name in ("notes.txt", ".hidden.json"):
        (place / "out" / name).write_text("{}")
    (place / "out" / "broken.json").write_text("{}")
    counts, runs = seen("out", "--baseline", "nightly", code=3)
    assert runs == [["new"]]
    expected = {"judged": 1, "older": ["middle", "old"], "copies": 1, "of_baseline": 0, "refused": 1, "others": 2}
    assert {**counts, "older": sorted(counts["older"])} == expected
    line = "found: 1 judged, 2 older (history: --all-runs judges it too), 1 copy, 1 refused, 2 other files"
    assert line in " ".join(run("compare", "out", "--baseline", "nightly", code=3).split())


# --- runs ---------------------------------------------------------------------------------------------------------


def test_one_bad_run_beside_nine_copies_of_a_good_one_fails(place):
    baseline_of(made_result("old"))
    good = stored(made_result("good", draw=3), "out")
    for number in range(9):
        shutil.copy(good, place / "out" / f"copy-{number}.json")
    stored(made_result("bad", lost=0.3), "out")
    counts, runs = seen("out", "--baseline", "nightly", code=1)
    assert (counts["copies"], counts["judged"], runs) == (9, 2, [["bad"], ["good"]])


def test_one_run_with_two_contents_is_refused(place):
    stored(made_result("mine"), "a")
    stored(made_result("mine", lost=0.3), "b")
    assert "the run mine is also in a/mine.json, with other content" in run("compare", "a", "b", code=3)
    words = ("baseline", "set", "a/mine.json", "b/mine.json", "--reason", "good")
    assert "is given twice, with other content" in run(*words, code=2)


def test_a_bad_result_with_the_id_of_a_baselines_run_is_refused_and_judged(place):
    baseline_of(made_result("old"))
    bad = stored(made_result("old", lost=0.3), "new")
    data = json.loads(run("compare", bad, "--baseline", "adopted", "--format", "json", code=3))
    assert "the run old is also in the baseline" in data["problems"][0]
    assert [comparison["status"] for comparison in data["comparisons"]] == ["fail"]


@pytest.mark.parametrize("which", [["--baseline", "adopted"], ["--baseline", "nightly"]])
def test_older_good_runs_never_average_a_bad_one_away(place, which):
    baseline_of(dated("old", 1))
    for day in range(2, 9):
        stored(dated(f"good-{day}", day, draw=day), "out")
    stored(dated("bad", 20, lost=0.06), "out")
    counts, runs = seen("out", *which, code=1)
    assert (runs, len(counts["older"])) == ([["bad"]], 7)
    assert len(seen("out", *which, "--all-runs", code=1)[1]) == 8
    counts, (together, *_) = seen("out", *which, "--repeats", code=1)
    assert len(together) == 8 and counts["older"] == []


def test_what_is_older_is_history_whatever_it_comes_to_and_a_named_file_is_judged(place):
    baseline_of(dated("old", 1))
    bad = stored(dated("bad", 2, lost=0.3), "out")
    stored(dated("good", 3, draw=2), "out")
    assert seen("out", "--baseline", "nightly") == (
        {"judged": 1, "older": ["bad"], "copies": 0, "of_baseline": 0, "refused": 0, "others": 0},
        [["good"]],
    )
    assert sorted(seen("out", bad, "--baseline", "nightly", code=1)[1]) == [["bad"], ["good"]]


def test_what_is_older_than_the_adopted_run_is_history_too(place):
    stored(dated("before", 1, lost=0.3))
    run("baseline", "set", stored(dated("adopted", 2)), "--reason", "good")
    assert "no result is left" in run("compare", "results", "--baseline", "adopted", code=4)


def test_a_run_that_fails_alone_is_shown_beside_the_pool_that_passes(place):
    baseline_of(*(made_result(f"old-{seed}", seed=seed, draw=seed) for seed in range(8)))
    runs = [made_result(f"new-{seed}", seed=seed, draw=20 + seed, lost=0.03 * (seed == 3)) for seed in range(8)]
    for result in runs:
        stored(replace(result, invocation="one"), "out")
    data = json.loads(run("compare", "out", "--baseline", "nightly", "--format", "json", code=1))
    statuses = [(len(c["runs"]), c["status"]) for c in data["comparisons"]]
    assert statuses[0][0] == 8 and statuses[0][1] != "fail"
    assert [c["runs"] for c in data["comparisons"][1:]] == [["new-3"]] and statuses[1] == (1, "fail")


# --- baselines ----------------------------------------------------------------------------------------------------


def test_two_baselines_of_one_name_are_refused(place):
    path = baseline_of(made_result("old"))
    other = replace(read_baseline(path), results=(made_result("bad", lost=0.9),))
    write_baseline(other, path.with_name("other.json"))
    new = stored(made_result("new"), "new")
    assert "the baseline 'nightly' is also in" in run("compare", new, "--baseline", "adopted", code=3)
    assert "the baseline 'nightly' is also in" in run("baseline", "list", code=3)


def test_a_baseline_among_the_paths_is_not_compared_with(place):
    path = baseline_of(made_result("old"))
    lenient = replace(read_baseline(path), name="lenient", adopted="2027-01-01T00:00:00Z")
    stored(made_result("bad", lost=0.9), "new")
    write_baseline(replace(lenient, results=(made_result("worse", lost=0.95),)), place / "new" / "lenient.json")
    assert seen("new", "--baseline", "adopted", code=1)[0]["others"] == 1
    write_baseline(replace(lenient, name="nightly"), place / "new" / "lenient.json")
    assert "the baseline 'nightly' is also in" in run("compare", "new", "--baseline", "adopted", code=3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: changed(replace(r, case="another"), "config.name", "another"), "are of several cases"),
        (lambda r: changed(r, "environment.device.name", "Card 2"), "are of several cases"),
        (lambda r: changed(r, "config.train.lr", 1.0), "are no repeats of one another"),
        (lambda r: replace(r, run_id="old"), "a run is in it twice"),
    ],
)
def test_a_baseline_of_mixed_cases_is_refused(place, change, said):
    path = baseline_of(made_result("old"))
    mixed = replace(read_baseline(path), results=(made_result("old"), change(made_result("other"))))
    write_baseline(mixed, path)
    document = json.loads(path.read_text())
    assert document["results_sha256"] == results_digest(document["results"])
    output = run("compare", stored(made_result("new"), "new"), "--baseline", "adopted", code=3)
    assert "nightly.json" in output and said in output


# --- outputs ------------------------------------------------------------------------------------------------------


def refused_output(*words, keeps):
    """The message of a command that must not write, and leaves ``keeps`` as it is."""
    before = Path(keeps).read_bytes()
    output = run(*words, code=2)
    assert Path(keeps).read_bytes() == before
    return output


@pytest.mark.parametrize("form", ["json", "junit", "markdown", "github", "table"])
def test_an_output_that_is_an_input_or_another_file_is_refused(place, form):
    mine, page = stored(made_result("mine")), place / "page.txt"
    link = place / "link.json"
    link.symlink_to(mine)
    for path in (mine, str(link)):
        assert "is one of the files that are read" in refused_output(
            "compare", mine, "--format", f"{form}={path}", keeps=mine
        )
    page.write_text("# My project\n\nWhat I wrote.\n")
    refused_output("compare", mine, "--format", f"{form}={page}", "--format", "json=new.json", keeps=page)
    assert not (place / "new.json").exists()
    page.write_text("")
    for _ in range(2):  # its own earlier file is replaced
        run("compare", mine, "--format", f"{form}={page}", code=3)
    assert page.stat().st_size > 0


def test_a_baseline_is_no_output_of_a_comparison(place):
    path = baseline_of(made_result("old"))
    new = stored(made_result("new"), "new")
    words = ("compare", new, "--baseline", "adopted", "--format", f"json={path}")
    assert "is one of the files that are read" in refused_output(*words, keeps=path)


def test_a_baseline_replaces_no_other_file(place):
    path = stored(made_result("mine"))
    words = ("baseline", "set", path, "--reason", "good", "--name", "mine", "--baselines", "results")
    assert "is one of the files that are read" in refused_output(*words, keeps=path)
    other = stored(made_result("other"))
    words = ("baseline", "set", path, "--reason", "good", "--name", "other", "--baselines", "results")
    assert "a file of another kind" in refused_output(*words, keeps=other)


def test_a_page_replaces_no_other_file(place):
    pytest.importorskip("vl_convert")
    stored(made_result("mine"))
    (place / "page").mkdir()
    (place / "page" / "index.html").write_text("mine")
    refused_output("report", "results", "--out", "page", keeps=place / "page" / "index.html")
    assert os.listdir(place / "page") == ["index.html"]  # noqa: PTH208
