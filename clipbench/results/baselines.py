"""Baselines: results that were adopted, with a reason, for later ones to be held against."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.compare.comparability import bad_images, find_differences, signature
from clipbench.errors import CaseFailedError, InvalidFileError, NotReadyError, UsageError
from clipbench.files import schemas
from clipbench.files.json_file import write_json
from clipbench.results.references import ABSENT, value_at
from clipbench.results.result import Result, read_document, utc_now

KIND = "clipbench.baseline"
FOLDER = Path("results", "baseline")
ADOPTED = "adopted"


@dataclass(frozen=True)
class Baseline:
    """Completed, comparable results of one case that others are held against.

    ``reason`` and ``adopted`` are None for results that were named on the command line alone.
    """

    name: str
    results: tuple[Result, ...]
    reason: str | None = None
    adopted: str | None = None
    by: str | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    path: Path | None = field(default=None, compare=False)

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(result["run_id"] for result in self.results)

    @property
    def case(self) -> tuple[str, str]:
        """Suite and case."""
        return self.results[0]["suite"], self.results[0]["case"]

    @property
    def device(self) -> str | None:
        """Model of the device; None for results that never got one."""
        return device_of(self.results[0])


def device_of(result: Result) -> str | None:
    found = value_at(result, "environment.device.name")
    return None if found is ABSENT else found


# --- adopting -----------------------------------------------------------------------------------------------------


def adopt(
    results: Sequence[Result], folder: Path, reason: str, name: str | None = None, by: str | None = None
) -> Baseline:
    """Write ``folder/NAME.json``; what the name stood for before is kept in its history, without the figures.

    Refused with a UsageError: no reason, results of several cases or with differences that count, a device that the
    name's baseline does not have. A result that is not completed is a CaseFailedError.
    """
    if not reason.strip():
        raise UsageError("--reason: expected why this result is adopted, such as 'driver 1.3 is the new standard'")
    check_usable(results)
    name = name or default_name(results[0])
    path = folder / f"{name}.json"
    before = read_baseline(path) if path.exists() else None
    new = Baseline(name, tuple(results), reason.strip(), utc_now(), by, _history(before, results), path)
    document = baseline_data(new)
    refusals = [message for _, message in schemas.problems("baseline", document)]
    if refusals:
        raise UsageError(f"--name {name}: {refusals[0]}")
    try:
        write_json(path, document)
    except OSError as error:
        raise NotReadyError(f"{path}: the baseline cannot be written ({error.strerror}); make room there") from None
    return new


def check_usable(results: Sequence[Result]) -> None:
    """Only completed results of one case that are comparable with one another can be a baseline."""
    for result in results:
        if result["status"] != "completed":
            raise CaseFailedError(f"{result['run_id']}: its status is {result['status']}; expected a completed result")
        left_out = bad_images(result)
        if left_out:
            raise UsageError(f"{result['run_id']}: {left_out}; it cannot be a baseline")
        blocking = [d for d in find_differences(result, results[0]) if d.blocks != "nothing"]
        if blocking or _case(result) != _case(results[0]):
            why = blocking[0].sentence("other") if blocking else f"is of the case {result['case']}"
            raise UsageError(f"{result['run_id']} and {results[0]['run_id']} are no repeats of one another: {why}")


def default_name(result: Result) -> str:
    """Case and device, safe as a file name."""
    label = f"{result['case']}-{device_of(result) or 'unknown'}"
    return re.sub(r"[^A-Za-z0-9_.@=,+-]+", "-", label).strip("-.")[:120]


def _case(result: Result) -> tuple[str, str]:
    return result["suite"], result["case"]


def _history(before: Baseline | None, results: Sequence[Result]) -> tuple[Mapping[str, Any], ...]:
    if before is None:
        return ()
    if before.case != _case(results[0]) or before.device != device_of(results[0]):
        raise UsageError(
            f"{before.path}: is the baseline of {before.case[1]} on {before.device}; choose another --name"
        )
    entry = {"runs": list(before.runs), "reason": before.reason, "adopted": before.adopted, "by": before.by}
    return (*before.history, entry)


# --- files --------------------------------------------------------------------------------------------------------


def baseline_data(baseline: Baseline) -> dict[str, Any]:
    """As it is stored: baseline.schema.json."""
    return {
        "kind": KIND,
        "schema_version": 1,
        "name": baseline.name,
        "reason": baseline.reason,
        "adopted": baseline.adopted,
        "by": baseline.by,
        "history": list(baseline.history),
        "results_sha256": _sha256(baseline.results),
        "results": list(baseline.results),
    }


def read_baseline(path: Path) -> Baseline:
    """One baseline from disk; anything else, and one edited by hand, is an InvalidFileError."""
    document = read_document(path)
    if document["kind"] != KIND:
        raise InvalidFileError(f"{path}: is a {document['kind']}; expected a baseline")
    return parse_baseline(document, path)


def parse_baseline(document: Mapping[str, Any], path: Path) -> Baseline:
    """A document that its schema has taken, as a Baseline, its results checked by theirs."""
    for result in document["results"]:
        for _, message in schemas.problems("result", result):
            raise InvalidFileError(f"{path}: not a valid baseline: a result in it: {message}")
    if _sha256(document["results"]) != document["results_sha256"]:
        raise InvalidFileError(
            f"{path}: its results are not those that were adopted (results_sha256 differs); "
            "restore the file, or adopt a result with: clipbench baseline set"
        )
    return Baseline(
        document["name"],
        tuple(document["results"]),
        document["reason"],
        document["adopted"],
        document["by"],
        tuple(document["history"]),
        path,
    )


def load_baselines(folder: Path) -> list[Baseline]:
    """Every baseline of a folder, by name; a file that is none is an InvalidFileError."""
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    return [read_baseline(path) for path in paths]


def baseline_called(name: str, folder: Path) -> Baseline:
    """The adopted baseline of that name; a miss is a UsageError."""
    found = {baseline.name: baseline for baseline in load_baselines(folder)}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(found) or 'none'}"
        raise UsageError(f"{folder}: no baseline is called {name}; {hint}")
    return found[name]


def _sha256(results: Sequence[Result]) -> str:
    text = json.dumps(list(results), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


# --- finding the one that a result is held against ----------------------------------------------------------------


def group_results(results: Iterable[Result], state: bool = False) -> list[list[Result]]:
    """Results of one case that nothing that counts tells apart: repeats and seeds, in the order given.

    With ``state``, results of other software or another host are no repeats: old ones never hide what a new one shows.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((*_case(result), signature(result, state)), []).append(result)
    return list(groups.values())


def as_baselines(name: str, results: Iterable[Result]) -> list[Baseline]:
    """Results named on the command line, as baselines: one for each group, called by its run where it is one."""
    groups = group_results(results)
    return [Baseline(group[0]["run_id"] if len(group) == 1 else name, tuple(group)) for group in groups]


def find_baseline(result: Result, baselines: Sequence[Baseline]) -> tuple[Baseline | None, str | None]:
    """The one that differs least from ``result``, or None and why there is none.

    Adopted ones are those of its suite, case and device. Of results that were named, those of its case, or the only
    ones there are: what differs then is named by the comparison.
    """
    adopted = [b for b in baselines if b.adopted is not None]
    same_case = [b for b in baselines if b.case == _case(result)]
    choices = [b for b in same_case if b.adopted is None or b.device == device_of(result)]
    if not choices and len(baselines) == 1 and not adopted:
        choices = list(baselines)
    if choices:
        return min(choices, key=lambda b: (_count_blocking(result, b), _negated(b.adopted))), None
    on = f"{result['case']} on {device_of(result) or 'an unknown device'}"
    if not baselines:
        return None, f"no baseline was adopted for {on}; adopt one with: clipbench baseline set"
    known = sorted({f"{b.case[1]} on {b.device}" for b in same_case or baselines})
    return None, f"there is no baseline for {on}, only for {', '.join(known[:5])}"


def no_such_baseline(wanted: str, baselines: Iterable[Baseline], run_ids: Iterable[str]) -> UsageError:
    """What is said about a ``--baseline`` that is no path, no adopted name and no run."""
    names = [ADOPTED, *(baseline.name for baseline in baselines), *run_ids]
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"did you mean {near[0]}?" if near else "expected a file, a folder, a run id, or the name of an adopted one"
    return UsageError(f"--baseline {wanted}: no such file, run or baseline; {hint}")


def _count_blocking(result: Result, baseline: Baseline) -> int:
    return sum(d.blocks != "nothing" for d in find_differences(result, baseline.results[0]))


def _negated(date: str | None) -> tuple[int, ...]:
    """Sorts the newest date first."""
    return tuple(-ord(letter) for letter in date or "")
