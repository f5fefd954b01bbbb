"""How a run is shown while it goes: live on a terminal, plain lines in CI, or not at all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipbench.results.events import Event
from clipbench.results.result import Result
from clipbench.suites.loading import Case

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# A plain log stays readable: at most one line in so many seconds between epochs.
PLAIN_SECONDS = 5.0


def make_progress(mode: str) -> NoProgress:
    """``auto`` is live on a terminal and plain elsewhere, CI included."""
    if mode == "none":
        return NoProgress()
    if mode == "auto" and sys.stdout.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb":
        from rich.console import Console

        return LiveProgress(Console())
    return PlainProgress()


class NoProgress:
    """Says nothing until a case has ended."""

    def __init__(self) -> None:
        self.steps: int | None = None
        self.steps_per_epoch: int | None = None
        self.done = 0
        self.weights = ""

    def case_started(self, case: Case, run_id: str) -> None:
        self.steps = self.steps_per_epoch = None
        self.done = 0

    def event(self, event: Event) -> None:
        if event["event"] == "inputs":
            self.weights = event["weights"]["source"]
        elif event["event"] == "started":
            self.steps, self.steps_per_epoch = event["steps"], event["steps_per_epoch"]
        elif event["event"] == "step":
            self.done = (event["epoch"] - 1) * (self.steps_per_epoch or 0) + event["step"]

    def notice(self, text: str) -> None:
        """Something that the user should know now; not on standard output, which is for results."""
        print(text, file=sys.stderr, flush=True)

    def case_finished(self, result: Result, path: Path) -> None:
        pass

    def close(self) -> None:
        pass


class PlainProgress(NoProgress):
    """One line for each thing that happens."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = self._said = 0.0

    def case_started(self, case: Case, run_id: str) -> None:
        super().case_started(case, run_id)
        self._begun = time.monotonic()
        self._say(f"case {case.name}, run {run_id}")

    def event(self, event: Event) -> None:
        super().event(event)
        if event["event"] == "started":
            self._say(describe_start(event, self.weights))
        elif event["event"] == "step" and time.monotonic() - self._said >= PLAIN_SECONDS:
            self._say(f"epoch {event['epoch']} step {event['step']}/{self._steps_in_epoch()}  {describe_step(event)}")
        elif event["event"] == "epoch":
            self._say(describe_epoch(event["record"]))

    def case_finished(self, result: Result, path: Path) -> None:
        self._say(f"case {result['case']} {result['status']}: {path}")
        if result["error"]:
            self._say(f"{result['error']['type']}: {result['error']['message']}")

    def _steps_in_epoch(self) -> str:
        return str(self.steps_per_epoch or "?")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        print(f"[{self._said - self._begun:7.1f} s] {text}", flush=True)


class LiveProgress(NoProgress):
    """A display that redraws itself: the step under way, and every epoch so far."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._title = ""
        self._start = "starting"
        self._step: Event | None = None
        self._records: list[Mapping[str, Any]] = []
        self._trained_since = 0.0
        self._evaluating = False

    def case_started(self, case: Case, run_id: str) -> None:
        super().case_started(case, run_id)
        self._title, self._start, self._step, self._records = run_id, "starting", None, []
        self._live.start()
        self._redraw()

    def event(self, event: Event) -> None:
        super().event(event)
        if event["event"] == "started":
            self._start = describe_start(event, self.weights)
            self._trained_since = time.monotonic()
        elif event["event"] == "step":
            self._step, self._evaluating = event, False
        elif event["event"] == "evaluating":
            self._evaluating = True
        elif event["event"] == "epoch":
            self._records.append(event["record"])
            self._evaluating = False
        self._redraw()

    def notice(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def case_finished(self, result: Result, path: Path) -> None:
        self._live.stop()
        self._console.print(self._epochs(all_of_them=True))
        self._console.print(f"case {result['case']} {result['status']}: {path}", soft_wrap=True, highlight=False)
        if result["error"]:
            self._console.print(f"{result['error']['type']}: {result['error']['message']}", style="red", markup=False)

    def close(self) -> None:
        self._live.stop()

    def _redraw(self) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        parts: list[Any] = [Text(self._title, style="bold"), Text(self._start)]
        if self._records:
            parts.append(self._epochs())
        if self._step:
            step = self._step
            parts.append(
                Text(f"epoch {step['epoch']}  step {step['step']}/{self.steps_per_epoch}  {describe_step(step)}")
            )
        if self.steps:
            left = "evaluating" if self._evaluating else f"time left {self._time_left()}"
            bar = Table.grid(padding=(0, 2))
            bar.add_row(ProgressBar(self.steps, self.done, width=40), f"{self.done}/{self.steps} steps", left)
            parts.append(bar)
        self._live.update(Group(*parts))

    def _time_left(self) -> str:
        """From all that was done so far, evaluations included."""
        if not self.done or not self.steps:
            return "unknown"
        seconds = (time.monotonic() - self._trained_since) / self.done * (self.steps - self.done)
        return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"

    def _epochs(self, all_of_them: bool = False) -> Table:
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        columns = ("epoch", "train loss", "val loss", "text R@1", "image R@1", "recall mean", "pairs/s", "data wait")
        for name in columns:
            table.add_column(name, justify="right")
        # Whatever does not fit above the step under way would push it off the screen.
        shown = self._records if all_of_them else self._records[-max(3, self._console.height - 8) :]
        for record in shown:
            recall = record["recall"] or {}
            wait = record["data_wait"]
            table.add_row(
                str(record["epoch"]),
                _number(record["train_loss"], ".4f"),
                _number(record["val_loss"], ".4f"),
                _number(recall.get("text_recall@1"), ".2f"),
                _number(recall.get("image_recall@1"), ".2f"),
                _number(recall.get("recall_mean"), ".2f"),
                _number(record["samples_per_second"], ".1f"),
                "-" if wait is None else f"{wait:.1%}",
            )
        return table


def describe_start(event: Event, weights: str) -> str:
    """What the case runs on, in one line; ``weights`` is where they come from."""
    device = event["device"]
    steps = f"{event['steps']} steps" if event["steps"] else "evaluation alone"
    return (
        f"{event['model']['name']} from {weights} weights on {device['kind']} ({device['name']}), "
        f"{device['precision']}, {steps}"
    )


def describe_step(event: Event) -> str:
    """Loss, learning rate and speed of the last window, in one line."""
    speed = _number(event["samples_per_second"], ".1f")
    return f"loss {event['loss']:.4f}  lr {event['learning_rate']:.3g}  {speed} pairs/s"


def describe_epoch(record: Mapping[str, Any]) -> str:
    """An epoch record, in one line."""
    text = f"epoch {record['epoch']} done"
    if record["train_loss"] is not None:
        text += f"  train loss {record['train_loss']:.4f}"
    if record["val_loss"] is not None:
        text += f"  val loss {record['val_loss']:.4f}"
    if recall := record["recall"]:
        text += (
            f"  text R@1 {recall['text_recall@1']:.2f}  image R@1 {recall['image_recall@1']:.2f}"
            f"  recall mean {recall['recall_mean']:.2f}"
        )
    if record["samples_per_second"] is not None:
        text += f"  {record['samples_per_second']:.1f} pairs/s"
    return text


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
