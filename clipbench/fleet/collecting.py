"""Results of many folders, copied into one: each run once, and nothing replaced."""

from dataclasses import dataclass
from pathlib import Path

from clipbench.errors import InvalidFileError
from clipbench.files.disk import writing
from clipbench.files.whole import whole_file
from clipbench.fleet.found import Findings
from clipbench.results.result import read_result, retrieved_path


@dataclass(frozen=True)
class Collected:
    """How many results were copied, how many were there already, and what stands in the way of others."""

    copied: int
    present: int
    problems: tuple[str, ...]


def collect_into(findings: Findings, folder: Path) -> Collected:
    """Copy every result that was found to ``folder``, as ``RUN_ID.json``, with what it has retrieved beside it.

    One that was collected before its run had completed is replaced; any other file of other content is left as it is.
    """
    copied = present = 0
    problems = []
    with writing("the folder of collected results", folder, 0, "--into"):
        folder.mkdir(parents=True, exist_ok=True)
    for found in findings.all():
        run_id = found.result.run_id
        target = folder / f"{run_id}.json"
        if target.exists() and (found.path.samefile(target) or found.path.read_bytes() == target.read_bytes()):
            present += 1
            continue
        if target.exists() and not _has_gone_on(target):
            problems.append(f"{target}: has other content than {found.path}; it is left as it is: keep one of them")
            continue
        # First what was retrieved, if anything: a result is there only with all that it names.
        for source, copy in (
            (retrieved_path(found.path, run_id), retrieved_path(target, run_id)),
            (found.path, target),
        ):
            if source.is_file():
                _copy(source, copy)
        copied += 1
    return Collected(copied, present, tuple(problems))


def _copy(source: Path, target: Path) -> None:
    with writing("a collected result", target, source.stat().st_size, "--into"), whole_file(target) as copy:
        copy.write(source.read_bytes())


def _has_gone_on(target: Path) -> bool:
    """Return whether the run of a collected result may have gone on since."""
    try:
        return not read_result(target).completed
    except InvalidFileError:
        return False
