"""Features of pictures and texts: encoded in batches, which ranks share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from clipbench.api import Learner
from clipbench.api.config import EvalConfig
from clipbench.training.hardware import Hardware

Tell = Callable[[Literal["images", "texts"], int, int], None]

# Features cross from rank to rank in pieces of so many bytes: a rank that ranks nothing never holds more.
GATHER_BYTES = 8 << 20


@dataclass(frozen=True)
class FeatureEncoder:
    """Encodes in the batches of ``sizes``, always in the same order.

    A batch is the same whichever rank encodes it, so that one process and many give the same features. ``tell`` is
    called after each batch with how many images or texts this rank has encoded, of how many; it may raise to stop.
    """

    hardware: Hardware
    sizes: EvalConfig
    tell: Tell

    def images(
        self, learner: Learner, count: int, pixels: Callable[[Sequence[np.ndarray]], Iterator[Any]]
    ) -> np.ndarray | None:
        """Encode this rank's share of ``count`` images; return the features of all on the first rank, else None.

        ``pixels`` yields the pixels of the batches of indices that it is given.
        """
        batches = _batches(np.arange(count), self.sizes.image_batch)
        return self._encode(learner, "images", pixels(batches[self._own]), batches)

    def texts(self, learner: Learner, tokens: np.ndarray) -> np.ndarray | None:
        """Encode this rank's share of texts; return the features of all on the first rank, else None."""
        # Texts of like length share a batch: a batch is as long as its longest.
        order = np.argsort((tokens != 0).sum(axis=1), kind="stable")
        batches = _batches(order, self.sizes.text_batch)
        return self._encode(learner, "texts", (tokens[batch] for batch in batches[self._own]), batches)

    @property
    def _own(self) -> slice:
        return slice(self.hardware.world.rank, None, self.hardware.world.size)

    def _encode(
        self, learner: Learner, what: Literal["images", "texts"], own: Iterable[Any], batches: Sequence[np.ndarray]
    ) -> np.ndarray | None:
        """Encode this rank's ``own`` share of ``batches``; return all ranks' features on the first rank, else None."""
        encode = learner.encode_images if what == "images" else learner.encode_texts
        world, features, done = self.hardware.world, [], 0
        sizes = [len(batch) for batch in batches[world.rank :: world.size]]
        self.tell(what, 0, sum(sizes))
        for batch, size in zip(own, sizes, strict=True):
            features.append(encode(batch))
            done += size
            self.tell(what, done, sum(sizes))
        return self._gather(learner.gather(features) if features else None, batches)

    def _gather(self, own: np.ndarray | None, batches: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return the features of all ranks' batches in the order of their indices on the first rank, else None."""
        world, group = self.hardware.world, self.hardware.group
        shares = [batches[rank :: world.size] for rank in range(world.size)]
        indices = [np.concatenate([np.empty(0, np.int64), *share]) for share in shares]
        widths = group.all_gather(np.array([0 if own is None else own.shape[1]]))
        width = int(max(array[0] for array in widths))
        if own is None:  # fewer batches than ranks
            own = np.empty((0, width), np.float32)
        gathered = np.empty((sum(map(len, indices)), width), np.float32) if world.rank == 0 else None
        piece = max(1, GATHER_BYTES // (4 * width))
        for start in range(0, max(map(len, indices)), piece):
            pieces = group.all_gather(own[start : start + piece])
            if gathered is not None:
                for rank_indices, rank_rows in zip(indices, pieces, strict=True):
                    gathered[rank_indices[start : start + piece]] = rank_rows
        return gathered


def _batches(indices: np.ndarray, size: int) -> list[np.ndarray]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]
