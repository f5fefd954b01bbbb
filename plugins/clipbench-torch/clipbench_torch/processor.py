"""Facts about the processor, from Linux."""

from __future__ import annotations

import functools
import re
from pathlib import Path


@functools.cache
def cpuinfo(key: str) -> str | None:
    """Return the first value of ``key`` in /proc/cpuinfo, or None."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return None
    match = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else None


def processor_flags() -> frozenset[str]:
    """Return the feature flags of an x86 processor, as Linux names them; empty elsewhere."""
    return frozenset((cpuinfo("flags") or "").split())
