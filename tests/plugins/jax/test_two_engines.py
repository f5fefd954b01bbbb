"""The same pairs, the same start, the same steps in two frameworks."""

import numpy as np
import pytest

from clipbench.api import CLIP_VIT_B16, CLIP_VIT_B32
from clipbench.api.registry import load_registry
from clipbench.clip.bpe import BpeTokenizer
from clipbench.files.bundled import bundled
from clipbench.suites.loading import load_suite
from clipbench.suites.plan import make_plan
from clipbench.training import checkpoints
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
    tokenizer = BpeTokenizer(plan.vocabulary, plan.config.context_length)
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


def features(learner, pixels, tokens):
    return learner.gather([learner.encode_images(pixels)]), learner.gather([learner.encode_texts(tokens)])


@pytest.mark.parametrize("config", [CLIP_VIT_B16, CLIP_VIT_B32], ids=["b16", "b32"])
def test_features_of_the_models_that_people_use_are_the_same(config):
    pixels, tokens = torch_jobs.make_batch(config, n=2)
    ours = features(JaxLearner(jax_jobs.make_job(config)), pixels, tokens)
    theirs = features(TorchLearner(torch_jobs.make_job(config)), pixels, tokens)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("writer", ["jax", "torch"])
def test_a_checkpoint_of_one_engine_is_weights_for_the_other(writer, tmp_path):
    engines = {"jax": (JaxLearner, jax_jobs.make_job), "torch": (TorchLearner, torch_jobs.make_job)}
    (wrote, job_of_writer), (reads, job_of_reader) = engines.pop(writer), *engines.values()
    batch = torch_jobs.make_batch()
    learner = wrote(job_of_writer(seed=3))
    learner.train_step(*batch, lr=1e-3)
    folder = checkpoints.save(tmp_path / "kept", "step-00000001", learner.state(), {}, None)
    other = reads(job_of_reader(weights=folder / checkpoints.TENSORS))
    for mine, theirs in zip(features(learner, *batch), features(other, *batch), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6 + 1e-5 * np.abs(theirs).max())
