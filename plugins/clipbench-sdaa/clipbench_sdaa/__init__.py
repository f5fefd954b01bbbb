"""Tecorigin's SDAA accelerators for clipbench's torch engine. Hooks only: listing plugins imports nothing else."""

from __future__ import annotations

from functools import partial

from clipbench.api import DeviceSpec, hookimpl, package_missing

SOURCE = "it comes with Tecorigin's software stack, not from a package index; activate the environment that has it"


@hookimpl
def clipbench_devices() -> list[DeviceSpec]:
    return [
        DeviceSpec(
            "sdaa",
            "torch",
            "SDAA cards of Tecorigin",
            "clipbench_sdaa.device:SdaaDevice",
            priority=30,
            absent=partial(package_missing, "torch_sdaa", SOURCE),
            tried=False,
        )
    ]
