"""The JSON files of clipbench, told apart by ``kind``: checked by schema and digest, brought to today's version."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from clipbench.api.plain import finite
from clipbench.api.result import Window
from clipbench.errors import InvalidFileError
from clipbench.files import schemas
from clipbench.files.json_file import JsonError, read_json
from clipbench.results.measures.metrics import THROUGHPUT, throughput

VERSIONS = {"result": 2, "reference": 1, "baseline": 2}


def read_document(path: Path, expected: str | None = None) -> dict[str, Any]:
    """Return a result, reference or baseline as plain data of today's version; raise InvalidFileError for all else.

    ``expected`` is the one of the three that is accepted. The digests that results and baselines
    carry are checked against the file as it was written.
    """
    try:
        data = read_json(path)
    except JsonError as error:
        raise InvalidFileError(f"{path}: {error}") from None
    name = _name_of(path, data)
    if expected not in (None, name):
        raise InvalidFileError(f"{path}: is a {data['kind']}; expected a {expected}")
    version = data.get("schema_version")
    version = version if type(version) is int else 0
    if version > VERSIONS[name]:
        raise InvalidFileError(
            f"{path}: schema_version {version} is newer than this clipbench reads ({VERSIONS[name]}); upgrade clipbench"
        )
    document = _MIGRATIONS[name](data) if version == 1 and name in _MIGRATIONS else data
    refusals = [message for _, message in schemas.problems(name, document)]
    if refusals:
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        raise InvalidFileError(f"{path}: not a valid {name}: {refusals[0]}{more}")
    _check_integrity(path, data)
    return document


def kind_and_version(name: str) -> dict[str, Any]:
    """Return the keys that every file of clipbench has: its kind and today's version of its schema."""
    return {"kind": f"clipbench.{name}", "schema_version": VERSIONS[name]}


def _name_of(path: Path, data: object) -> str:
    kinds = {f"clipbench.{name}": name for name in VERSIONS}
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise InvalidFileError(f"{path}: not a file of clipbench; expected the key 'kind' with {' or '.join(kinds)}")
    return kinds[kind]


def digest_of(result: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a stored result's canonical JSON without its key ``digest``."""
    content = {key: value for key, value in result.items() if key != "digest"}
    return _sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False))


def results_digest(results: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of the canonical JSON of a baseline's stored results."""
    return _sha256(json.dumps(list(results), sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _sha256(text: str) -> str:
    # JSON may hold half a surrogate pair; of any other text these are the bytes of UTF-8.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_integrity(path: Path, data: Mapping[str, Any]) -> None:
    """Raise InvalidFileError unless each result is what its digest was taken of, and a baseline's are those adopted."""
    if "results_sha256" in data and data["results_sha256"] != results_digest(data["results"]):
        raise InvalidFileError(
            f"{path}: its results are not those that were adopted (results_sha256 differs); "
            "restore the file, or adopt a result with: clipbench baseline set"
        )
    for result in data.get("results", [data]):
        if "digest" in result and result["digest"] != digest_of(result):
            which = "" if result is data else f"the result {result.get('run_id')} in it was "
            raise InvalidFileError(f"{path}: {which}edited or damaged: its content is not what its digest was taken of")


# --- files of earlier versions ------------------------------------------------------------------------------------


def _result_from_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result of version 1 as version 2 has it.

    It has ``query_ranks``, ``world_size`` for a number of ranks, and one throughput: that of the whole run.
    """
    document: dict[str, Any] = _renamed({**data, "schema_version": 2}, "ranks", "query_ranks")
    document["config"] = _renamed(document.get("config"), "ranks", "world_size")
    environment = document.get("environment")
    if isinstance(environment, dict):
        document["environment"] = {**environment, "device": _renamed(environment.get("device"), "ranks", "world_size")}
    if isinstance(epochs := document.get("epochs"), list):
        document["epochs"] = [_epoch_from_1(epoch) for epoch in epochs]
    if isinstance(metrics := document.get("metrics"), dict):
        of_run = _throughput_of(data)
        document["metrics"] = {name: _at_epoch_from_1(one, of_run) for name, one in metrics.items()}
    return document


def _epoch_from_1(epoch: Any) -> Any:  # noqa: ANN401
    """Return the record of an epoch with its throughput under today's names, among the reasons too."""
    for suffix in ("", "_per_device", "_per_card"):
        epoch = _renamed(epoch, f"samples_per_second{suffix}", f"throughput{suffix}")
    if isinstance(epoch, dict) and "reasons" in epoch:
        epoch["reasons"] = _renamed(epoch["reasons"], "samples_per_second", THROUGHPUT)
    return epoch


def _at_epoch_from_1(one: Any, of_run: float | None) -> Any:  # noqa: ANN401
    """Return the metrics of an epoch; version 1 had that epoch's throughput where version 2 has the run's."""
    if not isinstance(one, dict):
        return one
    values = _renamed(one.get("values"), "samples_per_second", THROUGHPUT)
    if of_run is not None and isinstance(values, dict) and isinstance(values.get(THROUGHPUT), dict):
        # Null for a timing that was unreliable: that run has no windows.
        values = {**values, THROUGHPUT: {**values[THROUGHPUT], "value": of_run, "reason": None}}
    return {**one, "values": values}


def _throughput_of(data: Mapping[str, Any]) -> float | None:
    """Return the throughput of a stored run; None for one whose windows or batch are not as they should be."""
    try:
        windows = (Window(*window) for epoch in data["epochs"] for window in epoch["windows"])
        return finite(throughput(windows, data["config"]["train"]["batch_size"]))
    except (KeyError, TypeError, ArithmeticError):
        return None


def _baseline_from_1(data: Mapping[str, Any]) -> dict[str, Any]:
    results = data.get("results")
    if isinstance(results, list):
        results = [_result_from_1(result) if isinstance(result, dict) else result for result in results]
    return {**data, "schema_version": 2, "results": results}


def _renamed(data: Any, old: str, new: str) -> Any:  # noqa: ANN401
    """Return ``data`` with one key called otherwise, in its place."""
    if not isinstance(data, dict):
        return data
    return {new if key == old else key: value for key, value in data.items()}


_MIGRATIONS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "result": _result_from_1,
    "baseline": _baseline_from_1,
}
