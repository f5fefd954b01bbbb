"""What a check of numerics makes of torch: other orders of summation pass, products of shorter numbers do not."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clipbench.api.config import NumericsConfig
from clipbench.api.result import Numerics
from clipbench.files.schemas import fill_defaults, load_schema
from clipbench.results.measures.numerics import fixed_batch_loss, float32_error
from clipbench.training.numerics import features_of, relative_error, take_steps
from clipbench_torch.attention import MATH, SDPA
from clipbench_torch.learner import TorchLearner, set_attention_backend
from tests.support.torch_jobs import make_batch, make_job

ASKED = NumericsConfig(**fill_defaults(load_schema("suite")["properties"]["numerics"], {}))
PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise"}
TF32_BITS = 13  # of a float32's mantissa that TF32 does not have


class ShortProducts(TorchDispatchMode):
    """Rounds the operands of every product as TF32 does, forward and backward."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in PRODUCTS:
            args = [rounded(item) if isinstance(item, torch.Tensor) else item for item in args]
        return func(*args, **(kwargs or {}))


def rounded(tensor):
    bits = tensor.contiguous().view(torch.int32) + (1 << (TF32_BITS - 1))
    return (bits & -(1 << TF32_BITS)).view(torch.float32)


def steps(around=None, attention=None, lr=1e-3, count=ASKED.float32_steps):
    """Steps of a small model from its initial weights, and its features after them."""
    learner, batch = TorchLearner(make_job()), make_batch(n=ASKED.batch_size)
    if attention is not None:
        set_attention_backend(learner._model, lambda dtype: attention)
    with around or nullcontext():
        return take_steps(learner, batch, lr, count, lambda done: None), features_of(learner, batch)


def error_of(ours, theirs):
    errors = tuple(map(relative_error, ours[1], theirs[1]))
    return float32_error(Numerics(ASKED, float32=ours[0], trusted=theirs[0], features_error=errors)).value


@pytest.fixture
def products():
    """Put the number of threads and the library of products back."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(before[0])
    torch.set_float32_matmul_precision(before[1])


def test_other_orders_of_summation_are_well_within_the_limit(products):
    trusted = steps(attention=MATH)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    assert 0 < error_of(steps(attention=SDPA), trusted) < ASKED.largest_error / 10


def test_products_of_tf32_are_well_beyond_it():
    assert error_of(steps(ShortProducts()), steps()) > 3 * ASKED.largest_error


def test_a_good_learner_lowers_its_loss_and_one_whose_optimiser_does_nothing_is_noticed():
    good, idle, uphill = (steps(lr=lr, count=ASKED.steps) for lr in (1e-3, 0.0, -1e-3))
    left = [fixed_batch_loss(Numerics(ASKED, fixed_batch=one)).value for one, _ in (good, idle, uphill)]
    assert left[0] < 100 * (1 - ASKED.least_fall) < left[1] < left[2]
    assert error_of(idle, good) > ASKED.largest_error and error_of(uphill, good) > ASKED.largest_error
