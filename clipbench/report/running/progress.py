"""How a run is shown while it goes: live on a terminal, plain lines in CI, or not at all."""

import os
import sys
import time

from clipbench.api import EpochRecord, events
from clipbench.report.metric_words import metric_words
from clipbench.report.numerics import describe_numerics
from clipbench.report.quantity import plain_figure
from clipbench.report.running.doing import doing, number, stop_text, training

# A plain log stays readable: at most one line in so many seconds between epochs.
PLAIN_SECONDS = 5.0
# Figures of an epoch by their name: field or recall of the record, and its form. Before the last two stand those of
# other evaluations: one beside recalls, else the first three. More do not fit into a line.
BEFORE = {"train loss": ("train_loss", ".4f"), "val loss": ("val_loss", ".4f")}
RECALLS = {
    "text R@1": ("text_recall@1", ".2f"),
    "image R@1": ("image_recall@1", ".2f"),
    "recall mean": ("recall_mean", ".2f"),
}
AFTER = {"pairs/s": ("throughput", ".1f"), "data wait": ("data_wait", ".1%")}


def make_progress(mode: str) -> "NoProgress":
    """Return the observer for ``mode``: ``auto`` is live on a terminal and plain elsewhere, CI included."""
    if mode == "none":
        return NoProgress()
    if mode == "auto" and sys.stdout.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb":
        from clipbench.report.running.live import LiveProgress  # it imports rich, which the others do without

        return LiveProgress()
    return PlainProgress()


class NoProgress:
    """Shows notices and warnings alone, on standard error: standard output is for results."""

    weights = ""
    built: events.LearnerBuilt | None = None

    def handle(self, event: events.Event) -> None:
        match event:
            case events.Notice(text):
                self.notice(text)
            case events.Warned(text):
                self.notice(f"warning: {text}")
            case events.StopRequested():
                self.notice(stop_text(event))
            case events.InputsRead():
                self.weights = event.weights.source
            case events.CaseStarted():
                self.built = None
            case events.LearnerBuilt():
                self.built = event

    def notice(self, text: str) -> None:
        """Show a sentence that the user should read now."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""

    def describe_start(self) -> str:
        """Return what the case runs on, in one line."""
        if not self.built:
            return ""
        device = self.built.device
        steps = f"{self.built.steps} steps" if self.built.steps else "evaluation only"
        return (
            f"{self.built.model['name']} from {self.weights} weights on {device['kind']} ({device['name']}), "
            f"{device['precision']}, {steps}"
        )

    def describe_step(self, event: events.StepsUnderWay) -> tuple[str, str]:
        """Return how far training is, and how fast."""
        return training(event, self.built.steps_per_epoch if self.built else None)


class PlainProgress(NoProgress):
    """One line for each thing that happens."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last_line = 0.0
        self._has_stepped = False

    def handle(self, event: events.Event) -> None:
        super().handle(event)
        is_due = time.monotonic() - self._last_line >= PLAIN_SECONDS
        match event:
            # What comes before the first step is told at once: any of it may take long. Later it comes again and again.
            case events.Progress(done=done) if is_due or not (done or self._has_stepped):
                self._print(doing(event))
            case events.CaseStarted():
                self._started, self._has_stepped = time.monotonic(), False
                self._print(f"case {event.case.name}, run {event.run_id}")
            case events.NumericsChecked(numerics):
                self._print(*describe_numerics(numerics))
            case events.LearnerBuilt():
                self._print(self.describe_start())
            case events.StepsUnderWay() if is_due or not self._has_stepped:
                self._has_stepped = True
                self._print("  ".join(self.describe_step(event)))
            case events.EpochFinished():
                self._print(describe_epoch(event.record))
            case events.CaseFinished():
                self._print(*describe_end(event))

    def _print(self, *lines: str) -> None:
        self._last_line = time.monotonic()
        for line in lines:
            print(f"[{self._last_line - self._started:7.1f} s] {line}", flush=True)


def epoch_figures(record: EpochRecord) -> dict[str, str]:
    """Return the figures of an epoch in words, by their name; a dash for one that is not known.

    Recalls are left out where another evaluation took the place of retrieval.
    """
    values = {**(record.recall or {}), **vars(record)}
    recalls = RECALLS if record.recall is not None or not record.metrics else {}
    own = list(record.metrics.items())[: 1 if recalls else 3]
    return {
        **{name: number(values.get(key), form) for name, (key, form) in {**BEFORE, **recalls}.items()},
        **{metric_words(name): plain_figure(metric.value, metric.unit) for name, metric in own},
        **{name: number(values.get(key), form) for name, (key, form) in AFTER.items()},
    }


def describe_epoch(record: EpochRecord) -> str:
    """Return the figures of an epoch that are known, in one line."""
    *figures, (_, rate), _ = epoch_figures(record).items()
    known = [f"{name} {figure}" for name, figure in figures if figure != "-"]
    return "  ".join([f"epoch {record.epoch} done", *known, *([] if rate == "-" else [f"{rate} pairs/s"])])


def describe_end(event: events.CaseFinished) -> list[str]:
    """Return the status of a case with its result's file, then its error, if any."""
    error, speed = event.result.error, event.result.value("throughput")
    of_run = "" if speed is None else f", {speed:.1f} pairs/s over all epochs"
    lines = [f"case {event.result.case} {event.result.status}{of_run}: {event.path}"]
    return [*lines, f"{error.type}: {error.message}"] if error else lines
