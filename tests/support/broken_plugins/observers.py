"""Observers that break one promise each."""

from clipbench.api import events


class Log:
    """Appends the name of each event."""

    mode, name = "a", "log.txt"

    def __init__(self, case, run_id, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.file = (folder / self.name).open(self.mode, encoding="utf-8")

    def handle(self, event):
        self.file.write(type(event).__name__ + "\n")

    def close(self):
        self.file.close()


class NeedsLoss(Log):
    def handle(self, event):
        if isinstance(event, events.StepsTrained):
            self.file.write(f"{event.loss:.3f}\n")


class NeedsSuccess(Log):
    def handle(self, event):
        if isinstance(event, events.CaseFinished):
            self.file.write(f"{event.result.metrics.last.epoch}\n")


class KnowsAll(Log):
    def handle(self, event):
        self.file.write(events.EVENTS[type(event).__name__].__name__ + "\n")


class NeedsEvents(Log):
    def handle(self, event):
        self.last = event

    def close(self):
        self.file.close()
        print(type(self.last).__name__)


class StartsAnew(Log):
    mode = "w"


class Rewrites(Log):
    def handle(self, event):
        if isinstance(event, events.EpochFinished):
            event.record.recall["recall_mean"] = 100.0


class WritesElsewhere(Log):
    def __init__(self, case, run_id, folder):
        super().__init__(case, run_id, folder)
        (folder.parent / "latest.txt").write_text(run_id)


class WritesJson(Log):
    name = "log.json"
