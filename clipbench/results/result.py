"""Results: folded from the events of a case, checked by the schema, written once."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.errors import ClipbenchError, InvalidFileError
from clipbench.files import schemas
from clipbench.files.disk import writing
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.environment import source_version
from clipbench.results.metrics import metrics_of
from clipbench.suites.loading import Case

KIND = "clipbench.result"
SCHEMA_VERSION = 1
BEST_METRIC = "recall_mean"

Result = dict[str, Any]


def utc_now() -> str:
    """Now, in UTC, as results have it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def new_run_id(case: Case) -> str:
    """Case, UTC second and four random hex digits: sorts by case and time, and is safe as a file name."""
    label = re.sub(r"[^A-Za-z0-9_.@=,+-]+", "-", case.name)[:120]
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{label}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def build_result(
    case: Case,
    run_id: str,
    started: str,
    events: Iterable[Mapping[str, Any]],
    status: str,
    error: Mapping[str, Any] | None,
    warnings: Iterable[str] = (),
) -> Result:
    """What a case's events add up to; pure but for the clock, so that a crashed case keeps all it reported."""
    before: dict[str, Any] = {}
    epochs: list[dict[str, Any]] = []
    ranks: Any = None
    model: Any = None
    attempts: list[dict[str, Any]] = []
    said = list(warnings)
    for event in events:
        if event["event"] in ("environment", "inputs", "probes"):
            before |= event
        elif event["event"] == "resumed":
            attempts, epochs = event["attempts"], list(event["epochs"])
        elif event["event"] in ("started", "finished"):
            model = event["model"]  # at the end with what the steps have changed in it: a scaler's state, say
        elif event["event"] == "epoch":
            epochs.append(event["record"])
        elif event["event"] == "ranks":
            ranks = event["ranks"]
        elif event["event"] == "warning":
            said.append(event["text"])
    version, commit, dirty = __version__, *source_version()
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "suite": case.suite,
        "case": case.name,
        "reference": case.reference,
        "status": status,
        "started": started,
        "ended": utc_now(),
        "clipbench": {"version": version, "commit": commit, "dirty": dirty},
        "config": case.to_dict(),
        "config_sha256": case.sha256(),
        "environment": before.get("environment"),
        "dataset": before.get("dataset"),
        "weights": before.get("weights"),
        "model": model,
        "seed": case.seed,
        "text_truncated": before.get("text_truncated"),
        "epochs": epochs,
        "metrics": summarise(epochs),
        "ranks": ranks,
        "attempts": attempts,
        "probes": before.get("probes"),
        "bad_images": before.get("bad_images"),
        "warnings": said,
        "error": dict(error) if error else None,
    }


def summarise(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """Metrics of the last evaluated epoch, and of the epoch with the best overall recall mean (the first such)."""
    evaluated = [record for record in epochs if record["recall"] is not None]
    if not evaluated:
        return {"last": None, "best": None}
    last, best = evaluated[-1], max(evaluated, key=lambda record: record["recall"][BEST_METRIC])
    return {
        name: {"epoch": record["epoch"], "values": metrics_of(record)}
        for name, record in (("last", last), ("best", best))
    }


def write_result(folder: Path, result: Result) -> Path:
    """Validate, then write ``folder/<run id>.json`` atomically; nothing gets that name unless the schema takes it."""
    refusals = [message for _, message in schemas.problems("result", result)]
    if refusals:
        raise ClipbenchError(
            "the result breaks its own schema, which is a bug in clipbench or a plugin:\n  " + "\n  ".join(refusals[:5])
        )
    path = folder / f"{result['run_id']}.json"
    # As it will be read: the digest is of what JSON makes of tuples and of keys that are numbers.
    plain = json.loads(json.dumps(result, allow_nan=False))
    whole = {**plain, "digest": digest_of(plain)}
    with writing("the result", path, len(json.dumps(whole))):
        write_json(path, whole)
    return path


def digest_of(result: Mapping[str, Any]) -> str:
    """SHA-256 of a result's canonical JSON, all but its key ``digest``: what shows that no number was changed since."""
    content = {key: value for key, value in result.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_result(path: Path) -> Result:
    """One result from disk; anything else is an InvalidFileError that says what is wrong with it."""
    data = read_document(path)
    if data["kind"] != KIND:
        raise InvalidFileError(f"{path}: is a {data['kind']}; expected a result")
    return data


def read_document(path: Path) -> dict[str, Any]:
    """A result, reference or baseline, told apart by ``kind`` and checked by its schema; else an InvalidFileError."""
    try:
        data = read_json(path)
    except JsonError as error:
        raise InvalidFileError(f"{path}: {error}") from None
    kinds = {KIND: "result", "clipbench.reference": "reference", "clipbench.baseline": "baseline"}
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise InvalidFileError(f"{path}: not a file of clipbench; expected the key 'kind' with {' or '.join(kinds)}")
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InvalidFileError(
            f"{path}: schema_version {version} is newer than this clipbench reads ({SCHEMA_VERSION}); upgrade clipbench"
        )
    refusals = [message for _, message in schemas.problems(kinds[kind], data)]
    if refusals:
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        raise InvalidFileError(f"{path}: not a valid {kinds[kind]}: {refusals[0]}{more}")
    if "digest" in data and data["digest"] != digest_of(data):
        raise InvalidFileError(f"{path}: edited or damaged: its content is not what its digest was taken of")
    return data  # type: ignore[no-any-return]
