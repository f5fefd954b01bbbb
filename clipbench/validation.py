"""``clipbench validate``: suites, results and references, held against their schemas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipbench.errors import ClipbenchError, ExitCode, UsageError
from clipbench.result import read_document
from clipbench.suite import load_suite

SUITE_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class FileVerdict:
    """One file: what it is, and what is wrong with it or None."""

    path: Path
    kind: str
    problem: str | None
    exit_code: ExitCode

    @property
    def ok(self) -> bool:
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "ok": self.ok, "exit_code": int(self.exit_code)}


def validate_paths(paths: Sequence[Path]) -> list[FileVerdict]:
    """A verdict for every file named, and for every .yaml, .yml and .json in every folder named."""
    verdicts = [_validate(file) for path in paths for file in _files(path)]
    if not verdicts:
        raise UsageError(f"nothing to validate in {', '.join(map(str, paths))}: no .yaml, .yml or .json file")
    return verdicts


def worst_code(verdicts: Sequence[FileVerdict]) -> int:
    """0 when all are good; 3 when a result or reference is refused, else 2 when a suite is."""
    return max(verdict.exit_code for verdict in verdicts)


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path).parts
        if file.suffix in (*SUITE_ENDINGS, ".json") and not any(part.startswith(".") for part in inside):
            yield file


def _validate(path: Path) -> FileVerdict:
    kind = "suite" if path.suffix in SUITE_ENDINGS else "result or reference"
    try:
        if kind == "suite":
            load_suite(path)
        else:
            kind = str(read_document(path)["kind"]).partition(".")[2]
    except ClipbenchError as error:
        return FileVerdict(path, kind, str(error), error.exit_code)
    return FileVerdict(path, kind, None, ExitCode.PASS)
