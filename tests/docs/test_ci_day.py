"""The day of a CI owner in docs/ci.md: four changes, and what the gate prints first of each, made anew."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clipbench.api.result import SourceVersion
from clipbench.cli import main
from tests.support.made_results import changed, made_result
from tests.support.stored_results import run, stored

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
DAY = re.compile(r"^<!-- a day: printed by tests/docs/test_ci_day.py -->\n```\n(.*?)^```", re.M | re.S)


def built(name, commit, torch="2.4.0", driver="1.0", **changes):
    """A result of the card, at a commit, with these versions."""
    result = replace(made_result(name, **changes), clipbench=SourceVersion("0.2.0", commit * 40, False))
    result = changed(result, "environment.packages", {"torch": torch})
    return changed(result, "environment.device.driver", driver)


CHANGES = {
    "good": built("good", "b", draw=2, slower=-0.005),
    "noisy": built("noisy", "c", draw=2, slower=0.04, noise=0.12),
    "slower": built("slower", "d", draw=3, slower=0.08, torch="2.5.0"),
    "wrong": built("wrong", "e", draw=4, lost=0.06, driver="1.1"),
}


def day():
    """Return the transcript: each command, what it prints before the table, and its exit code."""
    run("baseline", "set", stored(built("first", "a", draw=1), "first"), "--reason", "first run on this card")
    blocks = []
    for name, result in CHANGES.items():
        stored(result, name)
        words = ["compare", name, "--baseline", "adopted", "--fail-on", "inconclusive"]
        done = CliRunner().invoke(main, words)
        first, _, _ = done.stdout.partition("\n\n")
        blocks.append(f"$ clipbench {' '.join(words)}\n{first}\n[exit code {done.exit_code}]\n")
    return "\n".join(blocks)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("place")
def test_the_page_has_what_the_gate_prints():
    (printed,) = DAY.findall(PAGE.read_text(encoding="utf-8"))
    assert printed == day()


@pytest.mark.usefixtures("place")
def test_each_change_is_what_it_is_called():
    text = day()
    words = re.findall(r"^(PASS|INCONCLUSIVE|FAIL) quickstart on Card 1: (\w+)", text, re.M)
    assert words == [("PASS", "all"), ("INCONCLUSIVE", "throughput"), ("FAIL", "throughput"), ("FAIL", "image")]
    assert re.findall(r"exit code (\d)", text) == ["0", "1", "1", "1"]
