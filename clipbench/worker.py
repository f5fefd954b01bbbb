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
from clipbench.api import Device, Engine, LearnerJob, Loader, Split, World
from clipbench.clip.config import ClipConfig
from clipbench.clip.tokenizer import Tokenizer
from clipbench.devices import check_device, pick_device, pick_precision
from clipbench.errors import ClipbenchError, ExitCode
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


def run_case(case: Case, registry: Registry, world: World, emit: Emit) -> None:
    """Build everything that a case names, report it, then train and evaluate."""
    engine: Engine = load_object(registry.engines.get(case.engine, "engine").load)()
    device = pick_device(registry, case.engine, case.device)
    precision = pick_precision(device, case.precision)
    device.select(world.local_rank)
    device.seed(case.seed + world.rank)
    used = _device_in_use(device, case, precision)
    emit("environment", environment=_environment(registry, engine, device, used))
    plan = make_plan(case, registry)
    plan.dataset.prepare()
    tokenizer = Tokenizer(plan.vocabulary, plan.config.context_length)
    config = replace(plan.config, vocab_size=tokenizer.vocab_size)
    workers = min(MOST_WORKERS, environment.usable_cores()) if case.train.workers is None else case.train.workers
    evaluator = _evaluator(engine, case, config, plan.dataset.val(), tokenizer, workers)
    train = plan.dataset.train() if plan.steps else None
    # Before the learner, so that the loader's processes start while the model is built.
    loader = _loader(engine, case, config, train, tokenizer, workers) if train else None
    emit(
        "inputs",
        dataset={
            "name": case.dataset.name,
            "train": vars(train.fingerprint) if train else None,
            "val": vars(evaluator.fetch.split.fingerprint),
        },
        weights=_weights(plan),
        text_truncated=tokenizer.truncated,
    )
    learner = engine.learner(
        LearnerJob(
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
    )
    model = {"name": case.model.name, **learner.describe()}
    emit("started", model=model, device=used, steps=plan.steps, steps_per_epoch=plan.steps_per_epoch)
    try:
        Loop(plan, world, device, learner, loader, evaluator if world.rank == 0 else None, emit).run()
    finally:
        if loader is not None:
            loader.close()
    emit("finished", model={"name": case.model.name, **learner.describe()})


def _loader(engine: Engine, case: Case, config: ClipConfig, train: Split, tokenizer: Tokenizer, workers: int) -> Loader:
    captions = tokenise(train, tokenizer, case.dataset.clean_captions)
    fetch = TrainFetch(train, captions, case.seed, config.image_size, case.train.augment, config.eval_resize)
    return engine.loader(fetch, workers)


def _evaluator(
    engine: Engine, case: Case, config: ClipConfig, val: Split, tokenizer: Tokenizer, workers: int
) -> Evaluator:
    return Evaluator(
        engine=engine,
        fetch=EvalFetch(val, config.image_size, config.eval_resize),
        captions=tokenise(val, tokenizer, case.dataset.clean_captions),
        image_batch=case.eval.image_batch,
        text_batch=case.eval.text_batch,
        loss_batch=case.train.batch_size,
        reduction=case.train.loss.reduction,
        seed=case.seed,
        workers=workers,
    )


def _weights(plan: Plan) -> dict[str, Any]:
    if plan.weights is None:
        return {"source": "random", "sha256": None}
    return {"source": plan.weights.name, "sha256": environment.file_sha256(plan.weights)}


def _device_in_use(device: Device, case: Case, precision: str) -> dict[str, Any]:
    return {
        "requested": case.device,
        "kind": device.name,
        "ranks": case.ranks,
        "precision": precision,
        "tuning": dict(device.tune()),
        **vars(device.info()),
    }


def _environment(registry: Registry, engine: Engine, device: Device, used: dict[str, Any]) -> dict[str, Any]:
    return environment.merge(
        environment.machine(),
        {
            "device": used,
            "packages": engine.versions(),
            "plugins": {plugin.name: plugin.version for plugin in registry.plugins},
            "variables": environment.variables(device.environment_variables()),
            "extra": environment.merge(*registry.call("clipbench_environment")),
        },
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
