"""The same pairs, the same start, the same steps in two frameworks."""

import numpy as np
import pytest

from clipbench.api.registry import load_registry
from clipbench.clip.tokenizer import Tokenizer
from clipbench.files.bundled import bundled
from clipbench.suites.loading import load_suite
from clipbench.suites.plan import make_plan
from clipbench.training.batches import TrainFetch, tokenise
from clipbench.training.sampling import epoch_batches
from clipbench.training.step_reports import learning_rate
from clipbench_jax.learner import JaxLearner
from clipbench_torch.learner import TorchLearner
from tests.support import jax_jobs, torch_jobs

STEPS = 50


@pytest.fixture(scope="module")
def quickstart():
    """The plan of the quickstart, and its first batches."""
    suite = load_suite(bundled("suites") / "quickstart.yaml", [])
    (case,) = suite.cases
    plan = make_plan(case, load_registry())
    plan.dataset.prepare()
    train = plan.dataset.train()
    tokenizer = Tokenizer(plan.vocabulary, plan.config.context_length)
    captions = tokenise(train, tokenizer, case.dataset.clean_captions)
    fetch = TrainFetch(train, captions, case.seed, case.train.augment, plan.config)
    order = epoch_batches(case.seed, 0, len(train), case.train.batch_size)[:STEPS]
    return plan, [tuple(map(np.stack, zip(*(fetch((0, int(i))) for i in row), strict=True))) for row in order]


def losses(learner_type, make_job, quickstart):
    plan, batches = quickstart
    job = make_job(plan.config, optimizer=plan.case.train.optimizer, loss=plan.case.train.loss)
    learner = learner_type(job)
    for step, (pixels, tokens) in enumerate(batches):
        learner.train_step(pixels, tokens, learning_rate(plan, 0, step))
    return [report.loss for report in learner.drain_steps()]


def test_the_first_losses_of_the_quickstart_are_the_same(quickstart):
    ours = losses(JaxLearner, jax_jobs.make_job, quickstart)
    theirs = losses(TorchLearner, torch_jobs.make_job, quickstart)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
