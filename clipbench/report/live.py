"""The live display of a run: it redraws itself, with the step under way and every epoch so far."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clipbench.api import EpochRecord, events
from clipbench.report import numerics
from clipbench.report.progress import EPOCH_FIGURES, NoProgress, describe_end, epoch_figures


class LiveProgress(NoProgress):
    """Shows a case on ``console`` while it runs, and leaves its epochs and its status there."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._run_id = ""
        self._records: list[EpochRecord] = []
        self._step: events.StepsTrained | None = None
        self._numerics: list[str] = []
        self._training_since = 0.0
        self._is_evaluating = False

    def handle(self, event: events.Event) -> None:
        super().handle(event)
        match event:
            case events.CaseStarted():
                self._run_id, self._records, self._step, self._numerics = event.run_id, [], None, []
                self._live.start()
            case events.NumericsStepped():
                self._numerics = [numerics.describe_step(event)]
            case events.NumericsChecked():
                self._numerics = numerics.describe_numerics(event.numerics)
            case events.LearnerBuilt():
                self._training_since = time.monotonic()
            case events.StepsTrained():
                self._step = event
            case events.EpochFinished(record):
                self._records.append(record)
            case events.CaseFinished():
                self._end_case(event)
        if not isinstance(event, (events.Notice, events.Warned)):
            self._is_evaluating = isinstance(event, events.EvaluationStarted)
        self._live.update(Group(*self._parts()))

    def notice(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        self._live.stop()

    def _end_case(self, event: events.CaseFinished) -> None:
        self._live.stop()
        for line in self._numerics:
            self.notice(line)
        self._console.print(_table(self._records))
        status, *error = describe_end(event)
        self.notice(status)
        for line in error:
            self._console.print(line, style="red", markup=False)

    def _parts(self) -> list[RenderableType]:
        parts: list[RenderableType] = [Text(self._run_id, style="bold"), Text(self.describe_start())]
        parts += [Text(line) for line in self._numerics]
        if self._records:
            # Whatever does not fit above the step under way would push it off the screen.
            parts.append(_table(self._records[-max(3, self._console.height - 8) :]))
        if self._step:
            parts.append(Text(self.describe_step(self._step)))
        if self.built and (steps := self.built.steps):
            done = self._step.steps_done if self._step else 0
            left = "evaluating" if self._is_evaluating else f"time left {self._time_left(done, steps)}"
            bar = Table.grid(padding=(0, 2))
            bar.add_row(ProgressBar(steps, done, width=40), f"{done}/{steps} steps", left)
            parts.append(bar)
        return parts

    def _time_left(self, done: int, steps: int) -> str:
        """Return the time that the steps left take at the pace so far, evaluations included."""
        if not done:
            return "unknown"
        seconds = int((time.monotonic() - self._training_since) / done * (steps - done))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _table(records: list[EpochRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("epoch", *EPOCH_FIGURES):
        table.add_column(name, justify="right")
    for record in records:
        table.add_row(str(record.epoch), *epoch_figures(record).values())
    return table
