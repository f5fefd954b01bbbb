"""`clipbench compare --format`: several forms at once, to the screen and to files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from lxml import etree

from clipbench.cli import main
from clipbench.errors import NotReadyError
from clipbench.files import schemas
from clipbench.report.judgement.formats import FORMS, Output, comparison_data, parse_outputs, write_outputs
from tests.support.judgements import comparison, judgement, judgements, verdict

FAILED = judgement(comparison(verdict(status="fail")))


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """`clipbench compare` of a folder without results, which is exit 4."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "results").mkdir()
    return lambda *forms: CliRunner().invoke(
        main, ["compare", "results", *(w for form in forms for w in ("--format", form))]
    )


# --- through the command line -------------------------------------------------------------------------------------


def test_files_are_written_when_the_gate_fails_and_the_table_stays_on_the_screen(compare, tmp_path):
    done = compare("junit=deep/down/out.xml", "markdown=out.md", "json=out.json", "github=out.txt", "table=out.table")
    assert done.exit_code == 4
    assert "no results: exit code 4" in done.stdout and "::error" not in done.stdout
    assert etree.parse(tmp_path / "deep/down/out.xml").getroot().get("errors") == "1"
    assert (tmp_path / "out.md").read_text().startswith("### ❌")
    assert json.loads((tmp_path / "out.json").read_text())["exit_code"] == 4
    assert (tmp_path / "out.txt").read_text().startswith("::error ")
    assert "no results: exit code 4" in (tmp_path / "out.table").read_text()


def test_several_on_the_screen_come_in_order(compare):
    done = compare("github", "markdown")
    assert done.stdout.startswith("::error ") and "\n### ❌" in done.stdout
    assert "\nNO RESULT" not in done.stdout
    assert set(json.loads(compare("json").stdout)) >= {"exit_code", "comparisons", "problems"}


def test_a_file_that_cannot_be_written_is_exit_5_and_hides_neither_the_verdict_nor_the_others(compare, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    done = compare("junit=folder", "markdown=file/out.md", "json=out.json")
    assert done.exit_code == 5
    assert "folder: cannot be written (Is a directory)" in done.stderr and "file/out.md: cannot be" in done.stderr
    assert (
        "NO RESULT: there is nothing to judge\nthe verdict: no results: exit code 4" in done.stderr
        and "exit code 4" in done.stdout
    )
    assert json.loads((tmp_path / "out.json").read_text())["exit_code"] == 4


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("junitt", "did you mean 'junit'"),
        ("markdown=", "variable"),
        ("=x", "expected FORM or FORM=FILE; known: github, json"),
    ],
)
def test_what_is_no_form_is_exit_2(compare, form, said):
    done = compare(form)
    assert done.exit_code == 2 and said in done.stderr


def test_one_file_for_two_forms_is_exit_2(compare, tmp_path):
    done = compare("junit=out", "json=./out")
    assert done.exit_code == 2 and "named twice" in done.stderr and not (tmp_path / "out").exists()


def test_a_closed_pipe_costs_no_file_and_is_no_traceback(compare, tmp_path):
    command = f"{sys.executable} -m clipbench compare results --format markdown --format junit=out.xml | true"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr and (tmp_path / "out.xml").exists()


def test_a_log_in_ascii_takes_every_form(compare, tmp_path):
    forms = [word for form in FORMS for word in ("--format", form)]
    done = subprocess.run(
        [sys.executable, "-m", "clipbench", "compare", "results", *forms],
        **{"cwd": tmp_path, "env": {**os.environ, "PYTHONIOENCODING": "ascii"}},
        **{"capture_output": True, "text": True, "timeout": 60, "check": False},
    )
    assert done.returncode == 4 and "Traceback" not in done.stderr and done.stdout.isascii()


# --- what is written ----------------------------------------------------------------------------------------------


def test_every_form_is_the_same_on_the_screen_and_in_a_file(tmp_path, capsys):
    for form in set(FORMS) - {"table"}:
        assert write_outputs(FAILED, [Output(form), Output(form, tmp_path / "out")]) == 1
        assert (tmp_path / "out").read_text(encoding="utf-8") == capsys.readouterr().out


def test_a_table_in_a_file_is_plain_and_narrow(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    write_outputs(FAILED, [Output("table", tmp_path / "out")])
    text = (tmp_path / "out").read_text()
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 79 and "exit code 1" in text


def test_files_are_replaced_but_the_summary_of_a_step_is_added_to(tmp_path, monkeypatch):
    summary, other = tmp_path / "summary.md", tmp_path / "other.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.chdir(tmp_path)
    summary.write_text("from before\n")
    for path in ("summary.md", summary, other, other):
        write_outputs(FAILED, [Output("markdown", tmp_path / path)])
    assert summary.read_text().startswith("from before\n\n### ") and summary.read_text().count("### ") == 2
    assert other.read_text().count("### ") == 1


def test_a_summary_may_be_named_for_two_forms(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert len(parse_outputs([f"markdown={tmp_path}/summary.md"] * 2)) == 3


def test_the_table_is_shown_unless_something_else_is():
    assert parse_outputs([]) == (Output("table"),)
    assert [output.form for output in parse_outputs(["junit=x"])] == ["junit", "table"]
    assert [output.form for output in parse_outputs(["github", "junit=x"])] == ["github", "junit"]


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    broken = judgement(problems=["a\udc80.json: broken"])
    for form in FORMS:
        assert write_outputs(broken, [Output(form, tmp_path / form)]) == 3
        assert "udc80" in (tmp_path / form).read_text(encoding="utf-8")


def test_a_full_disk_is_said_like_any_other_refusal():
    with pytest.raises(NotReadyError, match=r"/dev/full: cannot be written \(No space left"):
        write_outputs(FAILED, [Output("json", Path("/dev/full"))])


# --- for other programs -------------------------------------------------------------------------------------------


def test_a_judgement_as_data_has_its_facts_and_its_sentences():
    data = comparison_data(judgement(comparison(verdict(status="fail"))))
    (one,) = data["comparisons"]
    assert data["exit_code"] == 1 and data["meaning"] == "a gate failed"
    assert one["against"]["source"] == "a source" and one["world_size"] == 1
    assert one["reasons"] == [f"recall mean {one['verdicts'][0]['reason']}"]
    assert data["headline"] == one["headline"] == f"FAIL mine on a processor: {one['reasons'][0]}"
    assert data["fail_on"] == ["fail"] and one["changes"] == []
    assert one["verdicts"][0]["difference"] == pytest.approx(-0.91) and one["verdicts"][0]["warning"] is False
    assert (
        comparison_data(judgement(comparison(status="failed case", against=None)))["comparisons"][0]["against"] is None
    )


@given(judgements)
def test_any_judgement_as_data_is_json_by_its_schema(given_judgement):
    data = comparison_data(given_judgement)
    assert list(schemas.problems("comparison", data)) == []
    assert json.loads(json.dumps(data, allow_nan=False)) == data
