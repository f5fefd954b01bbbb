"""Text of others on its way through every command, and outputs that do not take it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner
from lxml import html

from clipbench.cli import main
from clipbench.results.document import digest_of
from clipbench.results.result import result_data, write_result
from tests.fuzz.trials import check_printed
from tests.support.made_results import changed, made_result

EVIL = "\x1b[2J\x9b\u202e\udc80 ##[error]x\n::error::owned\nPASS  other"
SHOWN = r"\x1b[2J\x9b\u202e\udc80"


def evil_result(run_id="evil-1", **more):
    """A valid result whose names are hostile; such a file can come from anywhere."""
    result = changed(made_result(run_id, **more), "environment.device.name", EVIL)
    return replace(result, case=EVIL, config={**result.config, "name": EVIL}, warnings=(EVIL,))


@pytest.fixture
def evil(tmp_path):
    return write_result(tmp_path / "results", evil_result())


def clipbench(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.mark.parametrize(
    "words",
    [
        *(("compare", "PATH", "--format", form) for form in ("table", "markdown", "junit", "github", "json")),
        ("compare", "PATH", "--baseline", "PATH"),
        ("trend", "PATH"),
        ("runs", "FOLDER"),
        ("validate", "PATH"),
        ("baseline", "set", "PATH", "--reason", EVIL.replace("\udc80", ""), "--baselines", "FOLDER/b", "--force"),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_names_from_a_result_are_shown_and_do_nothing(evil, words):
    places = {"PATH": str(evil), "FOLDER": str(evil.parent)}
    done = clipbench(*(re.sub("PATH|FOLDER", lambda match: places[match[0]], word) for word in words))
    assert done.exit_code in (0, 3, 4), done.output
    check_printed(done.output, with_commands="github" in words)
    assert "\nPASS  other" not in done.output


def test_baselines_are_listed_and_shown(evil, tmp_path):
    folder = tmp_path / "b"
    assert (
        clipbench("baseline", "set", evil, "--reason", "x\x1b[2J", "--name", "n", "--baselines", folder).exit_code == 0
    )
    for words in (("list",), ("show", "n")):
        done = clipbench("baseline", *words, "--baselines", folder)
        check_printed(done.output, with_commands=False)
        assert r"x\x1b[2J" in done.output


def test_files_of_a_ci_server_are_clean(evil, tmp_path):
    outputs = [f"{form}={tmp_path / form}" for form in ("markdown", "junit", "github", "table", "json")]
    clipbench("compare", evil, *(word for output in outputs for word in ("--format", output)))
    for form in ("markdown", "junit", "github", "table", "json"):
        check_printed((tmp_path / form).read_text(encoding="utf-8"), with_commands=form == "github")


@pytest.mark.parametrize("words", [("compare", EVIL[:4]), ("show", EVIL[:4]), (EVIL[:4],), ("--x" + EVIL[:4],)])
def test_what_was_typed_is_repeated_harmlessly(words):
    done = clipbench(*words)
    assert done.exit_code == 2
    check_printed(done.output, with_commands=False)


def test_a_case_named_by_a_matrix_has_one_line(tmp_path):
    suite = {
        "name": "evil", "model": {"name": "clip-tiny"}, "dataset": {"name": "shapes"},
        "matrix": {"dataset.options.image_size": [64], "model.vocabulary": ["a\n::error::owned\x1b[2J"]},
    }  # fmt: skip
    (tmp_path / "evil.yaml").write_text(json.dumps(suite))
    done = clipbench("show", tmp_path / "evil.yaml")
    assert r"model.vocabulary=a\n::error::owned\x1b[2J" in done.output
    check_printed(done.output, with_commands=False)


@pytest.mark.slow
def test_the_page_and_its_pictures(evil, tmp_path):
    """Drawn in another process: a control character used to end it by SIGABRT."""
    write_result(tmp_path / "results", replace(evil_result("evil-2"), ended="2026-01-01T00:06:00Z"))
    page = tmp_path / "page"
    command = [sys.executable, "-m", "clipbench", "report", evil.parent, "--out", page, "--png", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    text = (page / "index.html").read_text(encoding="utf-8")
    assert list(page.glob("*.png"))
    check_printed("\n".join(html.fromstring(text).xpath("//body//text()[not(parent::script)]")), with_commands=False)
    assert SHOWN in text and "\x1b" not in text and "\u202e" not in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("started", "0000-01-01T00:00:00Z"),
        ("ended", "9999-12-31T23:59:60Z"),
        ("seed", 10**400),
        ("text_truncated", 10**400),
        ("epochs.0.windows", [[1e308, 1e308, 0]]),
        ("epochs.0.val_loss", 1e308),
        ("environment.memory_bytes", 10**400),
        ("config_sha256", "\udc80"),
    ],
)
def test_figures_that_nobody_measured_are_refused_or_shown(tmp_path, path, value, monkeypatch):
    monkeypatch.setattr("clipbench.report.page.template.libraries", lambda: "")
    data = result_data(made_result())
    holder, *keys = data, *path.split(".")
    for key in keys[:-1]:
        holder = holder[int(key) if isinstance(holder, list) else key]
    holder[keys[-1]] = value
    (tmp_path / "odd.json").write_text(json.dumps({**data, "digest": digest_of(data)}))
    for words in (("report", tmp_path / "odd.json", "--out", tmp_path / "page"), ("trend", tmp_path / "odd.json")):
        done = clipbench(*words)
        assert done.exit_code in (0, 3), done.output
        assert done.exit_code == 0 or "odd.json" in done.output


# --- outputs that do not take it ----------------------------------------------------------------------------------


def shell(command, **variables):
    environment = {**os.environ, **variables}
    line = command.replace("clipbench", f"{sys.executable} -m clipbench")
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("> /dev/full", 5, "No space left on device"),
        ("| head -c 1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        ("| true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_an_output_that_is_closed_or_full_is_no_crash_and_never_a_failed_gate(redirection, code, said):
    command = "clipbench list --format json" if "true" in redirection else "clipbench list engines"
    done = shell(f"{'sleep 0.5; ' if 'true' in redirection else ''}{command} {redirection}")
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_ascii_and_a_width_of_nothing(tmp_path):
    path = write_result(tmp_path, changed(made_result(), "environment.device.name", "Kärtchen 中文"))
    done = shell(f"clipbench trend {path}", PYTHONIOENCODING="ascii", COLUMNS="0")
    assert done.returncode == 0, done.stderr
    assert r"K\xe4rtchen \u4e2d\u6587" in done.stdout


def test_an_error_that_nobody_expected_is_no_failed_gate(monkeypatch):
    def explode(*_):
        raise ZeroDivisionError("a bug\x1b[2J")

    monkeypatch.setattr("clipbench.results.collecting.collect.survey", explode)
    done = clipbench("trend", ".")
    assert done.exit_code == 70 and "this is a bug in clipbench or a plugin (ZeroDivisionError)" in done.stderr
    assert r"a bug\x1b[2J" in done.stderr


def test_no_prompt_that_was_left_is_a_failed_gate(monkeypatch):
    monkeypatch.setattr("clipbench.commands.fetch._at_terminal", lambda: True)
    done = CliRunner().invoke(main, ["fetch", "flickr8k_amp", "--root", "nowhere"], input="")
    assert done.exit_code == 130, done.output
