"""The index: every answer is that of the files, whatever became of the index."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from clipbench.api import to_plain
from clipbench.api.result import BadImages, Telemetry
from clipbench.compare.comparing import compare
from clipbench.compare.history import judge_history
from clipbench.compare.matching import match_reference
from clipbench.results.collecting import collect as collecting
from clipbench.results.collecting import index as indexing
from clipbench.results.collecting import reading
from clipbench.results.collecting.collect import collect, survey
from clipbench.results.collecting.entries import in_outlines
from clipbench.results.collecting.index import index_file
from tests.compare.test_deciding import figure, figures
from tests.compare.test_numerics import GOOD
from tests.results.test_collect import write_reference
from tests.support.fleets import run_on
from tests.support.made_results import agreeing, changed, classified, failed, made_result
from tests.support.stored_results import run, stored

LONG_AGO = 1_700_000_000


def aged(*paths):
    """Files that were changed long ago: those of this moment are not remembered."""
    for path in paths:
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six results in a folder that has an index from three files on, and is read by two processes."""
    monkeypatch.setenv("CLIPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(collecting, "LEAST_FILES", 3)
    place = tmp_path / "results"
    made = [run_on(f"node{number}", started=f"2026-01-0{number + 1}T00:00:00Z") for number in range(5)]
    aged(
        *(
            stored(result, place / "deep" if number else place)
            for number, result in enumerate([*made, failed(run_on("x"))])
        )
    )
    return place


def index_of(folder):
    return index_file(os.path.realpath(folder))


ANSWERS = (
    ("trend", "--metric", "throughput", "--format", "json"),
    ("trend", "--metric", "val_loss", "--format", "json"),
    ("compare", "--format", "json"),
    ("diagnose", "--format", "json"),
    ("runs", "--format", "json"),
    ("export",),
)


def answers(folder):
    """What commands print of the folder, whatever the exit code."""
    from click.testing import CliRunner

    from clipbench.cli import main

    done = [CliRunner().invoke(main, [name, str(folder), *words]) for name, *words in ANSWERS]
    assert all(one.exit_code in (0, 1, 3, 4) for one in done), [one.output for one in done]
    return [one.output for one in done]


def test_every_command_answers_from_the_index_what_it_answers_from_the_files(folder, monkeypatch):
    monkeypatch.setattr(collecting, "LEAST_FILES", 100)
    plain = answers(folder)
    assert not index_of(folder).exists()
    monkeypatch.setattr(collecting, "LEAST_FILES", 3)
    assert answers(folder) == plain and index_of(folder).exists()
    monkeypatch.setattr(reading, "_read", None)  # nothing is read any more
    assert answers(folder) == plain
    assert all(entry.outline for entry in survey([folder]).entries.values())


def test_a_page_of_outlines_is_that_of_the_whole_results(folder, tmp_path, monkeypatch):
    pytest.importorskip("vl_convert")
    monkeypatch.setattr("clipbench.report.page.template.libraries", lambda: "")
    pages = []
    for least in (100, 3, 3):
        monkeypatch.setattr(collecting, "LEAST_FILES", least)
        run("report", str(folder), "--out", str(tmp_path / "page"))
        pages.append((tmp_path / "page" / "index.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1] == pages[2] and "node3" in pages[0]


def slowed(record):
    telemetry = Telemetry("nvml", {"train": 9.0, "eval": 1.0}, *[None] * 6, {"heat": 2.0}, True, (), {})
    return replace(record, telemetry=telemetry)


def test_outlines_are_judged_by_references_as_whole_results_are(folder):
    """By figures, time to quality, energy, loss curve, what slowed them down, images left out, checks of numerics."""
    plain, checked = made_result("plain"), replace(made_result("checked"), numerics=GOOD)
    made = [
        plain,
        agreeing(replace(plain, run_id="slowed", epochs=tuple(map(slowed, plain.epochs)))),
        replace(made_result("left"), bad_images=BadImages(3, 2, 1)),
        changed(checked, "config.numerics", to_plain(GOOD.asked)),
        classified(made_result("classified")),
        failed(made_result("failed")),
    ]
    aged(*(stored(one, folder) for one in made))
    wanted = figures({"recall_mean": figure(93.0), "throughput": figure(10.0)}, target=80.0, loss_curve=(0.5, 0.4))
    found = [survey([folder]) for _ in range(2)][-1]
    assert not found.problems
    for entry in map(found.entries.get, (one.run_id for one in made)):
        pair = entry.result, *found.in_full([entry.result])
        ours, theirs = (compare(match_reference(one, {"quickstart": wanted}), errors=False) for one in pair)
        assert entry.outline and ours == theirs and ours.verdicts, ours.runs
        for name in ("metric_values", "metric_names", "evaluated_epoch"):
            assert getattr(pair[0], name) == getattr(pair[1], name)


def test_a_condition_that_outlines_cannot_meet_is_judged_by_the_whole_result(folder):
    aged(stored(changed(made_result("one"), "model.parameter_count", 7), folder))
    wanted = figures({"recall_mean": figure(93.0)}, conditions={"model.parameter_count": 7})
    assert not in_outlines("model.parameter_count") and not in_outlines("environment.host.name")
    assert all(map(in_outlines, ("config.train.lr", "environment.device.name", "metrics.last.epoch", "seed")))
    found = [survey([folder]) for _ in range(2)][-1]
    assert found.entries["one"].outline
    history = judge_history(replace(found, references={"quickstart": wanted}, baselines=None), lambda newest: [])
    assert [one.status for one in history.by_run["one"]] == ["pass"]


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)


def one_figure(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE file SET own = CAST(replace(own, 'completed', 'completer') AS BLOB)")
    connection.close()


def other_version(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE about SET version = '0.0.1'")
    connection.close()


@pytest.mark.parametrize("harm", [Path.unlink, damage, one_figure, other_version, lambda path: path.write_text("x")])
def test_an_index_that_is_gone_or_damaged_or_of_other_code_is_made_anew(folder, harm):
    before = answers(folder)
    harm(index_of(folder))
    assert indexing.read_index(os.path.realpath(folder)) == {}
    assert answers(folder) == before
    assert len(indexing.read_index(os.path.realpath(folder))) == 6


def test_a_file_that_is_changed_added_or_removed_is_noticed(folder):
    survey([folder])
    path = folder / "deep" / "node1-m-0.json"
    text = path.read_text()
    assert '"seed": 0' in text
    path.write_text(text.replace('"seed": 0', '"seed": 7', 1))  # of the same size,
    aged(path)  # and with the same time: the system has another that nobody sets
    (problem,) = survey([folder]).problems
    assert "node1-m-0.json" in problem
    path.unlink()
    aged(stored(run_on("new"), folder))
    assert {entry.hosts[0] for entry in survey([folder]).entries.values()} == {
        "node0",
        "node2",
        "node3",
        "node4",
        "x",
        "new",
    }
    assert len(indexing.read_index(os.path.realpath(folder))) == 6


def test_a_file_of_this_moment_is_not_remembered(folder):
    survey([folder])
    stored(run_on("new"), folder)
    assert len(survey([folder]).results) == 7
    assert len(indexing.read_index(os.path.realpath(folder))) == 6


def test_refused_files_copies_and_references_are_what_they_are_without_an_index(folder):
    (folder / "half.json").write_text('{"kind": "clipb')
    write_reference(folder / "figures.json")
    copy = folder / "copy.json"
    copy.write_bytes((folder / "node0-m-0.json").read_bytes())
    aged(stored(replace(run_on("y"), run_id="node2-m-0"), folder / "clash"))
    aged(copy)
    plain = collect([folder])
    for _ in range(2):
        found = survey([folder])
        assert found.problems == plain.problems and len(found.problems) == 2
        assert (found.copies, found.others, found.files) == (plain.copies, plain.others, plain.files)
        assert (found.copies, found.others) == (1, 1)
        assert found.in_full(found.results) == plain.results
        assert [entry.hosts for entry in found.clashing] == [("node2",)]


def test_a_cache_that_cannot_be_written_changes_nothing(folder, tmp_path, monkeypatch):
    before = answers(folder)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLIPBENCH_CACHE", str(tmp_path / "file"))
    assert answers(folder) == before


def test_many_files_are_read_by_several_processes(folder, monkeypatch):
    plain = survey([folder]).entries
    index_of(folder).unlink()
    monkeypatch.setattr(reading, "SHARE", 2)
    monkeypatch.setattr(reading, "usable_cores", lambda: 2)
    monkeypatch.setattr(reading, "_read", None)  # not in this process
    told = []
    assert survey([folder], lambda *done: told.append(done)).entries == plain
    assert told == [(2, 6), (4, 6), (6, 6)]


def test_the_files_of_a_process_that_dies_are_read_all_the_same(folder, monkeypatch):
    monkeypatch.setattr(reading, "SHARE", 2)
    monkeypatch.setattr(reading, "usable_cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", "false")
    found = survey([folder])
    assert len(found.results) == 6 and not any(entry.outline for entry in found.entries.values())


def test_many_write_and_read_at_once_and_the_index_is_always_whole(folder):
    survey([folder])
    real = os.path.realpath(folder)
    whole, counts = indexing.read_index(real), set()

    def write():
        for _ in range(20):
            indexing.write_index(real, whole)

    def read():
        for _ in range(100):
            counts.add(len(indexing.read_index(real)))

    threads = [threading.Thread(target=one) for one in (write, write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {6}
    assert [path.name for path in index_of(folder).parent.iterdir()] == [index_of(folder).name]


def test_commands_run_at_once_while_results_come(folder, tmp_path):
    """Several processes, each with its own idea of what is new, on one folder."""
    command = [sys.executable, "-c", (
        "import sys; from clipbench.results.collecting import collect; collect.LEAST_FILES = 3; "
        "from clipbench.cli import main; main(sys.argv[1:])"
    ), "trend", str(folder), "--format", "json"]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    aged(stored(run_on("late"), folder))
    for process in running:
        output, _ = process.communicate(timeout=120)
        trends = json.loads(output)
        assert process.returncode == 0 and not trends["problems"]
        assert 6 <= sum(len(trend["measurements"]) for trend in trends["trends"]) <= 7
    assert "late" in run("trend", str(folder), "--format", "json")
