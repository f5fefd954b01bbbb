"""`clipbench export`: results as tables, and the rows that they are made of."""

import csv
import io
import json
import os
from dataclasses import replace

import pandas
import pytest
from click.testing import CliRunner

from clipbench.api.result import Metric, PerQuery
from clipbench.cli import main
from clipbench.files import rows_file
from clipbench.results.collecting import collect as collecting
from clipbench.results.collecting.collect import collect, survey
from clipbench.results.result import write_result
from clipbench.results.rows import ROW_KINDS, CaseRows, rows_of
from tests.support.made_results import changed, failed, made_result


def export(*words):
    return CliRunner().invoke(main, ["export", *map(str, words)])


@pytest.fixture(scope="module")
def results():
    return [made_result("one", seed=1), failed(made_result("two", seed=2, losses=(0.5, 0.4, 0.3)))]


@pytest.fixture
def folder(place, results):
    for result in results:
        write_result(place / "results", result)
    return place / "results"


def test_a_row_is_a_case_an_epoch_or_a_query(results):
    cases, epochs, queries = (list(rows_of(results, kind)) for kind in ROW_KINDS)
    assert [row["run_id"] for row in cases] == ["one", "two"]
    assert [row["epoch"] for row in epochs] == [1, 2, 1, 2, 3]
    one = [row for row in queries if row["run_id"] == "one"]
    ranks = results[0].query_ranks
    assert [row["rank"] for row in one] == [*ranks.text, *ranks.image]
    assert [row["image"] for row in one if row["side"] == "image"] == list(ranks.image_of_text)


def test_a_case_has_its_metrics_its_configuration_and_how_it_ended(results):
    one, two = rows_of(results, "case")
    assert one["recall_mean"] == results[0].value("recall_mean")
    assert one["config.train.lr"] == 1e-3 and json.loads(one["config.train.optimizer.betas"]) == [0.9, 0.999]
    assert (one["status"], one["error_message"]) == ("completed", None)
    assert (two["status"], two["error_message"]) == ("failed", "it broke\nbadly")


def test_an_epoch_has_every_figure_of_its_record_by_name(results):
    row, record = next(rows_of(results, "epoch")), results[0].epochs[0]
    for name in ("train_loss", "throughput", "learning_rate"):
        assert row[name] == getattr(record, name)
    assert row["text_recall@1"] == record.recall["text_recall@1"]
    assert row["step_seconds.p95"] == record.step_seconds["p95"] and row["seconds.train"] == record.seconds.train


def test_what_other_evaluations_measure_and_keep_is_there(results):
    """A classification's accuracy is a column of its epoch, the rank of each picture's class a row."""
    result = replace(
        changed(results[0], "epochs.1.metrics", {"acc1": Metric(50.0, "percent", "higher")}),
        per_query=PerQuery(2, {"classification": {"rank": [0, 3], "label": [1, 0]}}),
    )
    assert [row.get("acc1") for row in rows_of([result], "epoch")] == [None, 50.0]
    *_, first, last = rows_of([result], "query")
    assert (first["evaluation"], first["query"], first["rank"], first["label"]) == ("classification", 0, 0, 1)
    assert (last["query"], last["rank"], last["label"], last["epoch"]) == (1, 3, 0, 2)


def test_rows_of_endless_results_come_one_by_one(results):
    """No source is read to its end before the first row is there."""

    def endless():
        while True:
            yield results[0]

    assert next(rows_of(endless(), "query"))["run_id"] == "one"


@pytest.mark.parametrize("kind", ROW_KINDS)
def test_every_form_has_the_same_table(folder, results, kind):
    for form in ("csv", "jsonl", "parquet"):
        done = export(folder, "--rows", kind, "--out", f"{kind}.{form}")
        assert done.exit_code == 0, done.output
        assert not done.stdout
    rows = pandas.DataFrame(rows_of(sorted(results, key=lambda result: result.run_id), kind))
    lines = (folder.parent / f"{kind}.jsonl").read_text().splitlines()
    tables = pandas.read_csv(f"{kind}.csv"), pandas.DataFrame(map(json.loads, lines))
    for table in (*tables, pandas.read_parquet(f"{kind}.parquet")):
        assert list(table.columns) == list(rows.columns)
        for name in ("run_id", "recall_mean", "train_loss", "rank", "side"):
            if name in rows:
                assert table[name].tolist() == pytest.approx(rows[name].tolist())


def test_a_table_goes_to_standard_output_where_no_file_is_named(folder):
    rows = list(csv.DictReader(io.StringIO(export(folder).stdout)))
    assert [row["run_id"] for row in rows] == ["one", "two"]
    assert [
        json.loads(line)["epoch"] for line in export(folder, "--rows", "epoch", "--as", "jsonl").stdout.split("\n")[:-1]
    ]


def written(rows, form):
    out = io.BytesIO()
    assert rows_file.write_rows(rows, form, out) == len(rows)
    return out.getvalue()


def test_columns_that_only_later_rows_have_are_there():
    one, other = rows_file.Shared(z=True), rows_file.Shared(y="-1", z=None)
    rows = [({"a": 1}, one), ({"b": "x", "a": 2.5}, other), ({"c": None}, one), ({"b": -3}, other), ({}, {"z": False})]
    lines = ["a,b,c,z,y", "1,,,True,", "2.5,x,,,'-1", ",,,True,", ",-3,,,'-1", ",,,False,"]
    assert written(rows, "csv").decode().split("\r\n") == [*lines, ""]
    table = pandas.read_parquet(io.BytesIO(written([*rows, ({"a": 2**70}, {})], "parquet")))
    assert table["a"].tolist()[:2] == ["1", "2.5"] and table["y"].dropna().tolist() == ["-1", "-1"]
    assert list(map(json.loads, written(rows, "jsonl").splitlines())) == [{**own, **shared} for own, shared in rows]


def test_an_empty_table_and_one_of_a_single_column_are_tables():
    assert written([], "csv") == b"" and written([], "jsonl") == b""
    assert pandas.read_parquet(io.BytesIO(written([], "parquet"))).empty
    assert written([({"a": 1},), ({"a": None},)], "csv") == b"a\r\n1\r\n\r\n"


def test_a_table_of_entries_is_that_of_the_whole_results(folder, monkeypatch):
    """From an index, rows are made of outlines."""
    monkeypatch.setattr(collecting, "LEAST_FILES", 1)
    for path in folder.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    found = [survey([folder]) for _ in range(2)][-1]
    assert all(entry.outline for entry in found.entries.values())
    rows = [{name: cell for part in row for name, cell in part.items()} for row in CaseRows(found.entries.values())]
    assert rows == list(rows_of(collect([folder]).results, "case"))
    assert [list(row) for row in rows] == [list(row) for row in rows_of(collect([folder]).results, "case")]


def test_text_of_others_is_no_formula_and_no_command(folder, results, place):
    hostile = replace(changed(results[1], "error.message", "=HYPERLINK(1)\x1b[2J"), run_id="three")
    write_result(folder, hostile)
    row = list(csv.DictReader(io.StringIO(export(folder).stdout)))[1]
    assert row["error_message"] == "'=HYPERLINK(1)\\x1b[2J"
    export(folder, "--out", "exact.parquet")
    assert pandas.read_parquet("exact.parquet")["error_message"][1] == "=HYPERLINK(1)\x1b[2J"


def test_a_refused_file_is_named_and_the_rest_exported(folder):
    (folder / "bad.json").write_text("{}")
    done = export(folder)
    assert done.exit_code == 3 and "bad.json" in done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 2


def test_what_cannot_be_written_is_said(folder, monkeypatch):
    (folder.parent / "letter.csv").write_text("Dear Sir")
    for words, code, said in (
        (["--as", "parquet"], 2, "--out FILE"),
        (["--out", "table.xls"], 2, "table.xls: its name does not say"),
        (["--out", "letter.csv"], 2, "a file of another kind"),
        (["--out", folder / "one.json", "--as", "csv"], 2, "one of the files that are read"),
    ):
        done = export(folder, *words)
        assert (done.exit_code, done.stdout) == (code, "") and said in done.stderr
    monkeypatch.setattr(rows_file.importlib.util, "find_spec", lambda name: None)
    done = export(folder, "--out", "ranks.parquet")
    assert done.exit_code == 5 and "pip install 'clipbench[export]'" in done.stderr
    assert not (folder.parent / "ranks.parquet").exists()
