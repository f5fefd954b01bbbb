"""How far the steps of an epoch are, for whoever watches: told without making a fast device wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from clipbench.api import Reading, Window, events
from clipbench.results.environment import peak_host_memory
from clipbench.training.hardware import Hardware
from clipbench.training.throughput import WindowTimer

# A step that takes longer is waited for and told by itself; of faster ones the latest is told, as often.
SECONDS = 1.0


@dataclass
class StepDisplay:
    """Tells rank 0's ``emit`` of steps that are under way, of ``batch_size`` pairs each.

    ``waits`` says whether the device is to be waited for after each step, not only at the end of a window: where steps
    take a second, that costs nothing. All ranks set it alike whenever they have waited. The first step of a process is
    waited for where it is part of the warm-up.
    """

    hardware: Hardware
    timer: WindowTimer
    batch_size: int
    emit: Callable[[events.Event], None]
    waits: bool = field(init=False)
    _lap: Window | None = field(init=False, default=None)
    _loss: float | None = field(init=False, default=None)
    _told: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.waits = self.timer.timing.warmup_steps > 0

    def lap(self) -> bool:
        """Take the time of the steps since the device was last waited for; return whether they are slow here."""
        self._lap = self.timer.lap()
        return self._lap.seconds >= SECONDS * self._lap.steps

    def is_due(self) -> bool:
        """Return whether this rank is to tell of the latest step: no other was told of within the last second."""
        return self.hardware.world.rank == 0 and time.monotonic() - self._told >= SECONDS

    def tell(self, epoch: int, step: int, steps_done: int, loss: float | None, learning_rate: float) -> None:
        """Tell of the latest step, with the figures of the last ones that were waited for."""
        self._told = time.monotonic()
        self._loss = self._loss if loss is None else loss
        lap = self._lap
        step_seconds = lap.seconds / lap.steps if lap and lap.steps else None
        rate = (
            self.batch_size / step_seconds if step_seconds and self.hardware.timing_unreliable_reason is None else None
        )
        wait = lap.data_wait / lap.seconds if lap and lap.seconds else None
        memory = self.hardware.device.peak_memory() or peak_host_memory()
        reading = self.hardware.telemetry.latest() or Reading()
        figures = (self._loss, learning_rate, step_seconds, rate, wait, memory, reading.watts, reading.celsius)
        self.emit(events.StepsUnderWay(epoch, step, steps_done, *figures))
