"""``clipbench validate``: check suites, results, references and baselines by schema, data roots by their files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipbench.api import ClipbenchError, DatasetSpec, ExitCode, UsageError
from clipbench.api.registry import Registry, load_object
from clipbench.results.collect import read_file
from clipbench.suites.loading import load_suite

SUITE_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class FileVerdict:
    """One file: its ``kind``, its ``problem`` or None, and ``warnings`` on things that are odd but valid."""

    path: Path
    kind: str
    problem: str | None
    exit_code: ExitCode
    detail: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.problem is None


def validate_paths(paths: Sequence[Path], registry: Registry, deep: bool = False) -> list[FileVerdict]:
    """Return a verdict for every file named, and for every .yaml, .yml and .json in every folder named.

    A folder that has the layout of a dataset plugin is a data root: each of its annotation files gets a verdict, with
    its images, which are decoded where ``deep``; nothing else in it is checked.
    Raises UsageError for a path that does not exist, and where there is nothing to validate.
    """
    layouts = [spec for spec in registry.datasets.specs.values() if spec.layout and spec.check]
    verdicts = [verdict for path in paths for verdict in _verdicts(path, layouts, deep)]
    if not verdicts:
        raise UsageError(
            f"nothing to validate in {', '.join(map(str, paths))}: no .yaml, .yml or .json file, and no data root "
            f"({', '.join(str(spec.layout) for spec in layouts)})"
        )
    return verdicts


def _verdicts(path: Path, layouts: Sequence[DatasetSpec], deep: bool) -> Iterator[FileVerdict]:
    if not os.path.exists(path):  # noqa: PTH110 -- a name that is too long is no file, and no error
        raise UsageError(f"{path}: no such file or folder")
    if not path.is_dir():
        yield _validate(path)
    for folder, inside, names in os.walk(path):  # nothing where it is a file
        place = Path(folder)
        spec = next((spec for spec in layouts if any(place.glob(str(spec.layout)))), None)
        inside[:] = [] if spec else _visible(inside)
        if spec:
            yield from _check_data(place, spec, deep)
        else:
            yield from (
                _validate(place / name) for name in _visible(names) if Path(name).suffix in (*SUITE_ENDINGS, ".json")
            )


def _visible(names: Sequence[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _check_data(root: Path, spec: DatasetSpec, deep: bool) -> Iterator[FileVerdict]:
    for finding in load_object(str(spec.check))(root, deep):
        problem = "\n".join(finding.problems) or None
        code = ExitCode.NOT_READY if problem else ExitCode.PASS
        yield FileVerdict(finding.path, "annotations", problem, code, finding.summary, finding.warnings)


def _validate(path: Path) -> FileVerdict:
    kind = "suite" if path.suffix in SUITE_ENDINGS else "result or reference"
    try:
        kind = type(load_suite(path) if kind == "suite" else read_file(path)).__name__.lower()
    except ClipbenchError as error:
        return FileVerdict(path, kind, str(error), error.exit_code)
    return FileVerdict(path, kind, None, ExitCode.PASS)
