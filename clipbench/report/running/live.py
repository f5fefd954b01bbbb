"""The live display of a run: it redraws itself, with what is under way and every epoch so far."""

import time
from dataclasses import dataclass, field, replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clipbench.api import EpochRecord, events
from clipbench.report.numerics import describe_numerics
from clipbench.report.running.doing import clock, doing
from clipbench.report.running.progress import NoProgress, describe_end, epoch_figures

# What stands beside the bar: steps, elapsed, time left.
BESIDE_BAR = 56


@dataclass
class _Shown:
    """What is known of the case that runs; times as the monotonic clock has them."""

    run_id: str = ""
    records: list[EpochRecord] = field(default_factory=list)
    step: events.StepsUnderWay | None = None
    doing: events.Progress | None = None
    started: float = field(default_factory=time.monotonic)
    doing_since: float = field(default_factory=time.monotonic)
    step_at: float = 0.0
    training_since: float = field(default_factory=time.monotonic)
    steps_before: int = 0
    is_stopping: bool = False


class LiveProgress(NoProgress):
    """Shows a case on ``console`` while it runs, and leaves its epochs and its status there.

    It is drawn several times a second, also while no event comes: a slow device is seen to be waited for.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._case = _Shown()
        self._live = Live(
            console=self._console, refresh_per_second=8, transient=True, get_renderable=lambda: Group(*self._parts())
        )

    def handle(self, event: events.Event) -> None:
        super().handle(event)
        now = time.monotonic()
        match event:
            case events.CaseStarted():
                self._case = _Shown(event.run_id)
                self._live.start()
            case events.Progress():
                self._live.start()
                if self._case.doing is None or self._case.doing.stage != event.stage:
                    self._case.doing_since = now
                self._case.doing = event
            case events.NumericsChecked(numerics):
                self.notice("\n".join(describe_numerics(numerics)))
            case events.TrainingStarted(steps_done=steps):
                self._case.training_since, self._case.steps_before = now, steps
            case events.StepsUnderWay():
                self._case = replace(self._case, step=event, doing=None, doing_since=now, step_at=now)
            case events.StepsTrained(epoch=epoch, step=step, steps_done=done) if self._case.step:
                self._case.step = replace(self._case.step, epoch=epoch, step=step, steps_done=done)
                self._case.step_at = now
            case events.CheckpointSaved():
                self._case.doing, self._case.doing_since = None, now
            case events.EpochFinished(record):
                self._case.records.append(record)
            case events.StopRequested():
                self._case.is_stopping = True
            case events.CaseFinished():
                self._end_case(event)

    def notice(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        self._live.stop()

    def _end_case(self, event: events.CaseFinished) -> None:
        self._live.stop()
        if self._case.records:
            self._console.print(_table(self._case.records))
        status, *error = describe_end(event)
        self.notice(status)
        for line in error:
            self._console.print(line, style="red", markup=False)

    def _parts(self) -> list[RenderableType]:
        parts: list[RenderableType] = [Text(self._case.run_id, style="bold")] if self._case.run_id else []
        if start := self.describe_start():
            parts.append(Text(start))
        if self._case.records:
            # Whatever does not fit above the step under way would push it off the screen.
            parts.append(_table(self._case.records[-max(3, self._console.height - 8) :]))
        if self._case.step:
            parts += map(Text, self.describe_step(self._case.step))
        if self.built and (steps := self.built.steps):
            parts.append(self._bar(steps))
        parts.append(Text(self._under_way()))
        return parts

    def _bar(self, steps: int) -> RenderableType:
        now = time.monotonic()
        done = self._case.step.steps_done if self._case.step else self._case.steps_before
        bar = Table.grid(padding=(0, 2))
        width = max(8, min(40, self._console.width - BESIDE_BAR))
        elapsed, left = f"elapsed {clock(now - self._case.started)}", f"left {self._time_left(done, steps)}"
        bar.add_row(ProgressBar(steps, done, width=width), f"{done}/{steps} steps", elapsed, left)
        return bar

    def _under_way(self) -> str:
        """Return what has been under way for how long, ticking until the next event."""
        what = doing(self._case.doing) if self._case.doing else "training" if self._case.step else "starting"
        text = f"{what}, {int(time.monotonic() - self._case.doing_since)} s"
        return f"stopping after this: {text}" if self._case.is_stopping else text

    def _time_left(self, done: int, steps: int) -> str:
        """Return the time that the steps left take at the pace of this attempt so far, evaluations included."""
        here = done - self._case.steps_before
        if here <= 0:
            return "unknown"
        pace = (self._case.step_at - self._case.training_since) / here
        return clock(max(0.0, pace * (steps - done) - (time.monotonic() - self._case.step_at)))


def _table(records: list[EpochRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    rows = [{"epoch": str(record.epoch), **epoch_figures(record)} for record in records]
    # An epoch without an evaluation has fewer figures than the one with most.
    names = max(rows, key=len)
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(row.get(name, "-") for name in names))
    return table
