"""What one rank builds for a case, step by step, and hands to the loop."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from clipbench import __version__
from clipbench.api import Device, Engine, Group, Learner, LearnerJob, Loader, Precision, Probe, Split, World
from clipbench.api.registry import Registry, load_object
from clipbench.clip.openai_weights import published_name
from clipbench.clip.tokenizer import Tokenizer
from clipbench.errors import NotReadyError
from clipbench.files.lock import lock_for_life
from clipbench.results import environment
from clipbench.runs.devices import pick_device, pick_precision
from clipbench.suites.loading import FREE_KEYS, Case
from clipbench.suites.plan import Plan, make_plan
from clipbench.training import checkpoints
from clipbench.training.batches import EvalFetch, TrainFetch, tokenise
from clipbench.training.checkpointing import Keeper
from clipbench.training.collectives import Alone, share, share_all, wait_for_all
from clipbench.training.evaluation import Evaluator
from clipbench.training.image_cache import ImageCache
from clipbench.training.loop import Emit, Loop
from clipbench.training.state import RunState, differences
from clipbench.training.stop import Stopped, StopRequest
from clipbench.training.workers import worker_count


class RefusedError(NotReadyError):
    """An unfinished run cannot go on, for reasons."""


class CaseRun:
    """A rank's case: ``open_device``, ``open_data``, ``build_learner``, ``restore``, ``train``, in this order.

    ``joined`` is told of the group as soon as there is one.
    """

    def __init__(
        self,
        case: Case,
        registry: Registry,
        world: World,
        emit: Emit,
        stop: StopRequest,
        joined: Callable[[Group], None],
    ) -> None:
        self.case, self.registry, self.world, self.emit, self.stop = case, registry, world, emit, stop
        self._joined = joined
        self.group: Group = Alone()
        self.loader: Loader | None = None
        self.evaluator: Evaluator | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> CaseRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.loader is not None:
            self.loader.close()
        if self.evaluator is not None:
            self.evaluator.cache.drop()
        if self._lock is not None:
            self._lock.close()
        if error is None or isinstance(error, Stopped):
            self.group.close()

    def open_device(self) -> None:
        """Select the device, join the other ranks, and ask the device whether it does what it says."""
        case = self.case
        self.engine: Engine = load_object(self.registry.engines.get(case.engine, "engine").load)()
        self.device: Device = pick_device(self.registry, case.engine, case.device)
        self.precision: Precision = pick_precision(self.device, case.precision)
        self.device.select(self.world.local_rank)
        self.device.seed(case.seed + self.world.rank)
        used = {
            "requested": case.device,
            "kind": self.device.name,
            "ranks": case.ranks,
            "precision": self.precision,
            "tuning": dict(self.device.tune()),
            **vars(self.device.info()),
        }
        self.used = used
        self.emit("environment", environment=_environment(self.registry, self.engine, self.device, used, self._warn))
        if self.world.size > 1:
            self.group = self.engine.join(self.device, self.world, case.ranks_timeout)
            self._joined(self.group)
        self.hosts: list[str] = share_all(self.group, socket.gethostname())
        probes = list(self.engine.probe(self.device, self.precision, self.world.local_rank))
        self.emit("probes", probes=[_probe(probe) for probe in probes])
        self.untimed = _judge(probes, self.device.name)

    def open_data(self, folder: Path | None) -> None:
        """Prepare the data, tokenise its captions, and start the loader's processes."""
        case = self.case
        plan = make_plan(case, self.registry, checked=True)
        # One rank of each machine generates what the dataset generates, and the others find it there.
        if self.world.local_rank == 0:
            plan.dataset.prepare()
        wait_for_all(self.group)
        plan.dataset.prepare()
        self._stop_here()
        self.plan = plan
        self.tokenizer = Tokenizer(plan.vocabulary, plan.config.context_length)
        self.config = replace(plan.config, vocab_size=self.tokenizer.vocab_size)
        workers = self.workers = worker_count(case.train.workers)
        self.evaluator = self._evaluator(plan.dataset.val(), workers, folder)
        train = plan.dataset.train() if plan.steps else None
        # Before the learner, so that the loader's processes start while the model is built.
        self.loader = self._loader(train, workers) if train else None
        self.inputs = {
            "dataset": {
                "name": case.dataset.name,
                "train": vars(train.fingerprint) if train else None,
                "val": vars(self.evaluator.fetch.split.fingerprint),
            },
            "weights": _weights(plan),
        }
        skipped = {
            "train": getattr(train, "skipped", 0) if train else 0,
            "val": getattr(self.evaluator.fetch.split, "skipped", 0),
        }
        bad = {"skipped": sum(skipped.values()), **skipped} if any(skipped.values()) else None
        self.emit("inputs", **self.inputs, text_truncated=self.tokenizer.truncated, bad_images=bad)

    def build_learner(self) -> None:
        self._stop_here()
        case, plan = self.case, self.plan
        self.learner: Learner = self.engine.learner(
            LearnerJob(
                model=plan.model,
                config=self.config,
                device=self.device,
                precision=self.precision,
                autocast_text=case.model.autocast_text,
                weights=plan.weights,
                optimizer=case.train.optimizer,
                loss=case.train.loss,
                seed=case.seed,
                world=self.world,
                accumulate=case.train.accumulate,
                grad_checkpointing=case.train.grad_checkpointing,
                compile=case.train.compile,
            )
        )
        steps = {"steps": plan.steps, "steps_per_epoch": plan.steps_per_epoch}
        self.emit("started", model=self._model(), device=self.used, **steps)

    def restore(self, root: Path | None, started: str) -> None:
        """Go on from the newest whole checkpoint under ``root``, if there is one; ``root`` is rank 0's alone."""
        identity = self._identity()
        if root is not None:
            # A rank of an earlier attempt may live on for a moment after its command was killed, and save.
            self._lock = lock_for_life(root.parent / "rank0.lock")
        found = checkpoints.latest(root) if root is not None and root.is_dir() else None
        refused: list[str] = []
        if found is not None:
            refused = differences(found.progress["identity"], identity)
        message = {"refused": refused, "state": found.progress["state"] if found and not refused else None}
        told = share(self.group, message)
        if told["refused"]:
            self.emit("refused", reasons=told["refused"])
            raise RefusedError("an unfinished run cannot go on: " + "; ".join(told["refused"]))
        self.state = RunState()
        if told["state"] is not None:
            self.state = RunState.from_dict(told["state"])
            self.learner.restore(found.state if found is not None else None)
        notes = list(getattr(found, "problems", ()))
        done = {"epochs": len(self.state.epochs), "steps": self.state.partial.steps}
        self.state.attempts.append({"started": started, **done, **({"notes": notes} if notes else {})})
        self.emit("resumed", attempts=self.state.attempts, epochs=self.state.epochs)
        self.keeper = Keeper(
            root,
            self.case.checkpoint,
            identity,
            latest=found.folder if found is not None else None,
            saved=lambda folder: self.emit("checkpoint", folder=str(folder)),
        )

    def train(self) -> None:
        """Run the loop to its end."""
        evaluator = self.evaluator
        assert evaluator is not None  # open_data comes first
        Loop(
            plan=self.plan,
            world=self.world,
            device=self.device,
            info=self.device.info(),
            learner=self.learner,
            loader=self.loader,
            evaluator=evaluator,
            emit=self.emit,
            group=self.group,
            state=self.state,
            keeper=self.keeper,
            stop=self.stop,
            hosts=self.hosts,
            workers=self.workers,
            peak_flops=self.device.peak_flops(self.precision),
            untimed=self.untimed,
        ).run()
        self.emit("finished", model=self._model())

    def _warn(self, text: str) -> None:
        self.emit("warning", text=text)

    def _model(self) -> dict[str, Any]:
        return {"name": self.case.model.name, **self.learner.describe()}

    def _stop_here(self) -> None:
        """End before anything was trained, if that is asked for; several ranks do so at the end of a window."""
        if self.world.size == 1 and self.stop.asked():
            raise Stopped(None)

    def _identity(self) -> dict[str, Any]:
        """What a run must have to go on from a checkpoint: suite, data, weights, code, and what computes."""
        config = {key: value for key, value in self.case.to_dict().items() if key not in FREE_KEYS}
        version, commit = __version__, environment.source_version()[0]
        return {
            "suite": config,
            **self.inputs,
            "clipbench": {"version": version, "commit": commit},
            "packages": dict(self.engine.versions()),
            "device": {key: self.used[key] for key in ("kind", "name", "precision", "tuning")},
        }

    def _loader(self, train: Split, workers: int) -> Loader:
        case, config = self.case, self.config
        captions = tokenise(train, self.tokenizer, case.dataset.clean_captions)
        fetch = TrainFetch(train, captions, case.seed, config.image_size, case.train.augment, config.eval_resize)
        return self.engine.loader(fetch, workers)

    def _evaluator(self, val: Split, workers: int, folder: Path | None) -> Evaluator:
        case, config = self.case, self.config

        def check() -> None:
            if self.world.size == 1 and self.stop.asked():
                raise Stopped(None)

        return Evaluator(
            engine=self.engine,
            fetch=EvalFetch(val, config.image_size, config.eval_resize),
            captions=tokenise(val, self.tokenizer, case.dataset.clean_captions),
            image_batch=case.eval.image_batch,
            text_batch=case.eval.text_batch,
            loss_batch=case.train.batch_size,
            reduction=case.train.loss.reduction,
            seed=case.seed,
            workers=workers,
            cache=ImageCache(case.eval.cache_mb * 1_000_000, folder),
            world=self.world,
            group=self.group,
            check=check,
        )


def _judge(probes: list[Probe], device: str) -> str | None:
    """Refuse a run whose numbers would be a fiction; why its times would be, or None."""
    failed = [probe for probe in probes if not probe.ok]
    refusing = [f"{probe.name}: {probe.detail}" for probe in failed if probe.refuses == "run"]
    if refusing:
        raise NotReadyError(f"device {device} does not do what it says; " + "; ".join(refusing))
    untimed = [f"{probe.name}: {probe.detail}" for probe in failed]
    return f"the device's times cannot be believed ({'; '.join(untimed)})" if untimed else None


def _probe(probe: Probe) -> dict[str, Any]:
    return {**vars(probe), "measured": dict(probe.measured)}


def _weights(plan: Plan) -> dict[str, Any]:
    if plan.weights is None:
        return {"source": "random", "sha256": None, "published": None}
    sha256 = sha256_of(plan.weights)
    return {"source": plan.weights.name, "sha256": sha256, "published": published_name(sha256)}


def _environment(
    registry: Registry, engine: Engine, device: Device, used: Mapping[str, Any], warn: Callable[[str], None]
) -> dict[str, Any]:
    return environment.merge(
        environment.machine(),
        {
            "device": used,
            "packages": engine.versions(),
            "plugins": {plugin.name: plugin.version for plugin in registry.plugins},
            "variables": environment.variables(device.environment_variables()),
            "extra": environment.merge(*_fitting(registry.call("clipbench_environment"), warn)),
        },
    )


def _fitting(parts: list[Mapping[str, Any]], warn: Callable[[str], None]) -> list[Mapping[str, Any]]:
    """What plugins add to the environment, without what JSON cannot hold: that costs nobody the run."""
    fitting = []
    for part in parts:
        try:
            json.dumps(part, allow_nan=False)
        except (TypeError, ValueError) as error:
            warn(f"a plugin's clipbench_environment is left out: {error}")
        else:
            fitting.append(part)
    return fitting
