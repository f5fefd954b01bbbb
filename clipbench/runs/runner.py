"""Cases in order, each in processes of its own; results written as they end."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clipbench.api import Engine, Missing
from clipbench.api.registry import Registry, load_object
from clipbench.errors import CaseFailedError, ExitCode, NotReadyError, StoppedError, UsageError
from clipbench.files.lock import locked
from clipbench.results.events import Event
from clipbench.results.result import Result, build_result, write_result
from clipbench.runs.devices import no_more_threads_than_cores
from clipbench.runs.folder import WORK, RunFolder, new_run_folder, unfinished
from clipbench.runs.launch import Launch, outer_launch
from clipbench.runs.observers import Observers, check_observers
from clipbench.runs.outcome import verdict_of_run
from clipbench.runs.process import Interrupts, follow, tail
from clipbench.runs.rank import Job
from clipbench.runs.suite_progress import Session
from clipbench.suites.loading import Case, Suite
from clipbench.suites.plan import Plan, make_plan

Checks = tuple[tuple[str, str], ...]  # (engine, device) names


class Progress(Protocol):
    """What shows people how a run goes."""

    def case_started(self, case: Case, run_id: str) -> None: ...

    def event(self, event: Event) -> None: ...

    def notice(self, text: str) -> None:
        """Something that the user should know now."""

    def case_finished(self, result: Result, path: Path) -> None: ...

    def close(self) -> None:
        """The run is over, one way or another: leave the terminal as it was."""


@dataclass(frozen=True)
class Outcome:
    """One case's result, the file it was written to, and the folder that the run has left behind, if any."""

    result: Result
    path: Path
    folder: Path | None


def run_suite(suite: Suite, registry: Registry, out: Path, progress: Progress, restart: bool = False) -> list[Outcome]:
    """Run every case of ``suite``; write each result under ``out`` as its case ends.

    Everything missing for any case is found before the first starts, and is one NotReadyError. A case that was begun
    and not finished goes on, unless ``restart``. Ctrl-C and SIGTERM end the running case in order, write it as
    interrupted, and raise StoppedError.
    """
    plans = [make_plan(case, registry) for case in suite.cases]
    checks = _devices_of(suite)
    missing = check_observers(registry, suite)
    _make_writable(out)
    # Devices are checked by the first case's worker, which has to import the framework anyway.
    if missing or any(plan.missing for plan in plans):
        _refuse_missing(plans, missing, checks)
    for warning in dict.fromkeys(warning for plan in plans for warning in plan.warnings):
        progress.notice(f"warning: {warning}")
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        stack.callback(progress.close)
        stack.enter_context(locked(out / WORK))
        session = stack.enter_context(Session.open(out / WORK, suite, restart))
        for plan in plans:
            done = session.done(plan.case)
            if done is not None:
                progress.notice(f"case {plan.case.name} was completed before the interruption: {done[1]}")
                outcomes.append(Outcome(*done, folder=None))
                continue
            runner = CaseRunner(plan, registry, out, progress, restart)
            outcomes.append(runner.run(checks if not outcomes else ()))
            session.finished(plan.case, outcomes[-1].result, outcomes[-1].path)
    return outcomes


def run_rank(suite: Suite, registry: Registry, launch: Launch) -> int:
    """Take part in a suite as a rank other than the first, which alone writes and shows; the exit code."""
    for case in suite.cases:
        with tempfile.TemporaryDirectory(prefix="clipbench-") as name:
            folder = Path(name)
            job = Job(folder / "events.jsonl", os.getpid(), ((case.engine, case.device),), case, folder)
            events: list[Event] = []
            interrupts = Interrupts(asked=(folder / "stop").touch)
            variables = launch.variables
            log = folder / "worker.log"
            code = follow(job, folder / "job.json", _alone(), log, events.append, interrupts, variables)
            if interrupts.received:
                return 128 + interrupts.received[0]
            if code:
                said = [event["message"] for event in events if event["event"] == "error"]
                lacking = [Missing(**item) for event in events for item in event.get("missing", ())]
                what = said[0] if said else list_missing(lacking) if lacking else tail(log)
                print(f"clipbench: rank {launch.world.rank}: {what}", file=sys.stderr)
                return code if code > 0 else ExitCode.CASE_FAILED
    return ExitCode.PASS


def check_suite(suite: Suite, registry: Registry) -> None:
    """What ``run --dry-run`` does: find everything missing, devices included; start and write nothing."""
    plans = [make_plan(case, registry) for case in suite.cases]
    _refuse_missing(plans, check_observers(registry, suite), _devices_of(suite))


def _devices_of(suite: Suite) -> Checks:
    return tuple(dict.fromkeys((case.engine, case.device) for case in suite.cases))


def _refuse_missing(plans: Sequence[Plan], further: Sequence[Missing], checks: Checks) -> None:
    """One NotReadyError for everything that any case lacks, devices included."""
    missing = [item for plan in plans for item in plan.missing] + list(further) + _check_devices(checks)
    if missing:
        raise NotReadyError(list_missing(list(dict.fromkeys(missing))))


def list_missing(missing: Sequence[Missing]) -> str:
    """One message that lists every missing piece, where it was looked for and where it comes from."""
    lines = [f"this machine is not ready; {len(missing)} thing{'s' if len(missing) > 1 else ''} missing:"]
    # Things that come from one place are listed together, and the place is named once.
    for source in dict.fromkeys(item.source for item in missing):
        for item in missing:
            if item.source == source:
                lines += [f"- {item.what}", f"    looked in: {item.looked_in}"]
        lines.append(f"  {source}")
    return "\n".join(lines)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 when every case completed; the cases' own code when all that failed agree on it; else 4."""
    codes = {outcome.result["error"]["exit_code"] for outcome in outcomes if outcome.result["error"]}
    if not codes:
        return ExitCode.PASS
    return codes.pop() if len(codes) == 1 else ExitCode.CASE_FAILED


# --- one case -----------------------------------------------------------------------------------------------------


@dataclass
class CaseRunner:
    """One case, from an empty folder or an unfinished run to a result on disk."""

    plan: Plan
    registry: Registry
    out: Path
    progress: Progress
    restart: bool

    def run(self, checks: Checks) -> Outcome:
        case = self.plan.case
        launch = outer_launch()
        folder = self._open().begin_attempt()
        job = Job(
            events=folder.events,
            parent=os.getpid(),
            checks=checks or ((case.engine, case.device),),
            case=case,
            folder=folder.path,
            checkpoints=folder.checkpoints,
            started=folder.run["updated"],
        )
        interrupts = Interrupts(asked=lambda: self._stop(folder))
        variables = {**(launch.variables if launch else no_more_threads_than_cores(case.ranks)), **folder.tuning()}
        launcher = _alone() if launch else _launcher(self.registry, case)
        events: list[Event] = []
        self.progress.case_started(case, folder.run_id)
        with Observers.open(self.registry, case, folder.run_id, self.out / folder.run_id) as observers:
            self._call("clipbench_case_started", run_id=folder.run_id, folder=self.out / folder.run_id)

            def receive(event: Event) -> None:
                events.append(event)
                self._pass_on(event, observers)

            code = follow(job, folder.path / "job.json", launcher, folder.log, receive, interrupts, variables)
            _raise_refusals(events, folder)
            status, error = verdict_of_run(events, code, interrupts.received, folder.log)
            result = build_result(case, folder.run_id, folder.started, events, status, error, self.plan.warnings)
            path = write_result(self.out, result)
            observers.finished(result)
        folder.mark(status)
        if status == "completed":
            folder.complete(case.checkpoint.keep)
        self.progress.case_finished(result, path)
        self._call("clipbench_case_finished", result=result)
        if status == "interrupted":
            raise StoppedError(_farewell(path, folder), ExitCode(result["error"]["exit_code"]))
        return Outcome(result, path, folder.path if folder.path.exists() else None)

    def _open(self) -> RunFolder:
        """The folder of the unfinished run to go on with, or a new one."""
        found = unfinished(self.out, self.plan.case)
        if found is not None and self.restart:
            self.progress.notice(f"the unfinished run is kept as {found.set_aside()}")
            found = None
        if found is None:
            return new_run_folder(self.out, self.plan.case)
        self.progress.notice(f"going on with the unfinished run {found.run_id}, begun {found.started}")
        return found

    def _stop(self, folder: RunFolder) -> None:
        folder.stop.touch()
        self.progress.notice("stopping after this step, then saving; once more stops at once")

    def _pass_on(self, event: Event, observers: Observers) -> None:
        self.progress.event(event)
        if event["event"] == "warning":
            self.progress.notice(f"warning: {event['text']}")
        if event["event"] == "step":
            self._call("clipbench_step_finished", event=event)
            observers.step(event)
        elif event["event"] == "epoch":
            self._call("clipbench_epoch_finished", record=event["record"])
            observers.epoch(event["record"])

    def _call(self, hook: str, **values: Any) -> None:  # noqa: ANN401
        self.registry.call(hook, case=self.plan.case, **values)


def _raise_refusals(events: Sequence[Mapping[str, Any]], folder: RunFolder) -> None:
    """A case that was refused before it started is no result, only an error for the user."""
    missing = [Missing(**item) for event in events if event["event"] == "checked" for item in event["missing"]]
    reasons = [reason for event in events if event["event"] == "refused" for reason in event["reasons"]]
    if missing:
        if not folder.has_checkpoint():
            folder.complete("none")
        raise NotReadyError(list_missing(missing))
    if reasons:
        folder.mark("interrupted")
        listed = "".join(f"\n- {reason}" for reason in reasons)
        raise UsageError(
            f"{folder.path}: the unfinished run of this case cannot go on, for it was begun otherwise:{listed}"
            "\nrun it as it was begun, or begin anew with --restart, which keeps this one under another name"
        )


def _farewell(path: Path, folder: RunFolder) -> str:
    lines = [f"interrupted; the result so far: {path}"]
    if folder.has_checkpoint():
        lines += [f"checkpoints: {folder.checkpoints}", "the same command goes on from there"]
    return "\n".join(lines)


# --- processes ----------------------------------------------------------------------------------------------------


def _alone() -> list[str]:
    return [sys.executable, "-m"]


def _launcher(registry: Registry, case: Case) -> list[str]:
    """The command that starts the case's ranks, up to the module to run."""
    if case.ranks == 1:
        return _alone()
    engine: Engine = load_object(registry.engines.get(case.engine, "engine").load)()
    return engine.launcher(case.ranks)


def _check_devices(checks: Checks) -> list[Missing]:
    """What is missing among engines and devices, found in a process of its own: it imports frameworks."""
    events: list[Event] = []
    with tempfile.TemporaryDirectory(prefix="clipbench-") as name:
        folder = Path(name)
        job, log = Job(folder / "events.jsonl", os.getpid(), checks, None), folder / "worker.log"
        interrupts = Interrupts(asked=lambda: None)
        follow(job, folder / "job.json", _alone(), log, events.append, interrupts, {}, patience=1)
        if interrupts.received:
            raise KeyboardInterrupt
        for event in events:
            if event["event"] == "checked":
                return [Missing(**item) for item in event["missing"]]
        reported = next((event["message"] for event in events if event["event"] == "error"), None)
        raise CaseFailedError(f"the devices could not be checked: {reported or tail(log)}")


def _make_writable(out: Path) -> None:
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotReadyError(f"--out {out}: cannot be written to ({error.strerror}); choose another folder") from None
    if not os.access(out, os.W_OK):
        raise NotReadyError(f"--out {out}: cannot be written to (no permission); choose another folder")
