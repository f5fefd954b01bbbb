"""The machine and software that a result was made with."""

import functools
import hashlib
import os
import platform
import socket
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Set anywhere, these change how fast or how exactly the CPU side computes.
GENERAL_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_AFFINITY", "GOMP_CPU_AFFINITY",
    "MALLOC_CONF", "LD_PRELOAD", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "PYTHONHASHSEED",
)  # fmt: skip
PACKAGES = ("numpy", "pillow", "tokenizers", "ftfy", "pluggy", "jsonschema")


def machine() -> dict[str, Any]:
    """Return operating system, Python, processor and memory."""
    return {
        "os": platform.platform(),
        "python": platform.python_version(),
        "cpu": {"name": cpu_name(), "cores": usable_cores()},
        "memory_bytes": total_memory(),
        "host": {"name": host_name(), "machine": machine_hash()},
        "packages": {name: version(name) for name in PACKAGES},
    }


def host_name() -> str:
    """Return what a scheduler calls this machine: ``CLIPBENCH_HOST``, Slurm's name of the node, else the host name."""
    return os.environ.get("CLIPBENCH_HOST") or os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def machine_hash() -> str | None:
    """Return 16 hex digits that tell this machine from others of its name; None where the system has no machine id.

    The id itself is confidential by systemd's machine-id(5), so a hash of it is given away.
    """
    try:
        machine_id = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return hashlib.sha256(f"clipbench {machine_id}".encode()).hexdigest()[:16] if machine_id else None


def usable_cores() -> int:
    """Return the number of cores that this process may run on; in a container they can be fewer than the machine's."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def cpu_name() -> str:
    """Return the processor's name as the system has it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def total_memory() -> int | None:
    """Return the bytes of main memory, or None where the system does not report them."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def peak_host_memory() -> int | None:
    """Return the peak resident bytes of this process, or None where the system does not report them."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def variables(names: Iterable[str]) -> dict[str, str]:
    """Return the environment variables that are set, of ``names`` and of those that matter on any machine."""
    return {name: os.environ[name] for name in sorted({*names, *GENERAL_VARIABLES}) if name in os.environ}


@functools.cache
def source_version() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that clipbench runs from, and whether it is dirty; else (None, None)."""
    top = Path(__file__).parents[2]
    if not (top / ".git").exists():
        return None, None

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(top), *words], capture_output=True, text=True, timeout=10, check=False)

    try:
        commit = git("rev-parse", "HEAD")
        if commit.returncode:
            return None, None
        return commit.stdout.strip(), git("diff-index", "--quiet", "HEAD").returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        return None, None
