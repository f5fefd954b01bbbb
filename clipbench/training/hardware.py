"""What a rank computes on, and the ranks that it computes with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clipbench.api import Device, DeviceInfo, Engine, Group, Precision, World
from clipbench.training.telemetry import Sampler


@dataclass(frozen=True)
class Hardware:
    """The device of this rank, probed, and the group of all ranks; ``hosts`` has the host of each.

    ``section`` is what a result's environment says of the device. ``peak_flops`` are of one device in ``precision``.
    ``timing_unreliable_reason`` says why its times cannot be trusted, if so. ``telemetry`` reads its sensors.
    """

    engine: Engine
    device: Device
    precision: Precision
    section: Mapping[str, Any]
    world: World
    group: Group
    info: DeviceInfo
    hosts: tuple[str, ...]
    peak_flops: float | None = None
    timing_unreliable_reason: str | None = None
    telemetry: Sampler = field(default_factory=lambda: Sampler(None, absent="no meter was looked for"))
