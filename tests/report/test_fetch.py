"""How a fetch is shown."""

import io
import re

import pytest
from rich.console import Console

from clipbench.report import fetch
from clipbench.report.fetch import LiveFetchProgress, PlainFetchProgress, make_fetch_progress


def test_plain_lines_come_every_ten_seconds_with_speed_and_time_left(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(fetch.time, "monotonic", lambda: now[0])
    with PlainFetchProgress() as progress:
        for second in range(25):
            now[0] = 100.0 + second
            progress.moved("a.zip", second * 1_000_000, 100_000_000)
        progress.notice("a.zip: downloaded")
    assert capsys.readouterr().out.splitlines() == [
        "a.zip: 10% of 100.0 MB, 1.0 MB per s, 0:01:30 left",
        "a.zip: 20% of 100.0 MB, 1.0 MB per s, 0:01:20 left",
        "a.zip: downloaded",
    ]


def test_a_stalled_file_has_no_time_left(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fetch.time, "monotonic", lambda: now[0])
    progress = PlainFetchProgress()
    for now[0] in (0.0, 20.0):
        progress.moved("a.zip", 5, 0)
    assert capsys.readouterr().out == "a.zip: 5 bytes, 0 bytes per s\n"


def test_the_live_display_has_a_bar_for_each_file_and_keeps_the_notices():
    screen = io.StringIO()
    with LiveFetchProgress(Console(file=screen, force_terminal=True, width=120)) as progress:
        progress.moved("a.zip", 1_000_000, 4_000_000)
        progress.moved("b.pt", 0, 2_000_000)
        progress.moved("a.zip", 2_000_000, 4_000_000)
        progress.notice("b.pt: the connection was cut [again]; trying again in 1 s (try 2 of 6)")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "a.zip" in shown and "2.0/4.0 MB" in shown and "b.pt: the connection was cut [again]; trying" in shown


@pytest.mark.parametrize(
    ("terminal", "ci", "kind"), [(True, False, LiveFetchProgress), (True, True, PlainFetchProgress)]
)
def test_which_display_is_taken(monkeypatch, terminal, ci, kind):
    monkeypatch.setattr(fetch.sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("CI", "1") if ci else monkeypatch.delenv("CI", raising=False)
    assert type(make_fetch_progress()) is kind
