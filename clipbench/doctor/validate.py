"""``clipbench validate``: suites, results and references held against their schemas, data roots against their files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipbench.api import DatasetSpec
from clipbench.api.registry import Registry, load_object
from clipbench.errors import ClipbenchError, ExitCode, UsageError
from clipbench.results.baselines import parse_baseline
from clipbench.results.references import parse_reference
from clipbench.results.result import read_document
from clipbench.suites.loading import load_suite

SUITE_ENDINGS = (".yaml", ".yml")
# Who refuses what a schema cannot say.
_PARSERS: dict[str, Callable[[Mapping[str, Any], Path], object]] = {
    "reference": parse_reference,
    "baseline": parse_baseline,
}


@dataclass(frozen=True)
class FileVerdict:
    """One file: what it is, what is wrong with it or None, and what should be known although nothing is wrong."""

    path: Path
    kind: str
    problem: str | None
    exit_code: ExitCode
    detail: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "ok": self.ok, "exit_code": int(self.exit_code)}


def validate_paths(paths: Sequence[Path], registry: Registry, deep: bool = False) -> list[FileVerdict]:
    """A verdict for every file named, and for every .yaml, .yml and .json in every folder named.

    A folder in which a dataset plugin knows its layout is a data root: its annotation files get a verdict each, with
    their pictures, which are decoded where ``deep``; nothing else in it is looked at.
    """
    layouts = [spec for spec in registry.datasets.specs.values() if spec.layout and spec.check]
    verdicts = [verdict for path in paths for verdict in _verdicts(path, layouts, deep)]
    if not verdicts:
        raise UsageError(
            f"nothing to validate in {', '.join(map(str, paths))}: no .yaml, .yml or .json file, and no data root "
            f"({', '.join(str(spec.layout) for spec in layouts)})"
        )
    return verdicts


def worst_code(verdicts: Sequence[FileVerdict]) -> int:
    """0 when all are good; 5 when data is refused, else 3 when a result or reference is, else 2 when a suite is."""
    return max(verdict.exit_code for verdict in verdicts)


def _verdicts(path: Path, layouts: Sequence[DatasetSpec], deep: bool) -> Iterator[FileVerdict]:
    if not os.path.exists(path):  # noqa: PTH110 -- a name that is too long is no file, and no error
        raise UsageError(f"{path}: no such file or folder")
    if not path.is_dir():
        yield _validate(path)
        return
    for folder, inside, names in os.walk(path):
        found = Path(folder)
        spec = next((spec for spec in layouts if any(found.glob(str(spec.layout)))), None)
        if spec is not None:
            yield from _check_data(found, spec, deep)
            inside.clear()
            continue
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix in (*SUITE_ENDINGS, ".json") and not name.startswith("."):
                yield _validate(found / name)


def _check_data(root: Path, spec: DatasetSpec, deep: bool) -> Iterator[FileVerdict]:
    for finding in load_object(str(spec.check))(root, deep):
        problem = "\n".join(finding.problems) or None
        code = ExitCode.NOT_READY if problem else ExitCode.PASS
        yield FileVerdict(finding.path, "annotations", problem, code, finding.summary, finding.warnings)


def _validate(path: Path) -> FileVerdict:
    kind = "suite" if path.suffix in SUITE_ENDINGS else "result or reference"
    try:
        if kind == "suite":
            load_suite(path)
        else:
            document = read_document(path)
            kind = str(document["kind"]).partition(".")[2]
            if kind in _PARSERS:
                _PARSERS[kind](document, path)
    except ClipbenchError as error:
        return FileVerdict(path, kind, str(error), error.exit_code)
    return FileVerdict(path, kind, None, ExitCode.PASS)
