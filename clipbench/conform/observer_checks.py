"""The promises of an Observer, given the events of a run that nobody has run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clipbench.api import Fingerprint, Observer, events
from clipbench.api import result as results
from clipbench.api.config import NumericsConfig
from clipbench.api.registry import load_object
from clipbench.conform.checks import BrokenPromiseError, Checks, expect, leave_out
from clipbench.conform.spec_checks import LIGHT_IMPORT, SPEC
from clipbench.conform.subject import Subject
from clipbench.results.measures.metrics import RECALL_NAMES
from clipbench.results.result import build_result

OBSERVER = Checks(SPEC, LIGHT_IMPORT)
RUN_ID = "quickstart-20260101T000000Z-0000"
STEPS = 80


class EventOfTomorrow(events.Event):
    """A kind of event that no observer knows."""


@OBSERVER.add("events", "`handle` takes every event of a run from its start to its end, and `close` ends it.")
def _events(subject: Subject) -> str:
    run = _completed(subject)
    _observe(subject, "events", run)
    return f"{len(run)} events"


@OBSERVER.add("failure", "`handle` takes the events of a run that fails.")
def _failure(subject: Subject) -> None:
    _observe(subject, "failure", _failed(subject))


@OBSERVER.add("unknown-event", "An event of a kind that the observer does not know is ignored.")
def _unknown_event(subject: Subject) -> None:
    _observe(subject, "unknown", [EventOfTomorrow()])


@OBSERVER.add("close", "`close` may come before any event.")
def _close(subject: Subject) -> None:
    _observe(subject, "close", [])


@OBSERVER.add("resume", "A resumed run gives the observer the same folder again, and nothing in it is lost.")
def _resume(subject: Subject) -> None:
    _observe_whole_run(subject, "resume")
    before = {path: path.stat().st_size for path in _files(subject.scratch / "resume" / RUN_ID)}
    _observe(subject, "resume", _beginning(subject))
    lost = [path.name for path, size in before.items() if not path.exists() or path.stat().st_size < size]
    expect(not lost, f"{', '.join(lost)} is shorter after the resumed run than before it")


@OBSERVER.add("read-only", "Events are for reading: the observer changes none of them.")
def _read_only(subject: Subject) -> None:
    before = _completed(subject)
    run = _observe_whole_run(subject, "read-only")
    changed = [type(one).__name__ for one, other in zip(run, before, strict=True) if one != other]
    expect(not changed, f"the observer has changed {', '.join(changed)}")


@OBSERVER.add("files", "What the observer writes lies in its folder, and no file there is called `*.json`.")
def _file_names(subject: Subject) -> str:
    top = subject.scratch / "files"
    _observe_whole_run(subject, "files")
    written = _files(top)
    outside = [str(path.relative_to(top)) for path in written if RUN_ID not in path.parts]
    expect(not outside, f"the observer wrote {', '.join(outside)} outside of the run's folder")
    called = [path.name for path in written if path.suffix.lower() == ".json"]
    expect(not called, f"the observer wrote {', '.join(called)}, which looks like a result")
    return ", ".join(path.name for path in written) or "no files"


def _observe(subject: Subject, name: str, run: Sequence[events.Event]) -> None:
    folder = subject.scratch / name / RUN_ID
    folder.parent.mkdir(exist_ok=True)
    observer: Observer = load_object(subject.spec.load)(subject.case, RUN_ID, folder)
    for event in run:
        try:
            observer.handle(event)
        except Exception as error:
            with suppress(Exception):
                observer.close()
            raise BrokenPromiseError(
                f"handle({type(event).__name__}) raised {type(error).__name__}: {error}"
            ) from error
    observer.close()


def _observe_whole_run(subject: Subject, name: str) -> list[events.Event]:
    """Have the observer take a whole run, and return its events; leave the check out if that alone raises."""
    run = _completed(subject)
    try:
        _observe(subject, name, run)
    except BrokenPromiseError as error:
        leave_out(str(error))
    return run


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- the events of a run --------------------------------------------------------------------------------------------


def _beginning(subject: Subject) -> list[events.Event]:
    split = Fingerprint("en_val", 500, 2500, "0" * 64)
    dataset = results.DatasetUsed("shapes", split, split)
    device = {"kind": "cpu", "name": "a processor", "precision": "float32", "world_size": 1}
    model = {"name": "clip-tiny", "parameter_count": 1}
    return [
        events.CaseStarted(subject.case, RUN_ID, subject.scratch),
        events.Notice("a sentence for the user"),
        events.DevicesChecked(),
        events.NumericsChecked(results.Numerics(NumericsConfig(8, 8, 0.01, 3, 1e-3), problem="not checked")),
        events.EnvironmentRead({"device": device, "packages": {}}),
        events.DeviceProbed(()),
        events.InputsRead(dataset, results.WeightsUsed("random", None), 0),
        events.LearnerBuilt(model, device, 2 * STEPS, STEPS),
        events.TrainingStarted((results.Attempt("2026-01-01T00:00:00.000Z", 0, 0),)),
    ]


def _completed(subject: Subject) -> list[events.Event]:
    """Return the events of two epochs: of the first, nothing was timed and the gradient was never finite."""
    run = _beginning(subject)
    for epoch in (1, 2):
        loss, speed = (None, None) if epoch == 1 else (1.5, 500.0)
        run += [
            events.Progress("first step"),
            events.StepsUnderWay(epoch, 1, (epoch - 1) * STEPS + 1, loss, 1e-3, None, speed, None, None),
            events.StepsTrained(epoch, STEPS, epoch * STEPS, loss, 1e-3, speed),
            events.EvaluationStarted(epoch),
            events.EpochFinished(_record(epoch, loss, speed)),
            events.CheckpointSaved(f"checkpoints/step-{epoch * STEPS}"),
        ]
    run += [
        events.Warned("something is odd"),
        events.QueriesRanked(results.QueryRanks(2, (0, 1), (0, 1), (0, 1))),
        events.TrainingFinished({"name": "clip-tiny", "parameter_count": 1}),
    ]
    return [*run, _finished(subject, run, "completed", None)]


def _failed(subject: Subject) -> list[events.Event]:
    error = results.CaseError("RuntimeError", "it broke", 4, rank=0)
    stop = events.StopRequested(False, None, 0, 0, 1)
    run = [
        *_beginning(subject),
        stop,
        events.ResumeRefused(("seed was 0 and is 1",)),
        events.RankFailed(error),
        events.RankKilled(0, "SIGKILL", 1),
        events.TrainingStopped(),
    ]
    return [*run, _finished(subject, run, "failed", error)]


def _finished(
    subject: Subject, log: Sequence[events.Event], status: results.Status, error: results.CaseError | None
) -> events.Event:
    started = "2026-01-01T00:00:00.000Z"
    result = replace(build_result(subject.case, RUN_ID, started, log, status, error), ended=started)
    return events.CaseFinished(result, subject.scratch / f"{RUN_ID}.json")


def _record(epoch: int, loss: float | None, speed: float | None) -> results.EpochRecord:
    return results.EpochRecord(
        epoch=epoch,
        steps=STEPS,
        train_loss=loss,
        val_loss=loss,
        learning_rate=1e-3,
        recall=dict.fromkeys(RECALL_NAMES, 50.0),
        throughput=speed,
        data_wait=None,
        step_seconds=None,
        windows=(results.Window(10, 1.0, 0.0),) if speed else (),
        peak_memory_bytes=None,
        host_memory_bytes=None,
        seconds=results.EpochSeconds(10.0, 1.0),
        reasons={"throughput": "no step was taken after the warm-up"},
    )
