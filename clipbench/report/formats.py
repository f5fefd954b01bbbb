"""The forms that a judgement is put out in, several at once, to the screen and to files."""

from __future__ import annotations

import difflib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipbench.compare.verdicts import Judgement, comparison_data
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.report.github import github
from clipbench.report.junit import junit
from clipbench.report.markdown import markdown
from clipbench.report.terminal import comparison_report, verdict_line


@dataclass(frozen=True)
class Output:
    """One form, to the screen or to ``path``."""

    form: str
    path: Path | None = None


def parse_outputs(texts: Sequence[str]) -> tuple[Output, ...]:
    """``junit=out.xml`` and ``table`` as Outputs; the table comes to the screen where nothing else is to.

    An unknown form, an empty file name and a file named twice are UsageErrors.
    """
    outputs = [_parse(text) for text in texts]
    if all(output.path for output in outputs):
        outputs.append(Output("table"))
    files = [output.path.resolve() for output in outputs if output.path and not _is_summary(output.path)]
    for path in files:
        if files.count(path) > 1:
            raise UsageError(f"--format: {path} is named twice; the second would replace the first")
    return tuple(outputs)


def write_outputs(judgement: Judgement, outputs: Sequence[Output]) -> ExitCode:
    """Put the judgement out, files first; its exit code.

    A file that cannot be written costs none of the others, and is a NotReadyError at the end, the verdict with it.
    """
    refused = []
    for output in outputs:
        if output.path:
            try:
                _write(output.path, FORMS[output.form](judgement))
            except OSError as error:
                refused.append(f"{output.path}: cannot be written ({error.strerror}); choose another file")
    for output in outputs:
        if output.path is None:
            _show(output.form, judgement)
    if refused:
        raise NotReadyError("\n".join([*refused, f"the verdict all the same: {verdict_line(judgement)}"]))
    return judgement.exit_code


def _parse(text: str) -> Output:
    form, equals, path = text.partition("=")
    if form not in FORMS:
        near = difflib.get_close_matches(form, FORMS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise UsageError(f"--format {text}: expected one of {', '.join(FORMS)}, or FORM=FILE{hint}")
    if equals and not path:
        raise UsageError(f"--format {text}: expected a file after the =; is the variable that names it set?")
    return Output(form, Path(path) if path else None)


def _write(path: Path, text: str) -> None:
    """Replace the file; only what GitHub collects a step's summary in is added to, as it must be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    adding = _is_summary(path)
    with path.open("a" if adding else "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"\n{text}" if adding and file.tell() else text)


def _is_summary(path: Path) -> bool:
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    return bool(summary) and path.resolve() == Path(str(summary)).resolve()


def _show(form: str, judgement: Judgement) -> None:
    if form == "table":
        from rich.console import Console

        Console(highlight=False).print(comparison_report(judgement), crop=False)
        return
    # A log in ASCII, or a file name that is not Unicode, is no reason to lose the report.
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(FORMS[form](judgement).encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _table(judgement: Judgement) -> str:
    """As on a terminal of 79 columns, without colour."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=79, highlight=False, color_system=None, force_terminal=False)
    console.print(comparison_report(judgement))
    return text.getvalue()


def _json(judgement: Judgement) -> str:
    return json.dumps(comparison_data(judgement), indent=1, ensure_ascii=False) + "\n"


FORMS: Mapping[str, Callable[[Judgement], str]] = {
    "table": _table,
    "json": _json,
    "markdown": markdown,
    "junit": junit,
    "github": github,
}
