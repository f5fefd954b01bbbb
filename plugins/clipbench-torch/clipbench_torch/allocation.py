"""The host's memory allocator, set to keep freed memory for the next step."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
LARGE = 1 << 30
SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Have glibc serve blocks of up to 1 GiB from memory that it keeps; return whether it accepted that.

    By default it returns big blocks to the system when they are freed, so that every step on a processor allocates its
    activations again, page by page. Settings of the user are not changed.
    """
    if any(name in os.environ for name in SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    # Some releases accept no threshold beyond 32 MiB, but accept that no block is mapped by itself.
    kept = mallopt(M_MMAP_THRESHOLD, LARGE) or mallopt(M_MMAP_MAX, 0)
    return bool(kept) and bool(mallopt(M_TRIM_THRESHOLD, LARGE * 2 - 1))


def give_back_freed_memory() -> None:
    """Have glibc return freed memory to the system, also what it keeps: what follows needs blocks of other sizes."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
