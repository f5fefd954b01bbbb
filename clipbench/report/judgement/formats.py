"""The output formats of a judgement: several at once, to the screen and to files."""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.api.plain import to_plain
from clipbench.api.text import printable_data
from clipbench.compare.verdicts import Comparison, Judgement, Verdict
from clipbench.errors import ExitCode, NotReadyError, UsageError, did_you_mean
from clipbench.files.json_file import json_text
from clipbench.files.replacing import check_replaceable
from clipbench.report.judgement import wording
from clipbench.report.judgement.github import github
from clipbench.report.judgement.headline import comparison_headline, headline
from clipbench.report.judgement.junit import junit
from clipbench.report.judgement.markdown import markdown

# Fields of a comparison and of a verdict that comparison.schema.json has as they are.
COMPARISON_FIELDS = (
    "runs", "suite", "case", "engine", "device", "precision", "world_size", "epoch", "status", "differences",
)  # fmt: skip
VERDICT_FIELDS = (
    *("metric", "status", "unit", "direction", "value", "reference", "difference", "tolerance", "error"),
    "runs_needed",
)


@dataclass(frozen=True)
class Output:
    """One format, to the screen or to ``path``."""

    form: str
    path: Path | None = None


def parse_outputs(texts: Sequence[str]) -> tuple[Output, ...]:
    """Return texts such as ``junit=out.xml`` as Outputs; the table goes to the screen if nothing else does.

    Raises UsageError for an unknown format, an empty file name and a file named twice.
    """
    outputs = [_parse(text) for text in texts]
    if all(output.path for output in outputs):
        outputs.append(Output("table"))
    files = [output.path.resolve() for output in outputs if output.path and not _is_summary(output.path)]
    if twice := [path for path in files if files.count(path) > 1]:
        raise UsageError(f"--format: {twice[0]} is named twice; the second would replace the first")
    return tuple(outputs)


def check_outputs(outputs: Sequence[Output], inputs: Collection[str]) -> None:
    """Raise UsageError, before anything is written, for a file that was read or that no comparison has written."""
    for output in outputs:
        if output.path and not _is_summary(output.path):
            check_replaceable(output.path, MARKS[output.form], inputs, f"--format {output.form}={output.path}")


def write_outputs(judgement: Judgement, outputs: Sequence[Output], verbose: bool = False) -> ExitCode:
    """Write the judgement, files first; return its exit code. ``verbose`` is for the table on the screen.

    Raises NotReadyError, with the verdict in its message, after the rest was written, where a file could not be.
    """
    refused = []
    for output in outputs:
        if output.path:
            try:
                _write(output.path, _text(output.form, judgement))
            except OSError as error:
                refused.append(f"{output.path}: cannot be written ({error.strerror}); choose another file")
    for output in outputs:
        if output.path is None:
            _show(output.form, judgement, verbose)
    if refused:
        raise NotReadyError(
            "\n".join([*refused, headline(judgement), f"the verdict: {wording.verdict_line(judgement)}"])
        )
    return judgement.exit_code


def _parse(text: str) -> Output:
    form, equals, path = text.partition("=")
    if form not in FORMS:
        raise UsageError(f"--format {text}: expected FORM or FORM=FILE; {did_you_mean(form, FORMS)}")
    if equals and not path:
        raise UsageError(f"--format {text}: expected a file after the =; is the variable that names it set?")
    return Output(form, Path(path) if path else None)


def _write(path: Path, text: str) -> None:
    """Replace the file; append to the one in which GitHub collects a step's summary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    append = _is_summary(path)
    with path.open("a" if append else "w", encoding="utf-8") as file:
        file.write(f"\n{text}" if append and file.tell() else text)


def _is_summary(path: Path) -> bool:
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    return bool(summary) and path.resolve() == Path(str(summary)).resolve()


def _text(form: str, judgement: Judgement) -> str:
    # JSON is read by programs, which get every text as it is.
    return FORMS[form](judgement if form == "json" else printable_data(judgement))


def _show(form: str, judgement: Judgement, verbose: bool) -> None:
    if form == "table":
        # It imports rich, which the other formats do without.
        from clipbench.report.judgement.terminal import print_table

        print_table(printable_data(judgement), verbose)
        return
    sys.stdout.write(_text(form, judgement))
    sys.stdout.flush()


def _table(judgement: Judgement) -> str:
    from clipbench.report.judgement.terminal import table_text

    return table_text(judgement)


def comparison_data(judgement: Judgement) -> dict[str, Any]:
    """Return the judgement as plain data (comparison.schema.json)."""
    return {
        "kind": "clipbench.comparison",
        "schema_version": 3,
        "exit_code": int(judgement.exit_code),
        "meaning": wording.meaning(judgement),
        "headline": headline(judgement),
        "fail_on": ["fail", *sorted(judgement.fail_on - {"fail"})],
        "problems": list(judgement.problems),
        "seen": to_plain(judgement.seen),
        "comparisons": [_comparison(comparison) for comparison in judgement.comparisons],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    against = comparison.against
    return {
        **{name: to_plain(getattr(comparison, name)) for name in COMPARISON_FIELDS},
        "against": {**to_plain(against), "source": wording.source_of(against)} if against else None,
        "verdicts": [_verdict(verdict, comparison) for verdict in comparison.verdicts],
        "reasons": wording.comparison_reasons(comparison),
        "warnings": wording.comparison_warnings(comparison),
        "headline": comparison_headline(comparison),
        "changes": wording.changes(comparison),
    }


def _verdict(verdict: Verdict, comparison: Comparison) -> dict[str, Any]:
    return {
        **{name: getattr(verdict, name) for name in VERDICT_FIELDS},
        "warning": verdict.label == "warn",
        "reason": wording.reason(verdict, comparison),
        "detail": wording.detail(verdict),
    }


FORMS: Mapping[str, Callable[[Judgement], str]] = {
    "table": _table,
    "json": lambda judgement: json_text(comparison_data(judgement)) + "\n",
    "markdown": markdown,
    "junit": junit,
    "github": github,
}
# By what an earlier file of each format is known.
MARKS: Mapping[str, str] = {
    "table": ": exit code ",
    "json": '"kind": "clipbench.comparison"',
    "markdown": ": exit code ",
    "junit": '<testsuites name="clipbench compare"',
    "github": "title=clipbench compare::",
}
