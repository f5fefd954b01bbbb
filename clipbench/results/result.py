"""Results: built from the events of a case, written to disk, read from there."""

from __future__ import annotations

import datetime
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api import events as e
from clipbench.api.config import Case
from clipbench.api.data import Probe
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.result import (
    Attempt,
    CaseError,
    EpochRecord,
    QueryRanks,
    Result,
    SourceVersion,
    Status,
)
from clipbench.errors import ClipbenchError, InvalidFileError
from clipbench.files import schemas
from clipbench.files.disk import writing
from clipbench.files.json_file import write_json
from clipbench.results.document import KINDS, VERSIONS, digest_of, read_document
from clipbench.results.environment import source_version
from clipbench.results.metrics import summarise

KIND = KINDS["result"]


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


@dataclass
class _Reported:
    """What the events of a case have reported so far."""

    environment: Mapping[str, Any] | None = None
    inputs: e.InputsRead | None = None
    probes: tuple[Probe, ...] | None = None
    model: Mapping[str, Any] | None = None
    epochs: tuple[EpochRecord, ...] = ()
    query_ranks: QueryRanks | None = None
    attempts: tuple[Attempt, ...] = ()
    warnings: tuple[str, ...] = ()

    def add(self, event: e.Event) -> None:
        match event:
            case e.EnvironmentRead():
                self.environment = event.environment
            case e.InputsRead():
                self.inputs = event
            case e.DeviceProbed():
                self.probes = event.probes
            case e.LearnerBuilt() | e.TrainingFinished():
                self.model = event.model  # at the end with what the steps have changed in it: a scaler's state, say
            case e.TrainingStarted():
                self.attempts, self.epochs = event.attempts, event.epochs
            case e.EpochFinished():
                self.epochs = (*self.epochs, event.record)
            case e.QueriesRanked():
                self.query_ranks = event.query_ranks
            case e.Warned():
                self.warnings = (*self.warnings, event.text)


def build_result(
    case: Case,
    run_id: str,
    started: str,
    events: Iterable[e.Event],
    status: Status,
    error: CaseError | None,
    warnings: Iterable[str] = (),
) -> Result:
    """Return what a case's events add up to; pure but for the clock, so that a crashed case keeps all it reported."""
    reported = _Reported(warnings=tuple(warnings))
    for event in events:
        reported.add(event)
    inputs = reported.inputs
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
        environment=reported.environment,
        dataset=inputs.dataset if inputs else None,
        weights=inputs.weights if inputs else None,
        model=reported.model,
        seed=case.seed,
        text_truncated=inputs.text_truncated if inputs else None,
        epochs=reported.epochs,
        metrics=summarise(reported.epochs),
        query_ranks=reported.query_ranks,
        error=error,
        attempts=reported.attempts,
        probes=reported.probes,
        bad_images=inputs.bad_images if inputs else None,
        warnings=reported.warnings,
    )


# --- files --------------------------------------------------------------------------------------------------------


def result_data(result: Result) -> dict[str, Any]:
    """Return ``result`` as it is stored, with its digest (result.schema.json)."""
    data = {"kind": KIND, "schema_version": VERSIONS["result"], **to_plain(result)}
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
    document = read_document(path)
    if document["kind"] != KIND:
        raise InvalidFileError(f"{path}: is a {document['kind']}; expected a result")
    return parse_result(document, path)


def parse_result(document: Mapping[str, Any], _path: Path) -> Result:
    """Return a document that its schema has taken, as a Result."""
    return from_plain(Result, document)
