"""What makes two results comparable: device, precision, batch, recipe, data, weights, evaluation, engine."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from clipbench.api import ABSENT, Result, leaves, value_at
from clipbench.compare.verdicts import Difference
from clipbench.files import schemas
from clipbench.results.references import describe

# What each name stands for, in paths of a result. The longest one that begins a path decides; "" never counts. What has
# no entry is part of the recipe: a key that is not known to be harmless counts.
_PATHS: Mapping[str, tuple[str, ...]] = {
    "device": ("environment.device",),
    "world_size": ("config.world_size", "environment.device.world_size"),
    "precision": ("config.model.autocast_text", "environment.device.precision"),
    "batch": ("config.train.batch_size", "config.train.accumulate"),
    "recipe": ("config",),
    "data": ("dataset", "vocabulary"),
    "weights": ("weights", "text_weights"),
    "evaluation": ("config.eval.resize", "dataset.val"),
    "engine": ("config.engine",),
    "settings": ("config.train.compile", "config.train.grad_checkpointing"),
    "": (
        # Labels, requests that the environment answers, and paths of files that fingerprints stand for.
        *("config.name", "config.suite", "config.summary", "config.matrix", "config.reference"),
        *("config.device", "config.seed", "config.precision", "config.dataset.name", "config.dataset.root"),
        *("config.dataset.train", "config.dataset.val", "config.dataset.on_bad_image"),
        *("config.model.weights", "config.model.weights_missing", "config.model.vocabulary"),
        "config.model.text_weights",
        # How a run is driven and watched, not what it computes.
        *("config.ranks_timeout", "config.checkpoint", "config.observers", "config.timing"),
        *("config.train.workers", "config.train.max_skipped_steps", "config.eval", "config.numerics"),
    ),
}
_NAMES = {path: name for name, paths in _PATHS.items() for path in paths}
ALLOWED = tuple(filter(None, _PATHS))
_FACTS = (
    *(f"environment.device.{key}" for key in ("kind", "name", "precision")),
    "dataset.name",
    *(
        f"dataset.{split}.{key}"
        for split in ("train", "val")
        for key in ("split", "images", "captions", "annotation_sha256")
    ),
)
# Software and host are what one compares across: shown, never an obstacle.
_SHOWN = (
    *("environment.packages", "environment.plugins", "environment.python", "environment.device.driver"),
    *("clipbench.version", "clipbench.commit", "environment.os", "environment.variables", "environment.cpu.name"),
)


def difference_name(path: str) -> str:
    """Return the value of ``--allow`` for a difference at this path of a result; "" where it never counts."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        name = _NAMES.get(".".join(parts[:count]))
        if name is not None:
            return name
    return "recipe"


def facts(result: Result) -> dict[str, Any]:
    """Return all that two comparable results have in common: dotted path to value, the suite's defaults filled in."""
    config = schemas.fill_defaults(schemas.load_schema("suite"), result.config)
    values = {path: value for path, value in leaves({"config": config}) if difference_name(path)}
    values |= {path: value_at(result, path) for path in _FACTS}
    # A file's name means nothing where its hash is known.
    for weights in ("weights", "text_weights"):
        values[f"{weights}.sha256"] = value_at(result, f"{weights}.sha256") or value_at(result, f"{weights}.source")
    # Version 0.1.0 did not record it.
    if result.vocabulary is not None:
        values["vocabulary.sha256"] = result.vocabulary.sha256
    if result.device_name is not None and result.device_name == value_at(result, "environment.cpu.name"):
        values["environment.device.cores"] = value_at(result, "environment.cpu.cores")
    return values


def signature(result: Result, state: bool = False) -> str:
    """Return a text that two results share when nothing that counts differs; with ``state``, nor software and host."""
    return json.dumps([facts(result), software(result) if state else None], sort_keys=True)


def find_differences(ours: Result, theirs: Result, allow: Collection[str] = ()) -> tuple[Difference, ...]:
    """Return all that differs, what blocks first; ``allow`` has the names of differences that are accepted."""
    differences = []
    for path, left, right in _unequal(facts(ours), facts(theirs)):
        if path == "vocabulary.sha256" and None in (ours.vocabulary, theirs.vocabulary):
            continue
        name = difference_name(path)
        blocks: Literal["all", "speed"] = "speed" if name == "settings" else "all"
        differences.append(Difference(name, path, left, right, blocks, name in allow))
    for path, left, right in _unequal(software(ours), software(theirs), absent=None):
        differences.append(Difference("", path, left, right, "nothing"))
    for path, left, right in _where_and_how_clean(ours, theirs):
        differences.append(Difference("", path, left, right, "nothing"))
    return tuple(differences)


def _where_and_how_clean(ours: Result, theirs: Result) -> Iterator[tuple[str, str, str]]:
    """Yield the hosts where they differ, and uncommitted changes: two trees that have some are hardly the same.

    They tell no repeats apart, as software does: a host may have a new name for every job.
    """
    hosts = [next((rank.host for epoch in one.epochs for rank in epoch.per_rank), None) for one in (ours, theirs)]
    if hosts[0] != hosts[1]:
        yield "host", describe(hosts[0]), describe(hosts[1])
    dirty = ours.clipbench.dirty, theirs.clipbench.dirty
    if dirty[0] or dirty[1]:
        yield "clipbench.dirty", describe(dirty[0]), describe(dirty[1])


def software(result: Result) -> dict[str, Any]:
    """Return what is compared across: packages, driver, code, system and processor, dotted path to value."""
    return dict(leaves({path: value_at(result, path) for path in _SHOWN}))


def _unequal(ours: dict[str, Any], theirs: dict[str, Any], absent: object = ABSENT) -> Iterator[tuple[str, str, str]]:
    """Yield path and both values in words wherever they differ; a path that one side lacks has ``absent`` there."""
    for path in {**ours, **theirs}:
        left, right = ours.get(path, absent), theirs.get(path, absent)
        if left != right:
            yield path, describe(left), describe(right)
