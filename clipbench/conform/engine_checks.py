"""The promises of an Engine, and of the learners, loaders and groups that it makes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clipbench.api import LossConfig, NotReadyError, Probe, finite, training_flops
from clipbench.api.registry import load_object
from clipbench.conform.checks import Checks, expect, expect_raises, leave_out
from clipbench.conform.learner_checks import LEARNER
from clipbench.conform.spec_checks import LIGHT_IMPORT, SPEC
from clipbench.conform.subject import Subject
from clipbench.conform.trial import losses_of, make_learner, random_batches, random_pairs, relative_difference

ENGINE = Checks(SPEC, LIGHT_IMPORT)
STEPS = 3
ROUNDING = 1e-4
RANKS_SECONDS = 120.0


@ENGINE.add("problem", "`problem` says why the framework cannot be used and what to do about it, or is None.")
def _problem(subject: Subject) -> str:
    problem = load_object(subject.spec.load)().problem()
    expect(problem is None or (isinstance(problem, str) and problem.strip()), f"problem() returned {problem!r}")
    return problem or "none"


@ENGINE.add("versions", "`versions` has the version of each package that changes figures.")
def _versions(subject: Subject) -> str:
    versions = subject.engine.versions()
    good = isinstance(versions, Mapping) and versions
    expect(
        good and all(isinstance(text, str) and text for pair in versions.items() for text in pair),
        f"versions() returned {versions!r}; expected texts by package",
    )
    return ", ".join(f"{name} {version}" for name, version in versions.items())


@ENGINE.add("probe", "`probe` returns a Probe for each test, and draws nothing from the run's random numbers.")
def _probe(subject: Subject) -> str:
    probes = subject.engine.probe(subject.device, "float32")
    expect(all(isinstance(probe, Probe) for probe in probes), f"probe() returned {probes!r}; expected Probes")
    return ", ".join(probe.name for probe in probes)


@ENGINE.add("weights", "`check_weights` raises NotReadyError for a file that does not hold the model's weights.")
def _weights(subject: Subject) -> None:
    file = subject.scratch / "no-weights.pth"
    file.write_bytes(bytes(64))
    model = subject.model
    expect_raises(NotReadyError, lambda: subject.engine.check_weights(model, model.config, file), "check_weights()")


class Numbers:
    """A fetch for loaders: pictures and tokens that say which key they are of."""

    def __call__(self, key: int) -> tuple[np.ndarray, ...]:
        return np.full((4, 4, 3), key % 256, np.uint8), np.arange(key, key + 3, dtype=np.int32)


@ENGINE.add("loader", "A loader yields the batches in order, what `fetch` gives stacked, with and without processes.")
def _loader(subject: Subject) -> str:
    keys = [[5, 3, 9], [1, 2], [300]]
    expected = [tuple(map(np.stack, zip(*map(Numbers(), batch), strict=True))) for batch in keys]
    for workers in (0, 2):
        loader = subject.engine.loader(Numbers(), workers, subject.device)
        try:
            batches = [tuple(np.asarray(array) for array in batch) for batch in loader.batches(keys)]
        finally:
            loader.close()
            loader.close()  # as in a run
        same = len(batches) == len(expected) and all(
            a.dtype == b.dtype and np.array_equal(a, b)
            for batch, right in zip(batches, expected, strict=True)
            for a, b in zip(batch, right, strict=True)
        )
        expect(same, f"with {workers} processes, the batches of the keys {keys} are not those of fetch, in order")
    return "0 and 2 processes"


for _check in LEARNER.values():
    ENGINE.add(_check.name, _check.promise)(_check.test)


@ENGINE.add("reports", "`drain_steps` gives a report for each step since the last call, oldest first.")
def _reports(subject: Subject) -> None:
    learner, config = make_learner(subject), subject.model.config
    at_once = losses_of(learner, random_batches(config, STEPS))
    expect(not learner.drain_steps(), "drain_steps() gives reports again that it gave before")
    learner = make_learner(subject)
    one_by_one = [loss for batch in random_batches(config, STEPS) for loss in losses_of(learner, [batch])]
    difference = relative_difference(at_once, one_by_one)
    expect(difference <= ROUNDING, f"losses drained together and one by one differ by {difference:.1e}")


@ENGINE.add("flops", "`flops` grows by the model's formula with every step, or is None.")
def _flops(subject: Subject) -> str:
    learner, config = make_learner(subject), subject.model.config
    pixels, tokens = random_pairs(config)
    losses_of(learner, [(pixels, tokens)] * STEPS)
    flops = learner.flops()
    if flops is None:
        leave_out("the engine does not count for this model")
    right = STEPS * training_flops(config, len(tokens), int((tokens != 0).sum(axis=1).max()), len(tokens), 1)
    expect(
        finite(flops) is not None and abs(flops - right) <= 1e-6 * right, f"flops() is {flops!r}; expected {right:,}"
    )
    return f"{right / STEPS:.3g} a step"


@ENGINE.add("not-finite", "`not_finite` names a parameter that is not finite, or is None.")
def _not_finite(subject: Subject) -> None:
    learner = make_learner(subject)
    name = learner.not_finite()
    expect(name is None, f"not_finite() is {name!r} for new weights")
    pixels, tokens = random_pairs(subject.model.config)
    learner.train_step(pixels, tokens, float("inf"))
    name = learner.not_finite()
    expect(isinstance(name, str) and name, f"not_finite() is {name!r} after a step at an infinite rate")


@ENGINE.add(
    "micro-batches",
    "With negatives of the whole batch, micro-batches change nothing; or they are refused with NotReadyError.",
)
def _micro_batches(subject: Subject) -> str:
    config, loss = subject.model.config, LossConfig("sum", "batch")
    try:
        parts = losses_of(make_learner(subject, accumulate=2, loss=loss), random_batches(config, STEPS))
    except NotReadyError as error:
        leave_out(f"refused: {error}")
    whole = losses_of(make_learner(subject, loss=loss), random_batches(config, STEPS))
    difference = relative_difference(parts, whole)
    expect(difference <= ROUNDING, f"two micro-batches give losses that differ by {difference:.1e}")
    return f"to {difference:.1e}"


@ENGINE.add(
    "ranks", "Two ranks with negatives of all ranks take the steps of one; or `join` raises NotImplementedError."
)
def _ranks(subject: Subject) -> str:
    trusted = subject.registry.trusted_device(subject.name)
    # Several ranks can share a processor, which is what an engine trusts.
    if subject.device.info().count < 2 and not (trusted and trusted.name == subject.device.name):
        leave_out("two ranks need two devices")
    job, answers, report = (subject.scratch / name for name in ("ranks.json", "ranks-done.json", "ranks-report.json"))
    chosen = {"engine": subject.name, "device": subject.device.name, "answers": str(answers)}
    job.write_text(json.dumps(chosen), encoding="utf-8")
    command = [*subject.engine.launcher(2, Path(report)), "clipbench.conform.two_ranks", str(job)]
    expect(all(isinstance(word, str) for word in command), f"launcher() returned {command!r}; expected texts")
    log = subject.scratch / "ranks.log"
    with log.open("wb") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, timeout=RANKS_SECONDS, check=False, env=dict(os.environ)
        )
    text = log.read_text(encoding="utf-8", errors="replace")
    if "NotImplementedError" in text:
        leave_out("the engine has no ranks")
    expect(
        done.returncode == 0 and answers.exists(), f"two ranks ended with code {done.returncode}: {text.strip()[-400:]}"
    )
    answer = json.loads(answers.read_text(encoding="utf-8"))
    expect(
        answer["gathered"] == [[0, 0], [1, 1, 1]], f"all_gather() gave {answer['gathered']}; expected ranks in order"
    )
    one = losses_of(make_learner(subject), random_batches(subject.model.config, STEPS))
    difference = relative_difference(answer["losses"], one)
    expect(difference <= ROUNDING, f"losses of two ranks differ from one's by {difference:.1e}")
    expect(answer["equal"], "the two ranks have other weights after the steps")
    return f"to {difference:.1e}"
