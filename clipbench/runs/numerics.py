"""Check a device before the training: does the loss fall on a fixed batch, is its float32 that of a trusted device?

The check has a process of its own, which ends before the training begins: so the training computes, draws and keeps in
memory what it would have without it. It is of rank 0's device, and of one rank.
"""

from dataclasses import dataclass, replace

import numpy as np

from clipbench.api import Batch, Case, Device, Engine, Learner, LearnerJob, Missing, NotReadyError, World, events
from clipbench.api.config import NumericsConfig
from clipbench.api.registry import Registry
from clipbench.api.result import FirstSteps, Numerics
from clipbench.runs.build import learner_job
from clipbench.runs.devices.opening import find_device, pick_precision
from clipbench.runs.job import Job
from clipbench.runs.reporter import Reporter
from clipbench.suites.plan import Plan, make_plan, open_tokenizer
from clipbench.training.batches import TrainFetch, tokenise
from clipbench.training.numerics import features_of, first_pairs, first_steps, relative_error, take_steps
from clipbench.training.step_reports import learning_rate
from clipbench.training.stop import Stopped, StopRequest

REPEATED = 3  # steps that are taken twice, to see whether the device repeats its bits


@dataclass(frozen=True)
class Check:
    """What all steps of a check share: every learner starts from the case's weights and sees the same ``batch``."""

    engine: Engine
    plan: Plan
    batch: Batch
    reporter: Reporter
    stop: StopRequest

    @property
    def learning_rate(self) -> float:
        return learning_rate(self.plan, 0, 0)

    def steps_on(self, job: LearnerJob, count: int) -> tuple[FirstSteps, Learner]:
        """Return ``count`` steps of a learner for ``job``, and the learner."""
        device, local_rank = job.device, self.reporter.world.local_rank

        def report(done: int) -> None:
            self.reporter.tell("numerics", f"{job.precision} on {device.name}", done, count)
            if self.stop.asked():
                raise Stopped(None)

        report(0)
        device.select(local_rank)
        tuning = device.tune(job.tuning or None)
        # The batch is small: as one micro-batch, it has the same negatives whatever the case's accumulation.
        learner = self.engine.learner(replace(job, tuning=tuning, world=World(local_rank=local_rank), accumulate=1))
        return take_steps(learner, self.batch, self.learning_rate, count, report), learner

    def float32_on(self, job: LearnerJob, count: int) -> tuple[FirstSteps, tuple[np.ndarray, np.ndarray]]:
        """Return ``count`` steps in float32, and the features of the batch after them: of images, of texts."""
        steps, learner = self.steps_on(replace(job, precision="float32", compile=None), count)
        return steps, features_of(learner, self.batch)


def check_numerics(job: Job, case: Case, registry: Registry, reporter: Reporter, stop: StopRequest) -> None:
    """Take the steps that ``case.numerics`` asks for, and report what they came to after each part."""
    config = case.numerics
    assert config is not None
    engine = registry.open_engine(case.engine)
    device = _found(find_device(registry, case.engine, job.device))
    check = Check(engine, *_open(case, registry, config), reporter, stop)
    own = learner_job(check.plan, device, pick_precision(device, case.precision), job.tuning or {})
    steps = check.steps_on(own, config.steps)[0]  # the learner is gone before the next one is built
    found = Numerics(config, len(check.batch[0]), check.learning_rate, steps)
    reporter.emit(events.NumericsChecked(found))
    found = replace(found, repeats=first_steps(steps, REPEATED) == check.steps_on(own, min(REPEATED, config.steps))[0])
    reporter.emit(events.NumericsChecked(found))
    if config.float32_steps:
        reporter.emit(events.NumericsChecked(_compare_float32(check, registry, own, found)))


def _compare_float32(check: Check, registry: Registry, own: LearnerJob, found: Numerics) -> Numerics:
    """Return ``found`` with the first steps in float32 on the job's device and on the engine's trusted one."""
    engine = check.plan.case.engine
    spec = registry.trusted_device(engine)
    if spec is None:
        return replace(found, problem=f"the engine '{engine}' has no trusted device to check the float32 of others by")
    found = replace(found, trusted_device=spec.name, is_trusted=spec.name == own.device.name)
    if found.is_trusted:
        return found
    other = replace(own, device=_found(find_device(registry, engine, spec.name)), tuning={})
    # Trusted last: what its tuning sets in the framework must not change how the device computes.
    (ours, our_features), (theirs, their_features) = (
        check.float32_on(job, found.asked.float32_steps) for job in (own, other)
    )
    images, texts = map(relative_error, our_features, their_features)
    return replace(found, float32=ours, trusted=theirs, features_error=(images, texts))


def _found(device: Device | Missing) -> Device:
    if isinstance(device, Missing):
        raise NotReadyError(f"{device.what}: {device.source}")
    return device


def _open(case: Case, registry: Registry, config: NumericsConfig) -> tuple[Plan, Batch]:
    """Return the plan of the case, and the batch of all steps: the first pairs that the training will see."""
    plan = make_plan(case, registry, checked=True)
    plan.dataset.prepare()
    plan, tokenizer = open_tokenizer(plan, registry)
    train = plan.dataset.train()
    captions = tokenise(train, tokenizer, case.dataset.clean_captions)
    fetch = TrainFetch(train, captions, case.seed, case.train.augment, plan.config)
    return plan, first_pairs(fetch, case.train.batch_size, config.batch_size)
