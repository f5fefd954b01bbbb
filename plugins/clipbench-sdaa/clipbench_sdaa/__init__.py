"""Tecorigin's SDAA accelerators for clipbench's torch engine. Hooks only: listing plugins imports nothing else."""

from __future__ import annotations

from clipbench.api import DeviceSpec, hookimpl


@hookimpl
def clipbench_devices() -> list[DeviceSpec]:
    return [DeviceSpec("sdaa", "torch", "Tecorigin SDAA cards", "clipbench_sdaa.device:SdaaDevice", priority=30)]
