"""The trace of the training loss: digests by which two runs are told equal to the bit, and where they first differ."""

import hashlib
import struct
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from clipbench.api.result import EpochRecord, LossTrace

MOST = 8  # stretches of an epoch
DIGITS = 16
# One of the many bit patterns that are no number: which of them a device leaves in a withheld step means nothing.
WITHHELD = float("nan")


class Stretch(NamedTuple):
    """Some steps of an epoch, the first and the last of them; all count from 1."""

    epoch: int
    first: int
    last: int


def stretches(steps: int) -> list[tuple[int, int]]:
    """Return an epoch's steps as up to eight equal stretches, the last one maybe shorter: from, up to."""
    size = -(-steps // MOST) or 1
    return [(start, min(start + size, steps)) for start in range(0, steps, size)]


def loss_digests(losses: Sequence[float | None]) -> tuple[str, ...]:
    """Return a digest for each stretch of an epoch's steps; None is the loss of a step that was withheld.

    A float32 is a float64 too: the digest is of the very bits that the device has reported.
    """
    return tuple(_digest(losses[start:end]) for start, end in stretches(len(losses)))


def _digest(losses: Sequence[float | None]) -> str:
    numbers = [WITHHELD if loss is None else loss for loss in losses]
    return hashlib.sha256(struct.pack(f"<{len(numbers)}d", *numbers)).hexdigest()[:DIGITS]


def loss_trace(epochs: Sequence[EpochRecord]) -> LossTrace | None:
    """Return the trace of a run; None where nothing was trained, or an epoch has no digests, as before 0.2.0."""
    trained = [record for record in epochs if record.steps]
    if not trained or not all(record.loss_digests for record in trained):
        return None
    text = "".join(digest for record in trained for digest in record.loss_digests)
    return LossTrace(sum(record.steps for record in trained), hashlib.sha256(text.encode()).hexdigest())


def first_difference(ours: Sequence[EpochRecord], theirs: Sequence[EpochRecord]) -> Stretch | None:
    """Return the first stretch of steps whose losses differ between two runs of one plan; None where none does.

    A run that is shorter than the other is only compared as far as it goes.
    """
    for one, other in zip(ours, theirs, strict=False):
        pairs = zip_longest(one.loss_digests, other.loss_digests)
        place = next((index for index, pair in enumerate(pairs) if pair[0] != pair[1]), None)
        if place is not None:
            spans = stretches(max(one.steps, other.steps))
            start, end = spans[min(place, len(spans) - 1)]
            return Stretch(one.epoch, start + 1, end)
    return None
