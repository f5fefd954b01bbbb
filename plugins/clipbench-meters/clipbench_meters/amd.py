"""AMD GPUs, by the library amdsmi that comes with ROCm: https://rocm.docs.amd.com/projects/amdsmi/.

By the vendor's documentation, not yet run on a device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipbench.api import Reading
from clipbench_meters.visible import visible_device

VISIBLE = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")


class AmdSmi:
    """Power and energy of one socket."""

    def __init__(self, kind: str, local_rank: int) -> None:
        self._local_rank = local_rank
        self._smi: Any = None
        self._handle: Any = None

    def unavailable(self) -> str | None:
        """Return why amdsmi cannot be used, or None."""
        try:
            import amdsmi
        except (ImportError, OSError, KeyError):  # without ROCm it does not find its library
            return "package amdsmi is not installed: it comes with ROCm, in /opt/rocm/share/amd_smi"
        try:
            amdsmi.amdsmi_init()
            handles = amdsmi.amdsmi_get_processor_handles()
            self._handle = handles[int(visible_device(VISIBLE, self._local_rank))]
        except (amdsmi.AmdSmiException, IndexError, ValueError) as error:
            return f"amdsmi: {error or 'no such device'}"
        self._smi = amdsmi
        return None

    def read(self) -> Reading:
        """Return what the sensors say; what a device does not have is None."""
        smi = self._smi
        energy = self._ask(smi.amdsmi_get_energy_count)
        power = self._ask(smi.amdsmi_get_power_info) or {}
        clock = self._ask(smi.amdsmi_get_clock_info, smi.AmdSmiClkType.GFX) or {}
        activity = _number((self._ask(smi.amdsmi_get_gpu_activity) or {}).get("gfx_activity"))
        used = _number((self._ask(smi.amdsmi_get_gpu_vram_usage) or {}).get("vram_used"))
        kinds = smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
        watts = _number(power.get("current_socket_power"))
        return Reading(
            # The counter's resolution is in microjoules.
            joules=energy and energy["energy_accumulator"] * energy["counter_resolution"] * 1e-6,
            watts=_number(power.get("average_socket_power")) if watts is None else watts,
            celsius=_number(self._ask(smi.amdsmi_get_temp_metric, *kinds)),
            mhz=_number(clock.get("clk")),
            utilisation=None if activity is None else activity / 100,
            memory_bytes=None if used is None else int(used) * 2**20,
        )

    def close(self) -> None:
        """Release the library."""
        self._smi.amdsmi_shut_down()

    def _ask(self, question: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        try:
            return question(self._handle, *arguments)
        except self._smi.AmdSmiException:
            return None


def _number(value: object) -> float | None:
    """Return a figure; the library says "N/A" where there is none."""
    return float(value) if isinstance(value, int | float) else None
