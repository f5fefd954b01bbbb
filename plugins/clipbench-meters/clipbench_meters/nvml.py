"""NVIDIA GPUs, by NVML (package nvidia-ml-py): https://docs.nvidia.com/deploy/nvml-api/."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from clipbench.api import Reading
from clipbench_meters.visible import visible_device

# Bits of nvmlClocksEventReasons that slow a GPU down, and what people call them.
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


class Nvml:
    """Power and energy of the whole board; energy counts since the driver was loaded, from Volta on."""

    def __init__(self, kind: str, local_rank: int) -> None:
        self._local_rank = local_rank
        self._nvml: Any = None
        self._handle: Any = None

    def unavailable(self) -> str | None:
        """Return why NVML cannot be used, or None."""
        try:
            import pynvml
        except ImportError:
            return "package nvidia-ml-py is not installed: `pip install nvidia-ml-py`"
        try:
            pynvml.nvmlInit()
            device = visible_device(("CUDA_VISIBLE_DEVICES",), self._local_rank)
            by_name = isinstance(device, str)
            self._handle = (pynvml.nvmlDeviceGetHandleByUUID if by_name else pynvml.nvmlDeviceGetHandleByIndex)(device)
        except pynvml.NVMLError as error:
            return f"NVML: {error}"
        self._nvml = pynvml
        return None

    def read(self) -> Reading:
        """Return what the board's sensors say; what a board does not have is None."""
        nvml = self._nvml
        millijoules = self._ask(nvml.nvmlDeviceGetTotalEnergyConsumption)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage)
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        processes = self._ask(nvml.nvmlDeviceGetComputeRunningProcesses)
        return Reading(
            joules=None if millijoules is None else millijoules / 1000,
            watts=None if milliwatts is None else milliwatts / 1000,
            celsius=self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            mhz=self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            utilisation=None if rates is None else rates.gpu / 100,
            memory_bytes=None if memory is None else memory.used,
            throttled=self._throttled(),
            processes=None if processes is None else len(processes),
        )

    def close(self) -> None:
        """Release NVML."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _throttled(self) -> tuple[str, ...] | None:
        # Called "throttle reasons" by drivers before 535.
        names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        for name in names:
            bits = self._ask(getattr(self._nvml, name)) if hasattr(self._nvml, name) else None
            if bits is not None:
                return tuple(text for bit, text in REASONS.items() if bits & bit)
        return None

    def _ask(self, question: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        """Return an answer of NVML, or None where the board does not have that sensor."""
        try:
            return question(self._handle, *arguments)
        except self._nvml.NVMLError:
            return None
