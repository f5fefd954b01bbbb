"""What Linux says of the processor."""

from __future__ import annotations

import functools
import re
from pathlib import Path


@functools.cache
def cpuinfo(key: str) -> str | None:
    """The first value of ``key`` in /proc/cpuinfo; None where there is none of the kind."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def processor_flags() -> frozenset[str]:
    """What an x86 processor says that it can do, in Linux's words; empty elsewhere."""
    return frozenset((cpuinfo("flags") or "").split())
