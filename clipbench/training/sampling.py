"""Everything random as a pure function of (seed, epoch, index).

So a resumed run continues exactly, the number of loader processes changes nothing, and ranks share one global order.
Draws use ``Generator.random`` alone: numpy may change how its other methods use the bits from one version to the next,
and two results are comparable only if they saw the same pairs in the same order.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from clipbench.errors import UsageError

Indices = npt.NDArray[np.int64]


class Stream(IntEnum):
    """What a generator is for; the same seed, epoch and index give unrelated numbers in each."""

    ORDER = 1
    AUGMENTATION = 2
    CAPTION = 3
    VALIDATION_CAPTION = 4


def rng(seed: int, stream: Stream, epoch: int = 0, index: int = 0) -> np.random.Generator:
    """Return the generator of one sample's draws for one purpose.

    All four numbers are 0 or more and below 2^64. Philox is counter-based: seed and stream are its key, epoch and index
    the upper words of its counter, so two generators never share a number, and making one takes microseconds.
    """
    # A generator counts up in the first word, which leaves it 2^64 blocks before it would meet its neighbour.
    bits = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=np.array([0, index, epoch, 0], np.uint64))
    return np.random.Generator(bits)


def epoch_order(seed: int, epoch: int, n: int) -> Indices:
    """Return the order in which an epoch visits ``n`` images: a permutation, int64 (n,)."""
    return np.argsort(rng(seed, Stream.ORDER, epoch).random(n), kind="stable").astype(np.int64)


def epoch_batches(seed: int, epoch: int, n: int, batch_size: int) -> Indices:
    """Return the global batches of an epoch, int64 (n // batch_size, batch_size); the last partial batch is dropped.

    Raises UsageError when ``n`` images do not fill one batch.
    """
    steps = n // batch_size
    if steps == 0:
        raise UsageError(f"train.batch_size: {batch_size} is more than the {n} training images; use at most {n}")
    return epoch_order(seed, epoch, n)[: steps * batch_size].reshape(steps, batch_size)


def rank_batches(batches: Indices, rank: int, world_size: int) -> Indices:
    """Return the share of ``rank`` in each global batch, (steps, batch_size / world_size).

    Shares are contiguous, so that what ranks gather, in their order, is the global batch.
    Raises UsageError when the batch cannot be shared out equally.
    """
    batch_size = batches.shape[1]
    share, left = divmod(batch_size, world_size)
    if left:
        sizes = [share * world_size, (share + 1) * world_size]
        would_do = " or ".join(str(size) for size in sizes if size)
        raise UsageError(f"train.batch_size: {batch_size} cannot be shared by {world_size} ranks; {would_do} can")
    return batches[:, rank * share : (rank + 1) * share]


def draw_caption(seed: int, epoch: int, index: int, count: int, stream: Stream = Stream.CAPTION) -> int:
    """Return which of ``count`` captions a visit to image ``index`` uses, each equally likely.

    ``stream`` is CAPTION for training, VALIDATION_CAPTION for the validation loss.
    """
    return int(rng(seed, stream, epoch, index).random() * count)
