"""Results: built from the events of a case, written to disk, read from there."""

from __future__ import annotations

import datetime
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from clipbench import __version__
from clipbench.api import events
from clipbench.api.config import Case
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.result import CaseError, Result, SourceVersion, Status
from clipbench.errors import ClipbenchError, InvalidFileError
from clipbench.files import schemas
from clipbench.files.disk import writing
from clipbench.files.json_file import write_json
from clipbench.results.document import digest_of, kind_and_version, read_document
from clipbench.results.environment import source_version
from clipbench.results.metrics import summarise

EventT = TypeVar("EventT", bound=events.Event)


def utc_now() -> str:
    """Return the time now, in UTC, as results have it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def new_run_id(case: Case) -> str:
    """Return case, UTC second and four random hex digits: sorts by case and time, and is safe as a file name."""
    label = re.sub(r"[^A-Za-z0-9_.@=,+-]+", "-", case.name)[:120]
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{label}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


# --- building -----------------------------------------------------------------------------------------------------


def build_result(
    case: Case,
    run_id: str,
    started: str,
    log: Sequence[events.Event],
    status: Status,
    error: CaseError | None,
    warnings: Iterable[str] = (),
) -> Result:
    """Return what a case's event ``log`` adds up to; pure but for the clock.

    Every kind of event may be absent, so that a crashed case keeps all that it had reported.
    """
    environment, inputs = _last(log, events.EnvironmentRead), _last(log, events.InputsRead)
    probed, ranked = _last(log, events.DeviceProbed), _last(log, events.QueriesRanked)
    # At the end with what the steps have changed in it: a scaler's state, say.
    model = _last(log, events.TrainingFinished) or _last(log, events.LearnerBuilt)
    start = _last(log, events.TrainingStarted) or events.TrainingStarted(())
    epochs = (*start.epochs, *(event.record for event in log if isinstance(event, events.EpochFinished)))
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
        environment=environment.environment if environment else None,
        dataset=inputs.dataset if inputs else None,
        weights=inputs.weights if inputs else None,
        model=model.model if model else None,
        seed=case.seed,
        text_truncated=inputs.text_truncated if inputs else None,
        epochs=epochs,
        metrics=summarise(epochs),
        query_ranks=ranked.query_ranks if ranked else None,
        error=error,
        attempts=start.attempts,
        probes=probed.probes if probed else None,
        bad_images=inputs.bad_images if inputs else None,
        warnings=(*warnings, *(event.text for event in log if isinstance(event, events.Warned))),
    )


def _last(log: Sequence[events.Event], kind: type[EventT]) -> EventT | None:
    return next((event for event in reversed(log) if isinstance(event, kind)), None)


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


def read_result(path: Path) -> Result:
    """Return one result from disk; raise InvalidFileError that says what is wrong with anything else."""
    return parse_result(read_document(path, "result"), path)


def parse_result(document: Mapping[str, Any], path: Path) -> Result:
    """Return a document that its schema has accepted, as a Result; raise InvalidFileError for ranks that are floats."""
    ranks = document["query_ranks"] or {}
    for key in ("text", "image", "image_of_text"):
        if not set(map(type, ranks.get(key, ()))) <= {int}:
            raise InvalidFileError(f"{path}: not a valid result: query_ranks.{key}: expected integers")
    return from_plain(Result, document)
