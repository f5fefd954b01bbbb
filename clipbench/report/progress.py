"""How a run is shown while it goes: live on a terminal, plain lines in CI, or not at all."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from clipbench.api import EpochRecord
from clipbench.api import events as e

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# A plain log stays readable: at most one line in so many seconds between epochs.
PLAIN_SECONDS = 5.0


def make_progress(mode: str) -> NoProgress:
    """Return the observer for ``mode``: ``auto`` is live on a terminal and plain elsewhere, CI included."""
    if mode == "none":
        return NoProgress()
    if mode == "auto" and sys.stdout.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb":
        from rich.console import Console

        return LiveProgress(Console())
    return PlainProgress()


class NoProgress:
    """Shows notices and warnings alone, on standard error: standard output is for results."""

    weights = ""
    built: e.LearnerBuilt | None = None

    def handle(self, event: e.Event) -> None:
        match event:
            case e.Notice(text):
                self.notice(text)
            case e.Warned(text):
                self.notice(f"warning: {text}")
            case e.InputsRead():
                self.weights = event.weights.source
            case e.CaseStarted():
                self.built = None
            case e.LearnerBuilt():
                self.built = event

    @property
    def steps_per_epoch(self) -> int | None:
        return self.built.steps_per_epoch if self.built else None

    def notice(self, text: str) -> None:
        """Show a sentence that the user should read now."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainProgress(NoProgress):
    """One line for each thing that happens."""

    _started = _last_line = 0.0

    def handle(self, event: e.Event) -> None:
        super().handle(event)
        match event:
            case e.CaseStarted():
                self._started = time.monotonic()
                self._line(f"case {event.case.name}, run {event.run_id}")
            case e.LearnerBuilt():
                self._line(describe_start(event, self.weights))
            case e.StepsTrained() if time.monotonic() - self._last_line >= PLAIN_SECONDS:
                self._line(describe_step(event, self.steps_per_epoch))
            case e.EpochFinished():
                self._line(describe_epoch(event.record))
            case e.CaseFinished():
                for line in describe_end(event):
                    self._line(line)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        print(f"[{self._last_line - self._started:7.1f} s] {text}", flush=True)


class LiveProgress(NoProgress):
    """A display that redraws itself: the step under way, and every epoch so far."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._run_id = ""
        self._records: list[EpochRecord] = []
        self._step: e.StepsTrained | None = None
        self._training_since = 0.0
        self._is_evaluating = False

    def handle(self, event: e.Event) -> None:
        super().handle(event)
        match event:
            case e.CaseStarted():
                self._run_id, self._records, self._step = event.run_id, [], None
                self._live.start()
            case e.LearnerBuilt():
                self._training_since = time.monotonic()
            case e.StepsTrained():
                self._step = event
            case e.EpochFinished(record):
                self._records.append(record)
            case e.CaseFinished():
                self._end_case(event)
        if not isinstance(event, (e.Notice, e.Warned)):
            self._is_evaluating = isinstance(event, e.EvaluationStarted)
        self._redraw()

    def notice(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        self._live.stop()

    def _end_case(self, event: e.CaseFinished) -> None:
        self._live.stop()
        self._console.print(self._table(self._records))
        status, *error = describe_end(event)
        self._console.print(status, soft_wrap=True, highlight=False, markup=False)
        for line in error:
            self._console.print(line, style="red", markup=False)

    def _redraw(self) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        start = describe_start(self.built, self.weights) if self.built else "starting"
        parts: list[Any] = [Text(self._run_id, style="bold"), Text(start)]
        if self._records:
            # Whatever does not fit above the step under way would push it off the screen.
            parts.append(self._table(self._records[-max(3, self._console.height - 8) :]))
        if self._step:
            parts.append(Text(describe_step(self._step, self.steps_per_epoch)))
        if self.built and (steps := self.built.steps):
            done = self._step.steps_done if self._step else 0
            left = "evaluating" if self._is_evaluating else f"time left {self._time_left(done, steps)}"
            bar = Table.grid(padding=(0, 2))
            bar.add_row(ProgressBar(steps, done, width=40), f"{done}/{steps} steps", left)
            parts.append(bar)
        self._live.update(Group(*parts))

    def _time_left(self, done: int, steps: int) -> str:
        """Return the time that the steps left take at the pace so far, evaluations included."""
        if not done:
            return "unknown"
        seconds = int((time.monotonic() - self._training_since) / done * (steps - done))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def _table(self, records: list[EpochRecord]) -> Table:
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        columns = ("epoch", "train loss", "val loss", "text R@1", "image R@1", "recall mean", "pairs/s", "data wait")
        for name in columns:
            table.add_column(name, justify="right")
        for record in records:
            recall = record.recall or {}
            table.add_row(
                str(record.epoch),
                _number(record.train_loss, ".4f"),
                _number(record.val_loss, ".4f"),
                *(_number(recall.get(name), ".2f") for name in ("text_recall@1", "image_recall@1", "recall_mean")),
                _number(record.samples_per_second, ".1f"),
                _number(record.data_wait, ".1%"),
            )
        return table


def describe_start(event: e.LearnerBuilt, weights: str) -> str:
    """Return what the case runs on, in one line; ``weights`` is where they come from."""
    device = event.device
    steps = f"{event.steps} steps" if event.steps else "evaluation only"
    return (
        f"{event.model['name']} from {weights} weights on {device['kind']} ({device['name']}), "
        f"{device['precision']}, {steps}"
    )


def describe_step(event: e.StepsTrained, steps_per_epoch: int | None) -> str:
    """Return position, loss, learning rate and speed of the last window, in one line."""
    return (
        f"epoch {event.epoch} step {event.step}/{steps_per_epoch or '?'}  loss {_number(event.loss, '.4f')}  "
        f"lr {event.learning_rate:.3g}  {_number(event.samples_per_second, '.1f')} pairs/s"
    )


def describe_epoch(record: EpochRecord) -> str:
    """Return the figures of an epoch that are known, in one line."""
    recall = record.recall or {}
    figures = {
        "train loss {:.4f}": record.train_loss,
        "val loss {:.4f}": record.val_loss,
        "text R@1 {:.2f}": recall.get("text_recall@1"),
        "image R@1 {:.2f}": recall.get("image_recall@1"),
        "recall mean {:.2f}": recall.get("recall_mean"),
        "{:.1f} pairs/s": record.samples_per_second,
    }
    known = [form.format(value) for form, value in figures.items() if value is not None]
    return "  ".join([f"epoch {record.epoch} done", *known])


def describe_end(event: e.CaseFinished) -> list[str]:
    """Return the status of a case with its result's file, then its error, if any."""
    error = event.result.error
    lines = [f"case {event.result.case} {event.result.status}: {event.path}"]
    return [*lines, f"{error.type}: {error.message}"] if error else lines


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
