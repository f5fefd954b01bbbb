"""What makes two results comparable: device, ranks, precision, batch, recipe, data, weights, evaluation, engine."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from clipbench.compare.verdicts import Difference
from clipbench.files import schemas
from clipbench.results.references import ABSENT, value_at
from clipbench.results.result import Result

ALLOWED = ("device", "ranks", "precision", "batch", "recipe", "data", "weights", "evaluation", "engine", "settings")
SPEED_METRICS = ("samples_per_second", "seconds_to_quality")

# The longest prefix decides; "" never counts. What has no entry is part of the recipe: a key that is not known to be
# harmless counts.
_NAMES: Mapping[str, str] = {
    "config": "recipe",
    # Labels, requests that the environment answers, and paths of files that fingerprints stand for.
    **dict.fromkeys(("config.name", "config.suite", "config.summary", "config.matrix", "config.reference"), ""),
    **dict.fromkeys(("config.device", "config.seed"), ""),
    **dict.fromkeys(("config.precision", "config.dataset.name", "config.dataset.root"), ""),
    **dict.fromkeys(("config.dataset.train", "config.dataset.val", "config.dataset.on_bad_image"), ""),
    **dict.fromkeys(("config.model.weights", "config.model.weights_missing", "config.model.vocabulary"), ""),
    # How a run is driven and watched, not what it computes.
    **dict.fromkeys(("config.ranks_timeout", "config.checkpoint", "config.observers", "config.timing"), ""),
    **dict.fromkeys(("config.train.workers", "config.train.max_skipped_steps", "config.eval"), ""),
    "config.eval.resize": "evaluation",
    "config.ranks": "ranks",
    "config.engine": "engine",
    "config.train.batch_size": "batch",
    "config.train.accumulate": "batch",
    "config.train.compile": "settings",
    "config.train.grad_checkpointing": "settings",
    "config.model.autocast_text": "precision",
    "environment.device": "device",
    "environment.device.precision": "precision",
    "environment.device.ranks": "ranks",
    "dataset": "data",
    "dataset.val": "evaluation",
    "weights": "weights",
}
_FACTS = (
    "environment.device.kind",
    "environment.device.name",
    "environment.device.precision",
    "dataset.name",
    *(f"dataset.train.{key}" for key in ("split", "images", "captions", "annotation_sha256")),
    *(f"dataset.val.{key}" for key in ("split", "images", "captions", "annotation_sha256")),
)
# What comparing is there to compare across, and what says where it ran: shown, never in the way.
_SHOWN = (
    *("environment.packages", "environment.plugins", "environment.python", "environment.device.driver"),
    *("clipbench.version", "clipbench.commit", "environment.os", "environment.variables", "environment.cpu.name"),
)


def difference_name(path: str) -> str:
    """What ``--allow`` calls a difference at this path of a result; "" where it never counts."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        name = _NAMES.get(".".join(parts[:count]))
        if name is not None:
            return name
    return "recipe"


def facts(result: Result) -> dict[str, Any]:
    """All that two comparable results have in common: dotted path to value, defaults of the suite filled in."""
    config = schemas.fill_defaults(schemas.load_schema("suite"), result["config"])
    found = {path: value for path, value in _leaves("config", config) if difference_name(path)}
    found |= {path: _at(result, path) for path in _FACTS}
    weights = result["weights"] or {}
    # A file's name says nothing where its hash is known.
    found["weights.sha256"] = weights.get("sha256") or weights.get("source")
    device = value_at(result, "environment.device.name")
    if device is not ABSENT and device == value_at(result, "environment.cpu.name"):
        found["environment.device.cores"] = _at(result, "environment.cpu.cores")
    return found


def signature(result: Result, state: bool = False) -> str:
    """A text that two results share when nothing that counts differs; with ``state``, nor their software and host."""
    return json.dumps([facts(result), _state(result) if state else None], sort_keys=True)


def _state(result: Result) -> dict[str, Any]:
    return {key: value for path in _SHOWN for key, value in _leaves(path, _at(result, path))}


def find_differences(ours: Result, theirs: Result, allow: Collection[str] = ()) -> tuple[Difference, ...]:
    """All that differs, what blocks first; ``allow`` has the names of differences that are let through."""
    found = list(_compared(facts(ours), facts(theirs), allow))
    sides = [_state(result) for result in (ours, theirs)]
    found += [
        Difference("", path, worded(sides[0].get(path)), worded(sides[1].get(path)), "nothing")
        for path in {**sides[0], **sides[1]}
        if sides[0].get(path) != sides[1].get(path)
    ]
    return tuple(found)


def condition_difference(path: str, ours: str, theirs: str, allow: Collection[str]) -> Difference:
    """A condition of a reference that a result does not meet."""
    name = difference_name(path) or "recipe"
    return Difference(name, path, ours, theirs, "all", name in allow)


def bad_images(result: Result) -> str | None:
    """Why a result that left images out cannot be compared: it trained or was evaluated on other data."""
    skipped = (result.get("bad_images") or {}).get("skipped", 0)
    return f"{skipped} images could not be read and were left out" if skipped else None


def worded(value: object) -> str:
    """A value as it is said in a sentence."""
    if value is None or value is ABSENT:
        return "absent" if value is ABSENT else "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12] if len(text) in (40, 64) and set(text) <= set("0123456789abcdef") else text


def _compared(ours: Mapping[str, Any], theirs: Mapping[str, Any], allow: Collection[str]) -> Iterator[Difference]:
    for path in (*ours, *(path for path in theirs if path not in ours)):
        if path in ours and path in theirs and ours[path] == theirs[path]:
            continue
        name = difference_name(path)
        blocks: Literal["all", "speed"] = "speed" if name == "settings" else "all"
        sides = [worded(side.get(path, ABSENT)) for side in (ours, theirs)]
        yield Difference(name, path, sides[0], sides[1], blocks, name in allow)


def _leaves(path: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    else:
        yield path, value


def _at(result: Result, path: str) -> Any:  # noqa: ANN401
    value = value_at(result, path)
    return None if value is ABSENT else value
