"""What ``clipbench conform`` prints: a line for each check, and the promise where it is broken."""

import textwrap
from collections import Counter
from collections.abc import Sequence

import click

from clipbench.conform.checks import Outcome
from clipbench.errors import ExitCode

COLOURS = {"pass": "green", "fail": "red", "left out": "blue", "not ready": "yellow"}
STATUS_WIDTH, NAME_WIDTH, WIDTH = 9, 21, 120


def outcome_text(outcome: Outcome) -> str:
    """Return the line of one check; where it fails, the promise follows."""
    status = click.style(f"{outcome.status:<{STATUS_WIDTH}}", fg=COLOURS[outcome.status])
    indent = " " * (STATUS_WIDTH + 2 + NAME_WIDTH + 2)
    texts = [outcome.detail] + ([f"promised: {outcome.promise}"] if outcome.status == "fail" else [])
    lines = [line for text in texts for line in textwrap.wrap(text, WIDTH - len(indent))] or [""]
    return f"\n{indent}".join([f"{status}  {outcome.check:<{NAME_WIDTH}}  {lines[0]}", *lines[1:]]).rstrip()


def verdict_text(name: str, outcomes: Sequence[Outcome], code: ExitCode) -> str:
    """Return the last line: how many checks came to what."""
    counts: Counter[str] = Counter(outcome.status for outcome in outcomes)
    parts = ", ".join(f"{counts[status]} {status}" for status in COLOURS if counts[status])
    verdict = {ExitCode.PASS: "keeps its promises", ExitCode.NOT_READY: "could not be checked in full"}
    return f"\n{name} {verdict.get(code, 'breaks a promise')}: {parts} (exit code {int(code)})"
