"""How one rank builds a case, in stages: device, data, learner, the state to resume from; then the loop runs it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from clipbench import __version__
from clipbench.api import (
    Case,
    ClipConfig,
    Device,
    Engine,
    Group,
    Learner,
    LearnerJob,
    Loader,
    Precision,
    Probe,
    Split,
    World,
    events,
)
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.registry import Registry, load_object
from clipbench.api.result import Attempt, BadImages, DatasetUsed, WeightsUsed
from clipbench.clip.openai_weights import published_name
from clipbench.clip.tokenizer import Tokenizer
from clipbench.errors import NotReadyError
from clipbench.files.hashing import sha256_of
from clipbench.files.lock import lock_for_life
from clipbench.results import environment
from clipbench.runs.devices import pick_device, pick_precision
from clipbench.runs.job import RANK_LOCK, Job
from clipbench.runs.reporter import Reporter
from clipbench.suites.plan import Plan, make_plan
from clipbench.training import checkpoints
from clipbench.training.batches import EvalFetch, TrainFetch, tokenise, worker_count
from clipbench.training.checkpointing import Checkpointer
from clipbench.training.collectives import SingleRank, barrier, broadcast, gather_values
from clipbench.training.epoch_record import Hardware
from clipbench.training.evaluation import Evaluator
from clipbench.training.image_cache import ImageCache
from clipbench.training.loop import Loop
from clipbench.training.state import RunState, differences
from clipbench.training.stop import Stopped, StopRequest


@dataclass(frozen=True)
class Rank:
    """What every stage needs; ``resources`` are closed when the case ends."""

    job: Job
    case: Case
    registry: Registry
    reporter: Reporter
    stop: StopRequest
    resources: ExitStack

    @property
    def world(self) -> World:
        return self.reporter.world

    def emit(self, event: events.Event) -> None:
        """Report ``event``."""
        self.reporter.emit(event)

    def check_stop(self) -> None:
        """Raise Stopped where that is asked for and nothing was trained; several ranks stop at a window's end."""
        if self.world.size == 1 and self.stop.asked():
            raise Stopped(None)


@dataclass(frozen=True)
class OpenedDevice:
    """The device in use, probed, and the group of ranks; ``section`` is what a result's environment says of it."""

    engine: Engine
    device: Device
    precision: Precision
    section: Mapping[str, Any]
    group: Group
    hardware: Hardware


@dataclass(frozen=True)
class OpenedData:
    """The data, ready to be read; ``loader`` is None where a run only evaluates."""

    plan: Plan
    config: ClipConfig
    inputs: events.InputsRead
    loader: Loader | None
    evaluator: Evaluator


def run_case(job: Job, case: Case, registry: Registry, reporter: Reporter, stop: StopRequest) -> None:
    """Build ``case`` and run it to its end."""
    with ExitStack() as resources:
        rank = Rank(job, case, registry, reporter, stop, resources)
        device = open_device(rank)
        data = open_data(rank, device)
        learner = build_learner(rank, device, data)
        state, checkpointer = restore(rank, device, data, learner)
        Loop(
            plan=data.plan,
            world=rank.world,
            group=device.group,
            device=device.device,
            hardware=device.hardware,
            learner=learner,
            loader=data.loader,
            evaluator=data.evaluator,
            state=state,
            checkpointer=checkpointer,
            stop=stop,
            emit=rank.emit,
        ).run()
        rank.emit(events.TrainingFinished(_model(case, learner)))


# --- device ---------------------------------------------------------------------------------------------------------


def open_device(rank: Rank) -> OpenedDevice:
    """Select the device, join the other ranks, and test whether the device computes and waits as it says."""
    case, world = rank.case, rank.world
    engine: Engine = load_object(rank.registry.engines.get(case.engine, "engine").load)()
    device = pick_device(rank.registry, case.engine, case.device)
    precision = pick_precision(device, case.precision)
    device.select(world.local_rank)
    device.seed(case.seed + world.rank)
    tuning = dict(device.tune(rank.job.tuning))
    info = device.info()
    section = {
        "requested": case.device,
        "kind": device.name,
        "world_size": case.world_size,
        "precision": precision,
        "tuning": tuning,
        **to_plain(info),
    }
    rank.emit(events.EnvironmentRead(_environment(rank, engine, device, section)))
    group: Group = SingleRank()
    if world.size > 1:
        group = engine.join(device, world, case.ranks_timeout)
        rank.resources.push(_closing(group))
        rank.reporter.joined(group)
    hosts = gather_values(group, socket.gethostname())
    probes = tuple(engine.probe(device, precision, world.local_rank))
    rank.emit(events.DeviceProbed(probes))
    hardware = Hardware(info, tuple(hosts), device.peak_flops(precision), check_probes(probes, device.name))
    return OpenedDevice(engine, device, precision, section, group, hardware)


def check_probes(probes: Sequence[Probe], device: str) -> str | None:
    """Raise NotReadyError if a correctness probe failed; return why timings are unreliable, or None."""
    failed = [(probe.refuses, f"{probe.name}: {probe.detail}") for probe in probes if not probe.ok]
    if refusing := [text for refuses, text in failed if refuses == "run"]:
        raise NotReadyError(f"device {device} does not compute correctly; " + "; ".join(refusing))
    return f"the device's times are unreliable ({'; '.join(text for _, text in failed)})" if failed else None


def _closing(group: Group) -> Callable[..., None]:
    """Return an exit that closes ``group`` unless this rank fails: its peers must then notice its silence."""

    def close(_kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if error is None or isinstance(error, Stopped):
            group.close()

    return close


def _environment(rank: Rank, engine: Engine, device: Device, section: Mapping[str, Any]) -> Mapping[str, Any]:
    return environment.merge(
        environment.machine(),
        {
            "device": section,
            "packages": engine.versions(),
            "plugins": {plugin.name: plugin.version for plugin in rank.registry.plugins},
            "variables": environment.variables(device.environment_variables()),
            "extra": environment.merge(*_of_plugins(rank)),
        },
    )


def _of_plugins(rank: Rank) -> list[Mapping[str, Any]]:
    """Return what plugins add to the environment; what does not fit JSON is left out with a warning."""
    fitting = []
    for part in rank.registry.environment():
        try:
            json.dumps(part, allow_nan=False)
            fitting.append(part)
        except (TypeError, ValueError) as error:
            rank.emit(events.Warned(f"a plugin's clipbench_environment is left out: {error}"))
    return fitting


# --- data -----------------------------------------------------------------------------------------------------------


def open_data(rank: Rank, opened: OpenedDevice) -> OpenedData:
    """Prepare the data, tokenise its captions, and start the loader's processes."""
    plan = make_plan(rank.case, rank.registry, checked=True)
    # One rank of each machine generates what the dataset generates, and the others find it there.
    if rank.world.local_rank == 0:
        plan.dataset.prepare()
    barrier(opened.group)
    plan.dataset.prepare()
    rank.check_stop()
    tokenizer = Tokenizer(plan.vocabulary, plan.config.context_length)
    config = replace(plan.config, vocab_size=tokenizer.vocab_size)
    val = plan.dataset.val()
    evaluator = _evaluator(rank, opened, val, tokenizer, config)
    train = plan.dataset.train() if plan.steps else None
    # Before the learner, so that the loader's processes start while the model is built.
    loader = _train_loader(rank, opened, train, tokenizer, config) if train else None
    used = DatasetUsed(rank.case.dataset.name, train.fingerprint if train else None, val.fingerprint)
    skipped = (train.skipped if train else 0, val.skipped)
    bad_images = BadImages(sum(skipped), *skipped) if any(skipped) else None
    inputs = events.InputsRead(used, _weights(plan), tokenizer.truncated, bad_images)
    rank.emit(inputs)
    return OpenedData(plan, config, inputs, loader, evaluator)


def _train_loader(rank: Rank, opened: OpenedDevice, train: Split, tokenizer: Tokenizer, config: ClipConfig) -> Loader:
    case = rank.case
    captions = tokenise(train, tokenizer, case.dataset.clean_captions)
    fetch = TrainFetch(train, captions, case.seed, config.image_size, case.train.augment, config.eval_resize)
    loader = opened.engine.loader(fetch, worker_count(case.train.workers), opened.device)
    rank.resources.callback(loader.close)
    return loader


def _evaluator(rank: Rank, opened: OpenedDevice, val: Split, tokenizer: Tokenizer, config: ClipConfig) -> Evaluator:
    case = rank.case
    cache = ImageCache(case.eval.cache_mb * 1_000_000, rank.job.folder)
    rank.resources.callback(cache.drop)
    fetch = EvalFetch(val, config.image_size, config.eval_resize)
    captions = tokenise(val, tokenizer, case.dataset.clean_captions)
    device, world, group = opened.device, rank.world, opened.group
    return Evaluator(opened.engine, device, fetch, captions, case, cache, world, group, rank.check_stop)


def _weights(plan: Plan) -> WeightsUsed:
    if plan.weights is None:
        return WeightsUsed("random", None)
    sha256 = sha256_of(plan.weights)
    return WeightsUsed(plan.weights.name, sha256, published_name(sha256))


# --- learner and state ----------------------------------------------------------------------------------------------


def build_learner(rank: Rank, opened: OpenedDevice, data: OpenedData) -> Learner:
    """Build the model and its optimiser on the device."""
    rank.check_stop()
    case, plan = rank.case, data.plan
    learner = opened.engine.learner(
        LearnerJob(
            model=plan.model,
            config=data.config,
            device=opened.device,
            precision=opened.precision,
            autocast_text=case.model.autocast_text,
            weights=plan.weights,
            optimizer=case.train.optimizer,
            loss=case.train.loss,
            seed=case.seed,
            world=rank.world,
            accumulate=case.train.accumulate,
            grad_checkpointing=case.train.grad_checkpointing,
            compile=case.train.compile,
            tuning=opened.section["tuning"],
        )
    )
    rank.emit(events.LearnerBuilt(_model(case, learner), opened.section, plan.steps, plan.steps_per_epoch))
    return learner


def restore(rank: Rank, opened: OpenedDevice, data: OpenedData, learner: Learner) -> tuple[RunState, Checkpointer]:
    """Return the state of the newest whole checkpoint, with the learner restored from it; else a new one.

    Rank 0 alone reads and writes checkpoints. Raises NotReadyError where the run was started otherwise.
    """
    root = rank.job.checkpoints if rank.world.rank == 0 else None
    if root is not None:
        # A rank of an earlier attempt may live on for a moment after its command was killed, and save.
        rank.resources.enter_context(lock_for_life(rank.job.folder / RANK_LOCK))
    found = checkpoints.latest(root) if root is not None and root.is_dir() else None
    identity = _identity(rank, opened, data)
    plain = _shared_state(rank, opened.group, found, identity)
    if plain is not None:
        learner.restore(found.state if found else None)
    state = from_plain(RunState, plain or {})
    notes = found.problems if found else ()
    state.attempts.append(Attempt(rank.job.started, len(state.epochs), state.progress.steps, notes))
    rank.emit(events.TrainingStarted(tuple(state.attempts), tuple(state.epochs)))

    def saved(folder: Path) -> None:
        rank.emit(events.CheckpointSaved(str(folder)))

    return state, Checkpointer(root, rank.case.checkpoint, identity, found.folder if found else None, saved)


def _shared_state(
    rank: Rank, group: Group, found: checkpoints.Checkpoint | None, identity: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the run's state that rank 0 has ``found``, on every rank; None where there is none."""
    refused = differences(found.progress["identity"], identity) if found else []
    state = found.progress["state"] if found and not refused else None
    shared = broadcast(group, {"refused": refused, "state": state})
    if shared["refused"]:
        rank.emit(events.ResumeRefused(tuple(shared["refused"])))
        raise NotReadyError("the unfinished run cannot be resumed: " + "; ".join(shared["refused"]))
    return shared["state"]  # type: ignore[no-any-return]


def _identity(rank: Rank, opened: OpenedDevice, data: OpenedData) -> Mapping[str, Any]:
    """Return what a run must have to be resumed from a checkpoint: suite, data, weights, code, and what computes."""
    return {
        "suite": rank.case.identity(),
        "dataset": to_plain(data.inputs.dataset),
        "weights": to_plain(data.inputs.weights),
        "clipbench": {"version": __version__, "commit": environment.source_version()[0]},
        "packages": dict(opened.engine.versions()),
        "device": {key: opened.section[key] for key in ("kind", "name", "precision", "tuning")},
    }


def _model(case: Case, learner: Learner) -> Mapping[str, Any]:
    return {"name": case.model.name, **learner.describe()}
