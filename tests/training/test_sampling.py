import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.errors import UsageError
from clipbench.training.sampling import Stream, draw_caption, epoch_batches, epoch_order, rank_batches, rng


def test_generators_are_pure_and_differ_in_every_argument():
    base = (7, Stream.AUGMENTATION, 3, 5)
    others = [(8, *base[1:]), (7, Stream.CAPTION, 3, 5), (7, Stream.AUGMENTATION, 4, 5), (7, Stream.AUGMENTATION, 3, 6)]
    swapped = (7, Stream.AUGMENTATION, 5, 3)
    assert (rng(*base).random(4) == rng(*base).random(4)).all()
    draws = [tuple(rng(*key).random(4)) for key in (base, *others, swapped)]
    assert len(set(draws)) == len(draws)


def test_figures_stay_the_same_from_version_to_version():
    assert rng(0, Stream.CAPTION).random(2) == pytest.approx([0.47515916, 0.48792175], abs=1e-8)
    assert epoch_order(0, 0, 8).tolist() == [5, 3, 7, 2, 4, 1, 0, 6]
    assert [draw_caption(0, 0, index, 5) for index in range(8)] == [2, 3, 3, 2, 4, 2, 2, 0]


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**6), n=st.integers(0, 300))
def test_order_is_a_permutation(seed, epoch, n):
    order = epoch_order(seed, epoch, n)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(n))


def test_orders_differ_between_epochs_and_seeds():
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_every_image_comes_to_every_place_equally_often():
    places = np.stack([epoch_order(1, epoch, 5) for epoch in range(5000)])
    counts = np.array([np.bincount(column, minlength=5) for column in places.T])
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000 * 0.8)


def test_batches_drop_the_last_partial_one():
    batches = epoch_batches(0, 2, 103, 10)
    assert batches.shape == (10, 10)
    assert (batches.ravel() == epoch_order(0, 2, 103)[:100]).all()


def test_fewer_images_than_one_batch_is_an_error():
    with pytest.raises(UsageError, match="32 is more than the 20 training images"):
        epoch_batches(0, 0, 20, 32)


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_ranks_together_are_the_global_batch(world_size):
    batches = epoch_batches(0, 0, 100, 8)
    shares = [rank_batches(batches, rank, world_size) for rank in range(world_size)]
    assert (np.concatenate(shares, axis=1) == batches).all()


@pytest.mark.parametrize(("batch_size", "advice"), [(30, "28 or 32 can"), (3, "ranks; 4 can")])
def test_a_batch_that_cannot_be_shared_names_sizes_that_can(batch_size, advice):
    with pytest.raises(UsageError, match=advice):
        rank_batches(epoch_batches(0, 0, 100, batch_size), 0, 4)


def test_captions_are_drawn_uniformly_and_apart_from_validation():
    train = np.array([draw_caption(3, 0, index, 5) for index in range(20_000)])
    val = np.array([draw_caption(3, 0, index, 5, Stream.VALIDATION_CAPTION) for index in range(20_000)])
    for draws in (train, val):
        assert abs(np.bincount(draws, minlength=5) - 4000).max() < 5 * np.sqrt(4000 * 0.8)
    assert abs(np.mean(train == val) - 0.2) < 5 * np.sqrt(0.16 / 20_000)


def test_one_caption_leaves_no_choice():
    assert {draw_caption(0, epoch, 0, 1) for epoch in range(50)} == {0}
