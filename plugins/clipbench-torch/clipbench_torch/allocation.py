"""The host's memory allocator, told to keep what is freed for the next step."""

from __future__ import annotations

import ctypes
import os

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
LARGE = 1 << 30
SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Have glibc serve blocks of up to 1 GiB from memory that it keeps; whether it took that.

    By itself it gives big blocks back to the system when they are freed, so that every step on a processor asks for
    its activations anew and pays for each page. The peak stays the same. Left alone where the user has set it.
    """
    if any(name in os.environ for name in SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    # Some releases take no threshold beyond 32 MiB; they may still serve no block apart.
    kept = mallopt(M_MMAP_THRESHOLD, LARGE) or mallopt(M_MMAP_MAX, 0)
    return bool(kept) and bool(mallopt(M_TRIM_THRESHOLD, LARGE * 2 - 1))
