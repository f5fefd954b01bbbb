"""Transformed evaluation images, kept from one evaluation to the next: in memory, then in a file."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np


class ImageCache:
    """Batches of uint8 pixels, kept in order: up to ``budget`` bytes in memory, the rest in a file in ``folder``.

    The file has no name, so that it goes with the process, however that ends. Where there is no ``folder``, or no room
    in it, nothing is kept: the images are then transformed again.
    """

    def __init__(self, budget: int, folder: Path | None) -> None:
        self._budget, self._folder = budget, folder
        self._batches: list[np.ndarray | tuple[int, tuple[int, ...]]] = []
        self._file: IO[bytes] | None = None
        self._used = self._written = 0
        self._given_up = budget == 0
        self.complete = False

    def add(self, pixels: np.ndarray) -> None:
        """Keep a copy of the next batch, uint8 (n, size, size, 3)."""
        if self._given_up:
            return
        if self._used + pixels.nbytes <= self._budget:
            self._used += pixels.nbytes
            self._batches.append(pixels.copy())
            return
        try:
            self._spill(pixels)
        except OSError:
            self.drop()

    def finish(self) -> None:
        """Note that all batches were added: ``complete`` says whether they can be had from here."""
        self.complete = not self._given_up

    def batches(self) -> Iterator[np.ndarray]:
        """Yield the batches in the order in which they were added; those in the file are mapped into memory."""
        for kept in self._batches:
            if isinstance(kept, np.ndarray):
                yield kept
            else:
                offset, shape = kept
                assert self._file is not None
                yield np.memmap(self._file, np.uint8, "r", offset, shape)

    def drop(self) -> None:
        """Remove everything, and keep nothing from here on."""
        self._given_up, self.complete = True, False
        self._batches.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self, pixels: np.ndarray) -> None:
        if self._folder is None:
            raise OSError("nowhere to spill to")
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- lives as long as this
        self._file.write(np.ascontiguousarray(pixels).data)
        self._file.flush()
        self._batches.append((self._written, pixels.shape))
        self._written += math.prod(pixels.shape)
