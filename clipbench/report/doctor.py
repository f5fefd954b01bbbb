"""The report of ``clipbench doctor``: as text, a line for each finding with the next thing to do, and as plain data."""

import itertools
import os
import shutil
import textwrap
from dataclasses import replace
from typing import Any

import click

from clipbench.api.plain import to_plain
from clipbench.doctor.checkup import Checkup
from clipbench.doctor.findings import Finding

COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "failure": "red"}
LEVEL_WIDTH = 7
NARROWEST = 60


def checkup_data(checkup: Checkup) -> dict[str, Any]:
    """Return what ``clipbench doctor --format json`` prints."""
    devices = [{**to_plain(check), "available": check.available} for check in checkup.devices]
    return {**to_plain(checkup), "exit_code": int(checkup.exit_code), "devices": devices}


def doctor_text(checkup: Checkup, width: int | None = None) -> str:
    """Return the report in lines of ``width`` columns (None: the terminal's), in colours unless NO_COLOR is set."""
    width = max(width or shutil.get_terminal_size().columns, NARROWEST)
    subjects = max(len(finding.subject) for finding in checkup.findings)
    blocks = [f"suite {checkup.suite}"]
    for section, findings in itertools.groupby(checkup.findings, key=lambda finding: finding.section):
        # Where one thing to do is for several findings in a row, it is printed once, under the last of them.
        listed = list(findings)
        once = [
            replace(finding, fix="") if following and following.fix == finding.fix else finding
            for finding, following in itertools.zip_longest(listed, listed[1:])
        ]
        lines = [line for finding in once for line in _lines(finding, subjects, width)]
        blocks.append("\n".join([section, *lines]))
    blocks.append(_verdict(checkup))
    text = "\n\n".join(blocks)
    return click.unstyle(text) if os.environ.get("NO_COLOR") else text


def _lines(finding: Finding, subjects: int, width: int) -> list[str]:
    indent = " " * (2 + LEVEL_WIDTH + 2 + subjects + 2)
    texts = [finding.detail] + ([f"next: {finding.fix}"] if finding.fix else [])
    wrap = textwrap.TextWrapper(max(width - len(indent), 20), break_long_words=False, break_on_hyphens=False)
    wrapped = [line for text in texts for line in wrap.wrap(text)] or [""]
    level = click.style(f"{finding.level:<{LEVEL_WIDTH}}", fg=COLOURS[finding.level])
    first = f"  {level}  {finding.subject:<{subjects}}  {wrapped[0]}".rstrip()
    return [first, *(indent + line for line in wrapped[1:])]


def _verdict(checkup: Checkup) -> str:
    counts = [(checkup.count(level), level) for level in ("failure", "warning")]
    summary = " and ".join(f"{count} {level}{'s' if count > 1 else ''}" for count, level in counts if count)
    verdict = "not ready" if checkup.count("failure") else "ready"
    return f"{verdict}{': ' + summary if summary else ''} (exit code {int(checkup.exit_code)})"
