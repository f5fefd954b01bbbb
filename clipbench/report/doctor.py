"""The report of ``clipbench doctor`` as text: one line a finding, the next thing to do under what is not well."""

from __future__ import annotations

import itertools
import textwrap
from dataclasses import replace

import click

from clipbench.doctor.checkup import Report
from clipbench.doctor.findings import Finding

COLOURS = {"ok": "green", "note": "blue", "warning": "yellow", "failure": "red"}
LEVEL_WIDTH = 7
NARROWEST = 60


def doctor_text(report: Report, width: int) -> str:
    """The report in lines of at most ``width`` columns, with colours."""
    width = max(width, NARROWEST)
    subjects = max(len(finding.subject) for finding in report.findings)
    blocks = [f"suite {report.suite}"]
    for section, findings in itertools.groupby(report.findings, key=lambda finding: finding.section):
        # What one thing to do mends is listed together, and the thing is said once.
        listed = list(findings)
        once = [
            replace(finding, fix="") if after and after.fix == finding.fix else finding
            for finding, after in itertools.zip_longest(listed, listed[1:])
        ]
        lines = [line for finding in once for line in _lines(finding, subjects, width)]
        blocks.append("\n".join([section, *lines]))
    blocks.append(_verdict(report))
    return "\n\n".join(blocks)


def _lines(finding: Finding, subjects: int, width: int) -> list[str]:
    indent = " " * (2 + LEVEL_WIDTH + 2 + subjects + 2)
    texts = [finding.detail] + ([f"next: {finding.fix}"] if finding.fix else [])
    wrapped = [
        line
        for text in texts
        for line in textwrap.wrap(text, max(width - len(indent), 20), break_long_words=False, break_on_hyphens=False)
    ] or [""]
    level = click.style(f"{finding.level:<{LEVEL_WIDTH}}", fg=COLOURS[finding.level])
    first = f"  {level}  {finding.subject:<{subjects}}  {wrapped[0]}".rstrip()
    return [first, *(indent + line for line in wrapped[1:])]


def _verdict(report: Report) -> str:
    counts = {level: report.count(level) for level in ("failure", "warning")}
    told = " and ".join(f"{n} {level}{'s' if n > 1 else ''}" for level, n in counts.items() if n)
    verdict = "not ready" if counts["failure"] else "ready"
    return f"{verdict}{': ' + told if told else ''} (exit code {int(report.exit_code)})"
