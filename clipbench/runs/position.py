"""Where a run is, as its events tell: what would be lost if it were stopped now."""

from dataclasses import dataclass, replace

from clipbench.api import Case, events


@dataclass(frozen=True)
class Position:
    """``steps`` were trained and ``saved_steps`` of them saved; the rest as in StopRequested."""

    steps: int = 0
    saved_steps: int = 0
    stage: events.Stage | None = None
    step_seconds: float | None = None
    save_seconds: float | None = None

    def after(self, event: events.Event) -> "Position":
        """Return where the run is once ``event`` has happened."""
        match event:
            case events.Progress(stage=stage):
                # After a checkpoint the next step is taken.
                return replace(self, stage=None if stage == "saving" else stage)
            case events.TrainingStarted(steps_done=steps):
                return replace(self, steps=steps, saved_steps=steps)
            case events.StepsUnderWay(steps_done=steps, step_seconds=seconds):
                return replace(self, steps=steps, stage=None, step_seconds=seconds)
            case events.StepsTrained(steps_done=steps):
                return replace(self, steps=steps, stage=None)
            case events.CheckpointSaved(steps=steps, seconds=seconds):
                return replace(self, saved_steps=steps, stage=None, save_seconds=seconds)
        return self

    def stop(self, case: Case, at_once: bool) -> events.StopRequested:
        """Return the request to stop here; several ranks stop together, at the end of a window at the latest."""
        left = 1 if case.world_size == 1 else case.timing.window_steps
        steps_left = left if self.stage in (None, "first step") else 0
        figures = (self.stage, self.steps, self.saved_steps, steps_left, self.step_seconds, self.save_seconds)
        return events.StopRequested(at_once, *figures)
