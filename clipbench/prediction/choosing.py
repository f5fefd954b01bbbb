"""Which model predicts: a suite's with its weights, one by name, or what a run has learnt."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.api import Case, UsageError
from clipbench.api.plain import value_at
from clipbench.clip.openai_weights import FETCHED
from clipbench.files import schemas
from clipbench.files.yaml_file import YamlFile
from clipbench.results.result import read_result
from clipbench.runs.folder import WORK
from clipbench.suites.loading import Suite, find_suite, load_suite, suite_of
from clipbench.training import checkpoints
from clipbench.training.checkpointing import saved_run

DEFAULT_MODEL = "clip-vit-b16"


@dataclass(frozen=True)
class Wanted:
    """What a user says of the model: a ``suite``, or a ``run``, or neither, with what is to differ from it.

    ``run`` is a run's id under ``results``, its result, its folder, or one of its checkpoints. ``changes`` are texts
    such as ``precision=float32``, ``cases`` shell wildcards that pick one case of the suite.
    """

    suite: str | None = None
    run: str | None = None
    model: str | None = None
    weights: str | None = None
    engine: str | None = None
    device: str | None = None
    changes: Sequence[str] = ()
    cases: Sequence[str] = ()
    results: Path = Path("results")


@dataclass(frozen=True)
class Chosen:
    """The case that has model, device and dataset; ``checkpoint`` has the weights, where they are a run's."""

    case: Case
    checkpoint: checkpoints.Checkpoint | None = None


def choose(wanted: Wanted) -> Chosen:
    """Return what ``wanted`` means; raise UsageError where that is nothing, several things, or random weights."""
    named = [f"model.{key}={value}" for key, value in (("name", wanted.model), ("weights", wanted.weights)) if value]
    short = [f"{key}={value}" for key in ("engine", "device") if (value := getattr(wanted, key)) is not None]
    if wanted.run is not None:
        if wanted.suite is not None or named:
            raise UsageError("--run: has its own model and weights; leave out --suite, --model and --weights")
        return _of_run(wanted, [*wanted.changes, *short])
    changes = [*wanted.changes, *named, *short]
    suite = load_suite(find_suite(wanted.suite), changes) if wanted.suite else _by_name(wanted, changes)
    case = _only(suite.select(wanted.cases))
    if case.model.weights is None:
        raise UsageError(
            f"{suite.path}: the model starts from random weights, which say nothing; name trained ones with --weights, "
            "or the run that has trained it with --run"
        )
    return Chosen(case)


def _by_name(wanted: Wanted, changes: Sequence[str]) -> Suite:
    """Return a suite of a model alone, by default with the weights that OpenAI published for it."""
    name = wanted.model or DEFAULT_MODEL
    archives = {fetched: archive for archive, fetched in FETCHED.items()}
    model = {"name": name, "weights": wanted.weights or archives.get(name), "weights_missing": "error"}
    # A suite needs a dataset; nothing of it is read. Captions are taken as they are written, as OpenAI takes them.
    dataset = {"name": "flickr8k", "clean_captions": False}
    if model["weights"] is None:
        raise UsageError(f"--model {name}: there are no published weights for it; name trained ones with --weights")
    data = {"name": "predict", "model": model, "dataset": dataset, "train": {"epochs": 0}}
    return suite_of(_as_file("--model", data), changes)


def _as_file(name: str, data: Mapping[str, Any]) -> YamlFile:
    return YamlFile(Path(name), dict(data), {(): (1, 1)})


def _only(suite: Suite) -> Case:
    if len(suite.cases) > 1:
        names = "\n  ".join(case.name for case in suite.cases)
        raise UsageError(f"{suite.path}: has several cases; choose one with --case:\n  {names}")
    return suite.cases[0]


# --- what a run has learnt ------------------------------------------------------------------------------------------


def _of_run(wanted: Wanted, changes: Sequence[str]) -> Chosen:
    """Return the case of a run as its checkpoint has it, changed by ``changes``, and that checkpoint."""
    assert wanted.run is not None
    checkpoint = checkpoints.load(_checkpoint_folder(wanted.run, wanted.results))
    identity = value_at(saved_run(checkpoint).identity, "suite", {})
    keys = {*schemas.load_schema("suite")["properties"], "suite"}
    data = {key: value for key, value in identity.items() if key in keys} | {"world_size": 1}
    data["name"] = data.pop("suite", wanted.run)
    # What the run began with is not needed: the checkpoint has all weights.
    data["model"] = {**identity.get("model", {}), "weights": None}
    path = checkpoint.folder / checkpoints.STATE
    case = _only(suite_of(_as_file(str(path), data), changes))
    if case.engine != identity.get("engine"):
        saved = f"the run's checkpoint is one of engine {identity.get('engine')}"
        raise UsageError(f"--engine {case.engine}: {saved}, which alone can read it")
    return Chosen(case, checkpoint)


def _checkpoint_folder(run: str, results: Path) -> Path:
    """Return the folder of the checkpoint that ``run`` means: itself, else the run's best, else its newest one."""
    place = Path(run)
    if os.path.isfile(place):  # noqa: PTH113 -- a name that is too long is no file, and no error
        place = place.parent / WORK / read_result(place).run_id
    elif not os.path.isdir(place):  # noqa: PTH112
        place = results / WORK / run
    if (place / checkpoints.MANIFEST).is_file():
        return place
    root = place if place.name == "checkpoints" else place / "checkpoints"
    found = checkpoints.folders(root)
    if not found:
        raise UsageError(
            f"--run {run}: no checkpoint in {root}; expected a run's id, its result, its folder or a checkpoint "
            "(clipbench runs lists them; a suite keeps them with checkpoint.keep)"
        )
    return checkpoints.best(root) or found[-1]
