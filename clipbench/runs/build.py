"""How one rank builds a case, in stages: device, data, learner, the state to resume from; then the loop runs it."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api import (
    Case,
    Device,
    Engine,
    EvaluatedSplit,
    Group,
    Learner,
    LearnerJob,
    Loader,
    Missing,
    Probe,
    Split,
    Tokenizer,
    events,
)
from clipbench.api.data import Precision
from clipbench.api.guarded import check_split, classes_of
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.registry import Registry
from clipbench.api.result import Attempt, BadImages, DatasetUsed, VocabularyUsed, WeightsUsed
from clipbench.clip.openai_weights import published_name
from clipbench.errors import NotReadyError, UsageError
from clipbench.files.cache import cache_folder
from clipbench.files.hashing import sha256_of
from clipbench.files.lock import lock_for_life
from clipbench.results import environment
from clipbench.runs.devices.meters import start_sampler
from clipbench.runs.devices.opening import find_device, pick_precision
from clipbench.runs.devices.tuning import tune
from clipbench.runs.job import RANK_LOCK, RETRIEVED, Job
from clipbench.runs.reporter import Reporter
from clipbench.suites.plan import ModelPlan, Plan, make_plan, open_tokenizer
from clipbench.training import checkpoints
from clipbench.training.batches import EvalFetch, TrainFetch, encode_captions, read_captions, tokenise, worker_count
from clipbench.training.checkpointing import Checkpointer, saved_run
from clipbench.training.collectives import SingleRank, barrier, gather_values
from clipbench.training.evaluating.evaluation import Evaluator, ask
from clipbench.training.evaluating.image_cache import ImageCache
from clipbench.training.evaluating.pictures import PictureKeeper
from clipbench.training.hardware import Hardware
from clipbench.training.loop import Loop, evaluation_count
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

    def check_stop(self) -> None:
        """Raise Stopped where that is asked for and nothing was trained; several ranks stop at a window's end."""
        if self.reporter.world.size == 1 and self.stop.asked():
            raise Stopped(None)

    def evaluating(self, stage: events.Stage, done: int, total: int) -> None:
        """Tell how far an evaluation is; raise Stopped where that is asked for."""
        self.reporter.tell(stage, "", done, total)
        self.check_stop()


@dataclass(frozen=True)
class OpenedData:
    """The data, ready to be read; ``loader`` is None where a run only evaluates.

    The vocabulary in the ``config`` of ``plan`` is as large as its file.
    """

    plan: Plan
    inputs: events.InputsRead
    loader: Loader | None
    evaluator: Evaluator


def run_case(job: Job, case: Case, registry: Registry, reporter: Reporter, stop: StopRequest) -> None:
    """Build ``case`` and run it to its end."""
    with ExitStack() as resources:
        rank = Rank(job, case, registry, reporter, stop, resources)
        hardware = open_device(rank)
        data = open_data(rank, hardware)
        learner = build_learner(rank, hardware, data.plan)
        state, checkpointer = restore(rank, hardware, data.inputs, learner)
        parts = (data.plan, hardware, learner, data.loader, data.evaluator, state, checkpointer, stop, reporter.emit)
        Loop(*parts, picture_keeper(rank, data)).run()
        reporter.emit(events.TrainingFinished(_model(case, learner), state.retrieved))


# --- device ---------------------------------------------------------------------------------------------------------


def open_device(rank: Rank) -> Hardware:
    """Select the device, join the other ranks, and test whether the device computes and waits as it says."""
    case, reporter, world = rank.case, rank.reporter, rank.reporter.world
    engine = rank.registry.open_engine(case.engine)
    device = find_device(rank.registry, case.engine, rank.job.device)
    if isinstance(device, Missing):  # reported before, unless it has gone meanwhile
        raise UsageError(f"device: '{case.device}' is not available")
    precision = pick_precision(device, case.precision)
    reporter.tell("device", device.name)
    device.select(world.local_rank)
    tuning = tune(engine, device, rank.job.tuning)
    info = device.info()
    section = {"requested": case.device, "kind": device.name, "world_size": case.world_size, "precision": precision}
    section |= {"tuning": tuning.tuned_to, "tuning_decided": tuning.decided, **to_plain(info)}
    reporter.emit(events.EnvironmentRead(_environment(rank, engine, device, section)))
    group: Group = SingleRank()
    if world.size > 1:
        reporter.tell("ranks")
        group = engine.join(device, world, case.ranks_timeout)
        _close_at_exit(group, rank.resources)
        reporter.joined(group)
    hosts = tuple(gather_values(group, environment.host_name()))
    reporter.tell("probes", device.name)
    probes = tuple(engine.probe(device, precision))
    reporter.emit(events.DeviceProbed(probes))
    peak_flops, unreliable = device.peak_flops(precision), check_probes(probes, device.name)
    telemetry = start_sampler(rank.registry, device.name, world.local_rank)
    rank.resources.callback(telemetry.close)
    return Hardware(engine, device, precision, section, world, group, info, hosts, peak_flops, unreliable, telemetry)


def check_probes(probes: Sequence[Probe], device: str) -> str | None:
    """Raise NotReadyError if a correctness probe failed; return why timings are unreliable, or None."""
    failed = [(probe.refuses, f"{probe.name}: {probe.detail}") for probe in probes if not probe.ok]
    if refusing := [text for refuses, text in failed if refuses == "run"]:
        raise NotReadyError(f"device {device} does not compute correctly; " + "; ".join(refusing))
    return f"the device's times are unreliable ({'; '.join(text for _, text in failed)})" if failed else None


def _close_at_exit(group: Group, resources: ExitStack) -> None:
    """Have ``group`` closed with ``resources`` unless this rank fails: its peers must then notice its silence."""

    def close(_kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, Stopped):
            group.close()

    resources.push(close)


def _environment(rank: Rank, engine: Engine, device: Device, section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the environment, with what plugins add to it."""
    extra = rank.registry.environment(lambda text: rank.reporter.emit(events.Warned(text)))
    machine = environment.machine()
    return {
        **machine,
        "device": section,
        "packages": {**machine["packages"], **engine.versions()},
        "plugins": {plugin.name: plugin.version for plugin in rank.registry.plugins},
        "variables": environment.variables(device.environment_variables()),
        "extra": extra,
    }


# --- data -----------------------------------------------------------------------------------------------------------


def open_data(rank: Rank, hardware: Hardware) -> OpenedData:
    """Prepare the data, tokenise its captions, and start the loader's processes."""
    case = rank.case
    plan = make_plan(case, rank.registry, checked=True)
    rank.reporter.tell("pictures", case.dataset.name)
    # One rank of each machine generates what the dataset generates, and the others find it there.
    if hardware.world.local_rank == 0:
        plan.dataset.prepare()
    barrier(hardware.group)
    plan.dataset.prepare()
    rank.check_stop()
    rank.reporter.tell("captions", case.dataset.name)
    plan, tokenizer = open_tokenizer(plan, rank.registry)
    val = _checked(plan.dataset.val(), case, "val")
    # Where no second evaluation follows, nothing is read from the cache.
    cache_mb = case.eval.cache_mb if evaluation_count(plan) > 1 else 0
    cache = ImageCache(cache_mb * 1_000_000, rank.job.folder)
    rank.resources.callback(cache.drop)
    texts, offsets = read_captions(val, case.dataset.clean_captions)
    captions = encode_captions(val, texts, offsets, tokenizer)
    classes = classes_of(val, f"dataset '{case.dataset.name}': split val")
    split = EvaluatedSplit(case.dataset.name, len(val), texts, captions.image_of_text, classes)
    asked = ask(rank.registry, case.eval.evaluations, split, tokenizer.encode)
    evaluator = Evaluator(hardware, EvalFetch(val, plan.config), captions, split, asked, case, cache, rank.evaluating)
    train = _checked(plan.dataset.train(), case, "train") if plan.steps else None
    # Before the learner, so that the loader's processes start while the model is built.
    loader = _train_loader(rank, hardware, plan, train, tokenizer) if train else None
    used = DatasetUsed(case.dataset.name, train.fingerprint if train else None, val.fingerprint)
    skipped = (train.skipped if train else 0, val.skipped)
    bad_images = BadImages(sum(skipped), *skipped) if any(skipped) else None
    inputs = events.InputsRead(
        used,
        _weights(plan.weights),
        tokenizer.truncated,
        bad_images,
        _weights(plan.text_weights) if case.model.text_weights else None,
        VocabularyUsed(plan.vocabulary.name, sha256_of(plan.vocabulary)),
    )
    rank.reporter.emit(inputs)
    return OpenedData(plan, inputs, loader, evaluator)


def picture_keeper(rank: Rank, data: OpenedData) -> PictureKeeper | None:
    """Return what keeps the pictures of the last evaluation: on the first rank, where the suite asks for it."""
    case = rank.case
    if rank.reporter.world.rank or not case.eval.pictures:
        return None
    terms = rank.registry.datasets.get(case.dataset.name, "dataset.name").terms
    split = data.evaluator.fetch.split
    return PictureKeeper(rank.job.folder / RETRIEVED, split, case.dataset.name, terms, rank.evaluating)


def _checked(split: Split, case: Case, name: str) -> Split:
    check_split(split, f"dataset '{case.dataset.name}': split {name}")
    return split


def _train_loader(rank: Rank, hardware: Hardware, plan: Plan, train: Split, tokenizer: Tokenizer) -> Loader:
    case = rank.case
    captions = tokenise(train, tokenizer, case.dataset.clean_captions)
    fetch = TrainFetch(train, captions, case.seed, case.train.augment, plan.config)
    loader = hardware.engine.loader(fetch, worker_count(case.train.workers), hardware.device)
    rank.resources.callback(loader.close)
    return loader


def _weights(path: Path | None) -> WeightsUsed:
    if path is None:
        return WeightsUsed("random", None)
    sha256 = sha256_of(path)
    return WeightsUsed(path.name, sha256, published_name(sha256))


# --- learner and state ----------------------------------------------------------------------------------------------


def build_learner(rank: Rank, hardware: Hardware, plan: Plan) -> Learner:
    """Build the model and its optimiser on the device."""
    rank.check_stop()
    rank.reporter.tell("model", plan.weights.name if plan.weights else "")
    job = learner_job(plan, hardware.device, hardware.precision, hardware.section["tuning"])
    learner = hardware.engine.learner(replace(job, world=hardware.world))
    model = _model(rank.case, learner)
    rank.reporter.emit(events.LearnerBuilt(model, hardware.section, plan.steps, plan.steps_per_epoch))
    return learner


def learner_job(plan: ModelPlan, device: Device, precision: Precision, tuning: Mapping[str, Any]) -> LearnerJob:
    """Return what the case's learner is built from, for a single rank on ``device``."""
    case, train = plan.case, plan.case.train
    return LearnerJob(
        model=plan.model,
        config=plan.config,
        device=device,
        precision=precision,
        autocast_text=case.model.autocast_text,
        weights=plan.weights,
        optimizer=train.optimizer,
        loss=train.loss,
        seed=case.seed,
        accumulate=train.accumulate,
        grad_checkpointing=train.grad_checkpointing,
        compile=train.compile,
        tuning=copy.deepcopy(dict(tuning)),
        cache=cache_folder(),
        text_weights=plan.text_weights,
    )


def restore(
    rank: Rank, hardware: Hardware, inputs: events.InputsRead, learner: Learner
) -> tuple[RunState, Checkpointer]:
    """Return the state of the newest whole checkpoint, with the learner restored from it; else a new one.

    Rank 0 alone reads and writes checkpoints. Raises NotReadyError where the run was started otherwise.
    """
    emit, found, saved = rank.reporter.emit, None, None
    root = rank.job.checkpoints if hardware.world.rank == 0 else None
    if root is not None:
        # A rank of an earlier attempt may live on for a moment after its command was killed, and save.
        rank.resources.enter_context(lock_for_life(rank.job.folder / RANK_LOCK))
        if checkpoints.folders(root):
            rank.reporter.tell("checkpoint")
        found = checkpoints.latest(root)
        saved = saved_run(found) if found else None
    identity = _identity(rank, hardware, inputs)
    reasons = differences(saved.identity, identity) if saved else []
    # What rank 0 has found, on every rank.
    refused, plain = gather_values(hardware.group, [reasons, to_plain(saved.state) if saved else None])[0]
    if refused:
        emit(events.ResumeRefused(tuple(refused)))
        raise NotReadyError("the unfinished run cannot be resumed: " + "; ".join(refused))
    if plain is not None:
        learner.restore(found.state if found else None)
    state = from_plain(RunState, plain or {})
    notes = found.problems if found else ()
    state.attempts.append(Attempt(rank.job.started, len(state.epochs), state.progress.steps, notes))
    emit(events.TrainingStarted(tuple(state.attempts), tuple(state.epochs)))
    return state, Checkpointer(root, rank.case.checkpoint, identity, found.folder if found else None, emit)


def _identity(rank: Rank, hardware: Hardware, inputs: events.InputsRead) -> Mapping[str, Any]:
    """Return what a run must have to be resumed from a checkpoint: suite, data, weights, code, and what computes."""
    return {
        "suite": rank.case.identity(),
        "dataset": to_plain(inputs.dataset),
        "weights": to_plain(inputs.weights),
        "text_weights": to_plain(inputs.text_weights),
        "vocabulary": to_plain(inputs.vocabulary),
        "clipbench": {"version": __version__, "commit": environment.source_version()[0]},
        "packages": dict(hardware.engine.versions()),
        "device": {key: hardware.section[key] for key in ("kind", "name", "precision", "tuning")},
    }


def _model(case: Case, learner: Learner) -> Mapping[str, Any]:
    return {"name": case.model.name, **learner.describe()}
