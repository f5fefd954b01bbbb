"""Results: built from the events of a case, written to disk, read from there."""

import datetime
import json
import re
import secrets
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api import Case, ClipbenchError, InvalidFileError, events, from_plain, to_plain
from clipbench.api.result import CaseError, PerQuery, QueryRanks, Result, SourceVersion, Status
from clipbench.files import schemas
from clipbench.files.disk import writing
from clipbench.files.json_file import write_json
from clipbench.results.document import digest_of, kind_and_version, read_document
from clipbench.results.environment import source_version
from clipbench.results.measures.metrics import summarise
from clipbench.results.measures.trace import loss_trace

RETRIEVED_ENDING = ".retrieved.zip"
# Fields of a result that an event reports under the same name.
REPORTED = (
    *("environment", "probes", "dataset", "weights", "text_truncated", "bad_images", "numerics", "model"),
    *("query_ranks", "per_query", "text_weights", "vocabulary", "retrieved"),
)


def utc_now() -> str:
    """Return the time now, in UTC, as results have it."""
    return to_utc(datetime.datetime.now(datetime.timezone.utc))


def to_utc(time: datetime.datetime) -> str:
    """Return a time in UTC as results have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def from_utc(text: str) -> datetime.datetime:
    """Return the time that a result has as text; raise ValueError for another text."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def new_run_id(case: Case) -> str:
    """Return case, UTC second and ten random hex digits: sorts by case and time, and is safe as a file name.

    Ten thousand machines may start in one second: with four digits most of their ids would clash.
    """
    label = re.sub(r"[^A-Za-z0-9_.@=,+-]+", "-", case.name)[:120]
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{label}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(5)}"


# --- building -----------------------------------------------------------------------------------------------------


def build_result(
    case: Case,
    run_id: str,
    started: str,
    log: Sequence[events.Event],
    status: Status,
    error: CaseError | None,
    warnings: Iterable[str] = (),
    invocation: str | None = None,
    task: str | None = None,
) -> Result:
    """Return what a case's event ``log`` adds up to; pure but for the clock.

    Every kind of event may be absent, so that a crashed case keeps all that it had reported.
    """
    # Events have the names of the result's fields; the last one counts. A model's state changes with the steps, say.
    reported: dict[str, Any] = {**dict.fromkeys(REPORTED), "attempts": ()}
    for event in log:
        reported |= {name: value for name, value in vars(event).items() if name in reported}
    earlier = next((event.epochs for event in reversed(log) if isinstance(event, events.TrainingStarted)), ())
    epochs = (*earlier, *(event.record for event in log if isinstance(event, events.EpochFinished)))
    return Result(
        run_id=run_id,
        suite=case.suite,
        case=case.name,
        reference=case.reference,
        status=status,
        started=started,
        ended=utc_now(),
        clipbench=SourceVersion(__version__, *source_version()),
        config=case.to_dict(),
        config_sha256=case.sha256(),
        seed=case.seed,
        epochs=epochs,
        metrics=summarise(epochs, case.train.batch_size),
        error=error,
        invocation=invocation,
        loss_trace=loss_trace(epochs),
        task=task,
        warnings=(*warnings, *(event.text for event in log if isinstance(event, events.Warned))),
        **reported,
    )


# --- files --------------------------------------------------------------------------------------------------------


def result_data(result: Result) -> dict[str, Any]:
    """Return ``result`` as it is stored, with its digest (result.schema.json)."""
    data = {**kind_and_version("result"), **to_plain(result)}
    # As it will be read: the digest is of what JSON makes of keys that are numbers.
    plain = json.loads(json.dumps(data, allow_nan=False))
    return {**plain, "digest": digest_of(plain)}


def write_result(folder: Path, result: Result) -> Path:
    """Validate, then write ``folder/<run id>.json`` atomically; nothing gets that name unless the schema takes it."""
    data = result_data(result)
    refusals = [message for _, message in schemas.problems("result", data)]
    if refusals:
        raise ClipbenchError(
            "the result breaks its own schema, which is a bug in clipbench or a plugin:\n  " + "\n  ".join(refusals[:5])
        )
    path = folder / f"{result.run_id}.json"
    with writing("the result", path, len(json.dumps(data))):
        write_json(path, data)
    return path


def retrieved_path(result: Path, run_id: str) -> Path:
    """Return where the file with what a run retrieved lies: beside the file ``result`` with its result."""
    return result.with_name(run_id + RETRIEVED_ENDING)


def read_result(path: Path) -> Result:
    """Return one result from disk; raise InvalidFileError that says what is wrong with anything else."""
    return parse_result(read_document(path, "result"), path)


def parse_result(document: Mapping[str, Any], path: Path) -> Result:
    """Return a document that its schema has accepted, as a Result, ranks of queries as arrays of four bytes a number.

    Raises InvalidFileError for ranks that are not integers, and for a result that does not agree with itself.
    """
    from clipbench.results.consistency import disagreements  # it imports numpy, which few who import this need

    result = from_plain(Result, document)
    if (ranks := result.query_ranks) is not None:
        arrays = (_array(path, f"query_ranks.{key}", getattr(ranks, key)) for key in ("text", "image", "image_of_text"))
        result = replace(result, query_ranks=QueryRanks(ranks.epoch, *arrays))
    if (kept := result.per_query) is not None:
        values = {
            name: {key: _array(path, f"per_query.values.{name}.{key}", list_) for key, list_ in own.items()}
            for name, own in kept.values.items()
        }
        result = replace(result, per_query=PerQuery(kept.epoch, values))
    try:
        first = next(disagreements(result), None)
    except OverflowError:  # an integer of hundreds of digits
        raise InvalidFileError(f"{path}: not a valid result: a number in it is too large") from None
    if first:
        raise InvalidFileError(f"{path}: does not agree with itself: {first}; it was edited, or its writer has a bug")
    return result


def _array(path: Path, key: str, ranks: Sequence[int]) -> Sequence[int]:
    """Return ``ranks`` as an array: many results then fit into memory."""
    try:
        # An array would take True for 1.
        if set(map(type, ranks)) <= {int}:
            return array("i", ranks)
    except OverflowError:
        pass
    raise InvalidFileError(f"{path}: not a valid result: {key}: expected integers below 2^31")
