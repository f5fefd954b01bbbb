"""``clipbench validate``: check suites, results, references and baselines by schema, data roots by their files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipbench.api import ClipbenchError, DatasetSpec, ExitCode, Result, UsageError
from clipbench.api.registry import Registry
from clipbench.results.collecting.collect import read_file
from clipbench.results.result import RETRIEVED_ENDING, retrieved_path
from clipbench.results.retrieved import RetrievedReader, check_retrieved
from clipbench.suites.loading import load_suite

SUITE_ENDINGS = (".yaml", ".yml")
ENDINGS = (*SUITE_ENDINGS, ".json")


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

    What a result has retrieved is checked with it, and alone where it is named.

    A folder in a layout of a dataset plugin is a data root: each of its splits gets a verdict, with its images, which
    are decoded where ``deep``; nothing else in it is checked.
    Raises UsageError for a path that does not exist, and where there is nothing to validate.
    """
    verdicts = [verdict for path in paths for verdict in _verdicts(path, registry, deep)]
    if not verdicts:
        datasets = _datasets_with_layouts(registry)
        raise UsageError(
            f"nothing to validate in {', '.join(map(str, paths))}: no .yaml, .yml or .json file, and no data root "
            f"({', '.join(layout for spec in datasets for layout in spec.layouts)})"
        )
    return verdicts


def _datasets_with_layouts(registry: Registry) -> list[DatasetSpec]:
    return [spec for spec in registry.datasets.specs if spec.layouts and spec.check]


def _verdicts(path: Path, registry: Registry, deep: bool) -> Iterator[FileVerdict]:
    if not os.path.exists(path):  # noqa: PTH110 -- a name that is too long is no file, and no error
        raise UsageError(f"{path}: no such file or folder")
    if not path.is_dir():
        yield _validate(path)
    for folder, inside, names in os.walk(path):  # nothing where it is a file
        place = Path(folder)
        data = list(_check_data(place, registry, deep))
        inside[:] = [] if data else _visible(inside)
        if data:
            yield from data
        else:
            yield from (_validate(place / name) for name in _visible(names) if Path(name).suffix.lower() in ENDINGS)


def _visible(names: Sequence[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _check_data(root: Path, registry: Registry, deep: bool) -> Iterator[FileVerdict]:
    datasets = _datasets_with_layouts(registry)
    found = [spec for spec in datasets if any(any(root.glob(layout)) for layout in spec.layouts)]
    for finding in (finding for spec in found for finding in registry.check_data(spec, root, deep)):
        problem = "\n".join(finding.problems) or None
        code = ExitCode.NOT_READY if problem else ExitCode.PASS
        yield FileVerdict(finding.path, "annotations", problem, code, finding.summary, finding.warnings)


def _validate(path: Path) -> FileVerdict:
    kind = "suite" if path.suffix.lower() in SUITE_ENDINGS else "result or reference"
    warnings: tuple[str, ...] = ()
    try:
        if path.name.endswith(RETRIEVED_ENDING):
            kind = "what a run retrieved"
            RetrievedReader.open(path).check_pictures()
        else:
            found = load_suite(path) if kind == "suite" else read_file(path)
            kind = type(found).__name__.lower()
            warnings = _check_beside(found, path) if isinstance(found, Result) else ()
    except ClipbenchError as error:
        return FileVerdict(path, kind, str(error), error.exit_code)
    return FileVerdict(path, kind, None, ExitCode.PASS, warnings=warnings)


def _check_beside(result: Result, path: Path) -> tuple[str, ...]:
    """Check the file with what a result retrieved, where it lies beside it; return a warning where it does not."""
    if reader := check_retrieved(result, path):
        reader.check_pictures()
    elif result.retrieved is not None:
        missing = retrieved_path(path, result.run_id).name
        return (f"{path}: {missing}, with what it retrieved, is not beside it: a page is without its pictures",)
    return ()
