"""One rank of one case, in a process of its own: ``python -m clipbench.worker JOB``."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipbench import environment
from clipbench.api import Device, DeviceInfo, DeviceSpec, Engine, LearnerJob, Missing, Precision, World
from clipbench.clip.tokenizer import Tokenizer
from clipbench.errors import ClipbenchError, ExitCode, UsageError
from clipbench.evaluation import Evaluator
from clipbench.events import EventWriter
from clipbench.loop import Emit, Loop
from clipbench.pairs import EvalFetch, TrainFetch, tokenise
from clipbench.plan import Plan, make_plan
from clipbench.plugins import Registry, load_object, load_registry
from clipbench.suite import Case

MOST_WORKERS = 8


@dataclass(frozen=True)
class Job:
    """What the worker is told: the devices to check first, then the case to run, if any.

    ``checks`` are (engine, device) names. ``case`` None only checks.
    """

    events: Path
    parent: int
    checks: tuple[tuple[str, str], ...]
    case: Case | None

    def write(self, path: Path) -> None:
        case = self.case.to_dict() if self.case else None
        data = {"events": str(self.events), "parent": self.parent, "checks": self.checks, "case": case}
        path.write_text(json.dumps(data), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        data = json.loads(path.read_text(encoding="utf-8"))
        checks = tuple((engine, device) for engine, device in data["checks"])
        case = Case.from_dict(data["case"]) if data["case"] else None
        return cls(Path(data["events"]), data["parent"], checks, case)


def main(arguments: Sequence[str]) -> int:
    job = Job.read(Path(arguments[0]))
    world = World(*(int(os.environ.get(name, default)) for name, default in _WORLD_VARIABLES))
    _die_with(job.parent)
    writer = EventWriter(job.events)
    emit: Emit = writer if world.rank == 0 else _silent
    try:
        registry = load_registry()
        missing = [item for engine, device in job.checks if (item := check_device(registry, engine, device))]
        emit("checked", missing=[vars(item) for item in missing])
        if missing:
            return ExitCode.NOT_READY
        if job.case is not None:
            run_case(job.case, registry, world, emit)
        return ExitCode.PASS
    except Exception as error:
        code = error.exit_code if isinstance(error, ClipbenchError) else ExitCode.CASE_FAILED
        # Every rank may report: the first to fail tells the cause, the others only that their peer is gone.
        writer(
            "error",
            type=type(error).__name__,
            message=str(error) or type(error).__name__,
            exit_code=int(code),
            traceback=traceback.format_exc(),
            rank=world.rank,
        )
        return code


_WORLD_VARIABLES = (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))


def _silent(event: str, **values: Any) -> None:  # noqa: ANN401
    """What ranks other than 0 report."""


def _die_with(parent: int) -> None:
    """End this process when the one that started it is gone: nobody would read what it does."""

    def watch() -> None:
        while True:
            time.sleep(1.0)
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os._exit(ExitCode.INTERRUPTED)
            except PermissionError:
                pass

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


# --- devices ------------------------------------------------------------------------------------------------------


def check_device(registry: Registry, engine_name: str, device_name: str) -> Missing | None:
    """Why a case on this engine and device cannot run here, or None."""
    spec = registry.engines.get(engine_name, "engine")
    engine: Engine = load_object(spec.load)()
    if problem := engine.problem():
        return Missing(f"engine {engine_name}", f"Python {sys.executable}", problem)
    reasons = []
    for device in _candidates(registry, engine_name, device_name):
        reason = load_object(device.load)().unavailable()
        if reason is None:
            return None
        reasons.append(f"{device.name}: {reason}")
    return Missing(f"device {device_name}", "this machine", "; ".join(reasons) or "no plugin offers one")


def _candidates(registry: Registry, engine: str, device: str) -> list[DeviceSpec]:
    if device == "auto":
        return registry.devices_of(engine)
    return [registry.devices.get(device, "device")]


def pick_device(registry: Registry, engine: str, name: str) -> Device:
    """The named device, or for ``auto`` the available one with the highest priority."""
    for spec in _candidates(registry, engine, name):
        device: Device = load_object(spec.load)()
        if device.unavailable() is None:
            return device
    raise UsageError(f"device: '{name}' is not available")  # check_device has said why, and ended the worker


def pick_precision(device: Device, wanted: str) -> Precision:
    """The precision that ``wanted`` means on ``device``: ``amp`` is its first one that is not float32."""
    offered = list(device.precisions())
    if wanted == "amp":
        mixed = [precision for precision in offered if precision != "float32"]
        if not mixed:
            raise UsageError(f"precision: device {device.name} has no mixed precision; use --set precision=float32")
        return mixed[0]
    if wanted not in offered:
        raise UsageError(f"precision: device {device.name} does not compute {wanted}; it has {', '.join(offered)}")
    return next(precision for precision in offered if precision == wanted)


# --- the case -----------------------------------------------------------------------------------------------------


def run_case(case: Case, registry: Registry, world: World, emit: Emit) -> None:
    """Build everything that a case names, report it, then train and evaluate."""
    engine: Engine = load_object(registry.engines.get(case.engine, "engine").load)()
    device = pick_device(registry, case.engine, case.device)
    precision = pick_precision(device, case.precision)
    device.select(world.local_rank)
    device.seed(case.seed + world.rank)
    tuning = dict(device.tune())
    make_plan(case, registry).dataset.prepare()
    plan = make_plan(case, registry)  # again: what was generated is there now
    tokenizer = Tokenizer(plan.vocabulary, plan.config.context_length)
    config = replace(plan.config, vocab_size=tokenizer.vocab_size)
    val = plan.dataset.val()
    val_captions = tokenise(val, tokenizer, case.dataset.clean_captions)
    train = plan.dataset.train() if plan.steps else None
    train_captions = tokenise(train, tokenizer, case.dataset.clean_captions) if train else None
    job = LearnerJob(
        model=plan.model,
        config=config,
        device=device,
        precision=precision,
        autocast_text=case.model.autocast_text,
        weights=plan.weights,
        optimizer=case.train.optimizer,
        loss=case.train.loss,
        seed=case.seed,
        world=world,
    )
    workers = min(MOST_WORKERS, environment.usable_cores()) if case.train.workers is None else case.train.workers
    loader = None
    if train is not None and train_captions is not None:
        size, augment = config.image_size, case.train.augment
        fetch = TrainFetch(train, train_captions, case.seed, size, augment, config.eval_resize)
        loader = engine.loader(fetch, workers)  # first, so that its processes start while the model is built
    learner = engine.learner(job)
    emit(
        "started",
        environment=_environment(registry, engine, device, device.info(), case, precision, tuning),
        dataset={
            "name": case.dataset.name,
            "train": vars(train.fingerprint) if train else None,
            "val": vars(val.fingerprint),
        },
        weights=_weights(plan),
        model={"name": case.model.name, **learner.describe()},
        text_truncated=tokenizer.truncated,
        steps=plan.steps,
        steps_per_epoch=plan.steps_per_epoch,
    )
    evaluator = Evaluator(
        engine=engine,
        fetch=EvalFetch(val, config.image_size, config.eval_resize),
        captions=val_captions,
        image_batch=case.eval.image_batch,
        text_batch=case.eval.text_batch,
        loss_batch=case.train.batch_size,
        reduction=case.train.loss.reduction,
        seed=case.seed,
        workers=workers,
    )
    try:
        Loop(plan, world, device, learner, loader, evaluator if world.rank == 0 else None, emit).run()
    finally:
        if loader is not None:
            loader.close()
    emit("finished", model={"name": case.model.name, **learner.describe()})


def _weights(plan: Plan) -> dict[str, Any]:
    if plan.weights is None:
        return {"source": "random", "sha256": None}
    return {"source": plan.weights.name, "sha256": environment.file_sha256(plan.weights)}


def _environment(
    registry: Registry,
    engine: Engine,
    device: Device,
    info: DeviceInfo,
    case: Case,
    precision: str,
    tuning: dict[str, Any],
) -> dict[str, Any]:
    used = {
        "requested": case.device,
        "kind": device.name,
        "ranks": case.ranks,
        "precision": precision,
        "tuning": tuning,
        **vars(info),
    }
    extra = environment.merge(*registry.manager.hook.clipbench_environment())
    return environment.merge(
        environment.machine(),
        {
            "device": used,
            "packages": engine.versions(),
            "plugins": {str(plugin.name): plugin.version for plugin in registry.plugins},
            "variables": environment.variables(device.environment_variables()),
            "extra": extra,
        },
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
