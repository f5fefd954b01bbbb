"""Devices of the JAX engine: the platforms that JAX itself knows, and any that a PJRT plug-in brings."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.extend.backend import backends

from clipbench.api import DeviceInfo, NotReadyError, Precision


class JaxDevice:
    """A Device (see clipbench.api) that JAX knows as the platform ``name``.

    That is all that a PJRT plug-in's device needs; subclass it where one differs. ``remedy`` says what to do where the
    platform is not there, ``variables`` are those that change numerics or speed, beside JAX's own.
    """

    name = ""
    remedy = "install the PJRT plug-in that brings it"
    variables: Sequence[str] = ()

    def __init__(self, name: str = "") -> None:
        self.name = name or self.name
        self._local_rank = 0
        self._peak_before = 0

    # --- what the engine asks of its devices ------------------------------------------------------------------------

    def jax_device(self) -> jax.Device:
        """Return the selected device; where ranks were joined, a process has its own device only."""
        devices = jax.local_devices(backend=self.name)
        return devices[self._local_rank if len(devices) > 1 else 0]

    # --- what the core asks of any device ---------------------------------------------------------------------------

    def unavailable(self) -> str | None:
        """Return why this device cannot be used here and what to do about it, or None when it can."""
        try:
            jax.devices(self.name)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            return f"JAX has the platforms {', '.join(sorted(backends()))} here: {reason}; {self.remedy}"
        return None

    def others(self) -> Sequence[str] | None:
        """Return None: JAX does not tell of other processes."""
        return None

    def select(self, local_rank: int) -> None:
        """Make device ``local_rank`` this process's own; raise NotReadyError if there are not as many."""
        count = len(jax.local_devices(backend=self.name))
        if 1 < count <= local_rank:
            raise NotReadyError(f"device {self.name}: rank {local_rank} of this machine has none, there are {count}")
        self._local_rank = local_rank
        jax.config.update("jax_default_device", self.jax_device())

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Have float32 products computed in float32; by default TPUs use bfloat16 and NVIDIA GPUs TF32."""
        jax.config.update("jax_default_matmul_precision", "highest")
        return {"matmul_precision": "highest"}

    def info(self) -> DeviceInfo:
        """Return what a result records of the device."""
        memory = (self.jax_device().memory_stats() or {}).get("bytes_limit")
        return DeviceInfo(self.jax_device().device_kind, jax.local_device_count(self.name), total_memory=memory)

    def precisions(self) -> Sequence[Precision]:
        """Return the supported precisions; the first that is not float32 is what ``amp`` means here."""
        return ("float32", "bfloat16", "float16")

    def peak_flops(self, precision: Precision) -> float | None:
        """Return None: the peak is not known."""
        return None

    def free_memory(self) -> int | None:
        """Return the bytes that JAX may still allocate on the selected device, or None where it does not tell."""
        stats = self.jax_device().memory_stats() or {}
        return stats["bytes_limit"] - stats["bytes_in_use"] if {"bytes_limit", "bytes_in_use"} <= set(stats) else None

    def reset_peak_memory(self) -> None:
        """Note the peak up to now: JAX counts that of the whole process, and never starts anew."""
        self._peak_before = self._peak_of_process() or 0

    def peak_memory(self) -> int | None:
        """Return the peak bytes in use since the last reset, or None where an earlier peak hides it."""
        peak = self._peak_of_process()
        return peak if peak and peak > self._peak_before else None

    def _peak_of_process(self) -> int | None:
        return (self.jax_device().memory_stats() or {}).get("peak_bytes_in_use")

    def environment_variables(self) -> Sequence[str]:
        """Return the names of environment variables that change numerics or speed."""
        return ("JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DISABLE_JIT", "XLA_FLAGS", *self.variables)


class CpuDevice(JaxDevice):
    """The processor. Its memory is the host's, which the core records."""

    name = "cpu"
    variables = ("JAX_NUM_CPU_DEVICES", "MALLOC_CONF", "LD_PRELOAD")

    def info(self) -> DeviceInfo:
        return DeviceInfo(_processor_name(), 1)

    def unavailable(self) -> str | None:
        return None


class GpuDevice(JaxDevice):
    """NVIDIA's GPUs, and AMD's where JAX was built for them."""

    name = "gpu"
    remedy = "install JAX for it, for NVIDIA `pip install 'jax[cuda12]'`, and check the driver with nvidia-smi"
    variables = ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE",
                 "XLA_PYTHON_CLIENT_ALLOCATOR", "NVIDIA_TF32_OVERRIDE", "NCCL_ALGO", "NCCL_PROTO")  # fmt: skip


class TpuDevice(JaxDevice):
    """Google's TPUs."""

    name = "tpu"
    remedy = "on a machine with TPUs, `pip install 'jax[tpu]'`"
    variables = ("LIBTPU_INIT_ARGS",)


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
