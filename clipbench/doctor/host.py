"""Read the state of the machine, as far as it changes what a run can do and how fast."""

import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clipbench.results.environment import usable_cores

CGROUPS = Path("/sys/fs/cgroup")
CLOCK_READINGS = 1000


def free_memory(meminfo: Path = Path("/proc/meminfo"), cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes of main memory that new work can use: of the system, or of the container where it has fewer."""
    available = re.search(r"^MemAvailable:\s*(\d+) kB$", _read(meminfo), re.MULTILINE)
    left = [int(available[1]) * 1024] if available else []
    for group in _groups(cgroups):
        limit, used = (_read(group / name) for name in ("memory.max", "memory.current"))
        if used and limit.isdigit():
            left.append(max(0, int(limit) - int(used)))
    return min(left, default=None)


def cpu_quota(cgroups: Path = CGROUPS) -> float | None:
    """Return how many cores the container may keep busy on average, or None where there is no limit."""
    quotas = []
    for group in _groups(cgroups):
        words = _read(group / "cpu.max").split()  # version 2: "200000 100000" or "max 100000"
        if len(words) == 2 and words[0].isdigit():
            quotas.append(int(words[0]) / int(words[1]))
    quota, period = (_read(cgroups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # version 1
    if quota and period and int(quota) > 0:
        quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def governors(cpus: Path = Path("/sys/devices/system/cpu")) -> tuple[str, ...]:
    """Return the names of the clock governors in use, sorted; most virtual machines show none."""
    return tuple(sorted({*map(_read, cpus.glob("cpu[0-9]*/cpufreq/scaling_governor"))} - {""}))


def clock_tick() -> float:
    """Return the smallest step between readings of the clock that measures times, in seconds."""
    readings = [time.perf_counter() for _ in range(CLOCK_READINGS)]
    steps = [after - before for before, after in itertools.pairwise(readings) if after > before]
    return min(steps, default=readings[-1] - readings[0])


def load_average() -> float | None:
    """Return the load average of the last minute, or None where the system does not report it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def date_of_files() -> float:
    """Return when the newest of clipbench's files was written, in seconds since 1970."""
    return max(path.stat().st_mtime for path in Path(__file__).parents[1].rglob("*.py"))


def _groups(cgroups: Path, own: Path = Path("/proc/self/cgroup")) -> Iterator[Path]:
    """Yield the folder of this process's control group and those above it; the limits of all of them apply."""
    group = re.search(r"^0::/(.*)$", _read(own), re.MULTILINE)
    folder = cgroups / (group[1] if group else "")
    yield from (place for place in (folder, *folder.parents) if place.is_relative_to(cgroups))


def _read(path: Path) -> str:
    """Return the text of a file, stripped; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Host:
    """This machine at this moment; None for what its system does not report.

    ``cores`` that this process may run on, ``quota`` of them that its container may keep busy, ``load`` average of the
    last minute, ``free_memory`` in bytes, ``governors`` of the processor's clock, ``now`` and ``built`` (the date of
    clipbench's files) in seconds since 1970, ``tick`` of the clock that measures times, in seconds.
    """

    cores: int = field(default_factory=usable_cores)
    quota: float | None = field(default_factory=cpu_quota)
    load: float | None = field(default_factory=load_average)
    free_memory: int | None = field(default_factory=free_memory)
    governors: tuple[str, ...] = field(default_factory=governors)
    now: float = field(default_factory=time.time)
    built: float = field(default_factory=date_of_files)
    tick: float = field(default_factory=clock_tick)
