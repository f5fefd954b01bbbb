"""SHA-256 of files: of one that is being written, at about the speed of the disk, and of one that is there."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PIECE = 16 << 20
EARLY = 64 << 20  # bytes after which a sync starts already: until then the disk would be idle


class HashedFile:
    """A new file that counts and hashes the bytes written to it.

    Hashing, and syncing what has been written so far, each run in a thread beside the writing: the three together take
    little longer than the slowest.
    """

    def __init__(self, handle: int, threads: ThreadPoolExecutor) -> None:
        self.bytes = 0
        self._handle, self._threads = handle, threads
        self._digest = hashlib.sha256()
        self._unsynced = 0
        self._syncing: Future[object] = threads.submit(int)

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> "Iterator[HashedFile]":
        """Open a new file that is synced when the block ends; raise FileExistsError where there is one."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with ThreadPoolExecutor(2, "hashed file") as threads:
                file = cls(handle, threads)
                yield file
                file._syncing.result()  # the system reports a failed write only once
            os.fsync(handle)
        finally:
            os.close(handle)

    def write(self, data: memoryview) -> None:
        """Append ``data``; return when nothing refers to it any more."""
        hashed = self._threads.submit(self._digest.update, data)
        try:
            written = 0
            while written < len(data):
                taken = os.write(self._handle, data[written : written + PIECE])
                written += taken
                self._sync_early(taken)
        finally:
            hashed.result()
        self.bytes += len(data)

    def sha256(self) -> str:
        """Return the SHA-256 of all that has been written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def _sync_early(self, taken: int) -> None:
        self._unsynced += taken
        if self._unsynced >= EARLY and self._syncing.done():
            self._syncing.result()
            self._unsynced = 0
            self._syncing = self._threads.submit(os.fsync, self._handle)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
