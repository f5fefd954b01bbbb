"""Errors of the disk, as messages that say what was to be written where, how much room it takes and what to do."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipbench.errors import NotReadyError

ADVICE = {
    errno.ENOSPC: "make room there, or give another folder with --out",
    errno.EDQUOT: "your quota there is used up: make room, or give another folder with --out",
    errno.EFBIG: "files may not be so large here: raise the limit (`ulimit -f`), or give another folder with --out",
    errno.EROFS: "the file system is mounted read-only: mount it for writing, or give another folder with --out",
    errno.EACCES: "get write permission there, or give another folder with --out",
    errno.EPERM: "get write permission there, or give another folder with --out",
    errno.ENOENT: "the folder no longer exists: create it again, or give another one with --out",
    errno.ENOTDIR: "a file stands where a folder should be: move it away, or give another folder with --out",
    errno.EEXIST: "a file stands where a folder should be: move it away, or give another folder with --out",
    errno.EIO: "the disk fails: read the system's log, and give a folder on another disk with --out",
}


class DiskError(NotReadyError):
    """Something could not be written (exit 5)."""


@contextmanager
def writing(what: str, path: Path, needed: int, option: str = "--out") -> Iterator[None]:
    """Turn an OSError of the block into a DiskError: ``what`` of ``needed`` bytes was to be written to ``path``.

    The message names the path, the need, the room that is left and what to do; ``option`` chooses another folder.
    """
    try:
        yield
    except OSError as error:
        free = free_bytes(path)
        room = "the room there is unknown" if free is None else f"{size_text(free)} are free there"
        advice = ADVICE.get(error.errno or 0, "give another folder with --out").replace("--out", option)
        raise DiskError(
            f"{path}: {what} cannot be written ({error.strerror or error}); "
            f"{size_text(needed)} are needed, {room}; {advice}"
        ) from error


def free_bytes(path: Path) -> int | None:
    """Return how many bytes this user may still write where ``path`` is or will be; None where that is not known."""
    for folder in (path, *path.parents):
        try:
            return shutil.disk_usage(folder).free
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None


def size_text(size: int) -> str:
    """Return a number of bytes as people read it, such as ``1.8 GB``: in powers of 1000."""
    if size < 1000:
        return f"{size} bytes"
    power = min((len(str(size)) - 1) // 3, 4)
    return f"{size / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def sync_folder(folder: Path) -> None:
    """Sync ``folder``, so that names created, changed or removed in it survive a loss of power."""
    if os.name == "nt":  # Windows does not open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without such a sync
            raise
    finally:
        os.close(handle)
