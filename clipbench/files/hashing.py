"""A file that is written once, with its SHA-256, at about the pace of the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PIECE = 16 << 20
EARLY = 64 << 20  # as much as a disk takes in a moment; waiting for the end would leave it idle until then


class HashedFile:
    """Takes bytes, and knows how many they were and what their SHA-256 is.

    Hashing, and sending to the disk what has been written so far, each run in a thread beside the writing: the three
    together take little longer than the slowest.
    """

    def __init__(self, handle: int, threads: ThreadPoolExecutor) -> None:
        self.bytes = 0
        self._handle, self._threads = handle, threads
        self._digest = hashlib.sha256()
        self._unsent = 0
        self._sending: Future[object] = threads.submit(int)

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[HashedFile]:
        """A new file, on the disk for good when the block ends; FileExistsError where there is one."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with ThreadPoolExecutor(2, "hashed file") as threads:
                file = cls(handle, threads)
                yield file
                file._sending.result()  # the system tells of a failed write once only
            os.fsync(handle)
        finally:
            os.close(handle)

    def write(self, data: memoryview) -> None:
        """Append ``data``; returns when nothing refers to it any more."""
        hashed = self._threads.submit(self._digest.update, data)
        try:
            written = 0
            while written < len(data):
                taken = os.write(self._handle, data[written : written + PIECE])
                written += taken
                self._send_early(taken)
        finally:
            hashed.result()
        self.bytes += len(data)

    def sha256(self) -> str:
        """Of all that has been written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def _send_early(self, taken: int) -> None:
        self._unsent += taken
        if self._unsent >= EARLY and self._sending.done():
            self._sending.result()
            self._unsent = 0
            self._sending = self._threads.submit(os.fsync, self._handle)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
