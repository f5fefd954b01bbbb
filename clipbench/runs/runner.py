"""Cases in order, each in processes of its own; results written as they end."""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api import Case, Missing, Observer, Result, events
from clipbench.api.registry import Registry
from clipbench.api.text import printable
from clipbench.errors import CaseFailedError, ExitCode, NotReadyError, StoppedError, UsageError
from clipbench.files.lock import locked
from clipbench.results.references import unknown_reference
from clipbench.results.result import build_result, write_result
from clipbench.runs.devices.choosing import DeviceChoices, choose_devices
from clipbench.runs.devices.opening import thread_variables
from clipbench.runs.fitting import weights_checks
from clipbench.runs.folder import WORK, RunFolder, new_run_folder, unfinished
from clipbench.runs.job import LAUNCHER_REPORT, RETRIEVED, Checks, Job
from clipbench.runs.launch import Launch, outer_launch
from clipbench.runs.numerics_first import check_numerics_first
from clipbench.runs.observers import Observers, check_observers
from clipbench.runs.outcome import verdict_of_run
from clipbench.runs.process import SINGLE_PROCESS, ProcessEnd, run_job
from clipbench.runs.retrieved import place_retrieved
from clipbench.runs.suite_progress import SuiteProgress
from clipbench.suites.fetch_command import fetch_command
from clipbench.suites.loading import Suite
from clipbench.suites.plan import Plan, make_plan


@dataclass(frozen=True)
class Outcome:
    """One case's result, the file it was written to, and the folder that the run has left behind, if any."""

    result: Result
    path: Path
    folder: Path | None


def run_suite(suite: Suite, registry: Registry, out: Path, display: Observer, restart: bool = False) -> list[Outcome]:
    """Run every case of ``suite``; write each result under ``out`` as its case ends.

    Everything missing for any case is found before the first starts, and is one NotReadyError. An unfinished run of a
    case is resumed, unless ``restart``. Ctrl-C and SIGTERM stop the running case after a step, have its result written
    as interrupted, and raise StoppedError. ``display`` gets every event, and is closed at the end.
    """
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        observers = Observers(display)
        stack.callback(observers.close)
        observers.handle(
            events.Progress("data", " and ".join(dict.fromkeys(case.dataset.name for case in suite.cases)))
        )
        plans = [make_plan(case, registry) for case in suite.cases]
        missing = check_observers(registry, suite)
        _check_writable(out)
        choices = choose_devices(registry, suite.cases)
        checks = Checks(choices.checks(), weights_checks(plans))
        # Devices are checked by the first case's process, which has to import the framework anyway.
        if missing or choices.missing or any(plan.missing for plan in plans):
            _refuse_missing(plans, missing, choices)
        plans = [replace(plan, warnings=(*plan.warnings, *choices.of(plan.case).warnings())) for plan in plans]
        for warning in dict.fromkeys([*(text for plan in plans for text in plan.warnings), *unknown_references(plans)]):
            observers.handle(events.Notice(f"warning: {warning}"))
        stack.enter_context(locked(out / WORK))
        progress = stack.enter_context(SuiteProgress(out / WORK, suite, restart))
        for plan in plans:
            if completed := progress.result_of(plan.case):
                text = f"case {plan.case.name} was completed before the interruption: {completed[1]}"
                observers.handle(events.Notice(text))
                outcomes.append(Outcome(*completed, folder=None))
                continue
            folder = _open_folder(out, plan.case, suite.task, restart, observers)
            checks_due = None if outcomes else checks
            outcomes.append(_run_case(plan, registry, folder, out, observers, choices, checks_due, progress.invocation))
            progress.add(plan.case, outcomes[-1].result, outcomes[-1].path)
    return outcomes


def run_rank(suite: Suite, registry: Registry, launch: Launch) -> int:
    """Take part in a suite as a rank other than the first, which alone writes and shows; return the exit code."""
    choices = choose_devices(registry, suite.cases)
    if choices.missing:
        raise NotReadyError(list_missing(choices.missing))
    for case in suite.cases:
        device = choices.of(case).device
        end = _run_in_temporary_folder(Checks(choices.checks([case])), case, device, launch)
        if end.signals:
            return 128 + end.signals[0]
        if end.returncode:
            reason = _failure_message(end) or (
                list_missing(missing) if (missing := _missing(end, choices)) else end.log
            )
            print(printable(f"clipbench: rank {launch.world.rank}: {reason}", lines=True), file=sys.stderr)
            return end.returncode if end.returncode > 0 else ExitCode.CASE_FAILED
    return ExitCode.PASS


def check_suite(suite: Suite, registry: Registry) -> list[Plan]:
    """Return the plans of a suite that can run here; start and write nothing (``run --dry-run``).

    Raises NotReadyError for everything missing, devices and weights that fit included.
    """
    plans = [make_plan(case, registry) for case in suite.cases]
    _refuse_missing(plans, check_observers(registry, suite), choose_devices(registry, suite.cases))
    return plans


def unknown_references(plans: Sequence[Plan]) -> list[str]:
    """Return a warning for each reference that cases name and that does not ship."""
    names = dict.fromkeys(plan.case.reference for plan in plans)
    return [warning for warning in map(unknown_reference, names) if warning]


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 when every case completed; the cases' own code when all that failed agree on it; else 4."""
    codes = {outcome.result.error.exit_code for outcome in outcomes if outcome.result.error}
    if not codes:
        return ExitCode.PASS
    return codes.pop() if len(codes) == 1 else ExitCode.CASE_FAILED


# --- one case -------------------------------------------------------------------------------------------------------


def _open_folder(out: Path, case: Case, task: str | None, restart: bool, observers: Observers) -> RunFolder:
    """Return the folder of the unfinished run to resume, or a new one."""
    found, problems = unfinished(out, case, task)
    for problem in problems:
        observers.handle(events.Notice(f"warning: {problem}"))
    if found is not None and restart:
        observers.handle(events.Notice(f"the unfinished run is kept as {found.set_aside()}"))
        found = None
    if found is None:
        return new_run_folder(out, case, task)
    observers.handle(events.Notice(f"resuming run {found.run_id}, started {found.started}"))
    return found


def _run_case(
    plan: Plan,
    registry: Registry,
    folder: RunFolder,
    out: Path,
    observers: Observers,
    choices: DeviceChoices,
    checks: Checks | None,
    invocation: str,
) -> Outcome:
    """Run one case to a result on disk."""
    case, run_id, launch = plan.case, folder.run_id, outer_launch()
    folder = folder.begin_attempt()
    checks = checks or Checks(choices.checks([case]))
    # Its own weights are read in a moment anyway.
    checks = replace(checks, weights=tuple(check for check in checks.weights if check not in weights_checks([plan])))
    started, tuning = folder.updated, folder.tuning()
    job = Job(folder.path, os.getpid(), checks, case, folder.checkpoints, started, tuning, choices.of(case).device)
    launcher = SINGLE_PROCESS if launch or case.world_size == 1 else _launcher(registry, case, folder)
    variables = launch.variables if launch else thread_variables(case.world_size)
    with observers.of_case(registry, case, run_id, out / run_id):
        observers.handle(events.CaseStarted(case, run_id, out / run_id))
        checked = check_numerics_first(job, launch, observers.handle)
        end = checked.end or run_job(job, launcher, variables, observers.handle)
        _raise_refusals(end, folder, choices)
        status, error = verdict_of_run(end)
        log = [*checked.reported, *end.events]
        result = build_result(case, run_id, folder.started, log, status, error, plan.warnings, invocation, folder.task)
        result = place_retrieved(result, folder.path / RETRIEVED, out)
        path = write_result(out, result)
        observers.handle(events.CaseFinished(result, path))
    folder = folder.mark(status)
    if result.completed:
        folder.complete(case.checkpoint.keep)
    if status == "interrupted" and error is not None:
        text = f"interrupted; the result so far: {path}"
        if folder.has_checkpoint():
            text += f"\ncheckpoints: {folder.checkpoints}\nthe same command resumes the run from there"
        raise StoppedError(text, ExitCode(error.exit_code))
    return Outcome(result, path, folder.path if folder.path.exists() else None)


def _launcher(registry: Registry, case: Case, folder: RunFolder) -> Sequence[str]:
    return registry.open_engine(case.engine).launcher(case.world_size, folder.path / LAUNCHER_REPORT)


def _raise_refusals(end: ProcessEnd, folder: RunFolder, choices: DeviceChoices) -> None:
    """Raise for a case that was refused before it started: it has no result, only an error for the user."""
    if missing := _missing(end, choices):
        if not folder.has_checkpoint():
            folder.complete("none")
        raise NotReadyError(list_missing(missing))
    if refusals := end.of(events.ResumeRefused):
        folder.mark("interrupted")
        listed = "".join(f"\n- {reason}" for reason in refusals[0].reasons)
        raise UsageError(
            f"{folder.path}: the unfinished run of this case cannot be resumed, because it was started otherwise:"
            f"{listed}\nrun it as it was started, or start anew with --restart, which keeps this one under another name"
        )


# --- what is missing ------------------------------------------------------------------------------------------------


def check_weights(plans: Sequence[Plan]) -> list[Missing]:
    """Return the weights that do not fit their model, found in a process of its own."""
    weights = weights_checks(plans)
    return _missing(_look_for(Checks((), weights))) if weights else []


def _refuse_missing(plans: Sequence[Plan], further: Sequence[Missing], choices: DeviceChoices) -> None:
    """Raise one NotReadyError for everything that any case lacks, devices and weights that fit included."""
    end = _look_for(Checks(choices.checks(), weights_checks(plans)))
    missing = [item for plan in plans for item in plan.missing]
    missing += [*further, *choices.missing, *_missing(end, choices)]
    if missing:
        raise NotReadyError(list_missing(list(dict.fromkeys(missing)), fetch_command(plans)))


def list_missing(missing: Sequence[Missing], command: str = "") -> str:
    """Return one message that lists every missing item, where it was looked for and where it comes from.

    ``command`` gets those that can be fetched.
    """
    lines = [f"this machine is not ready; {len(missing)} thing{'s' if len(missing) > 1 else ''} missing:"]
    # Items that come from one source are listed together, and the source is named once.
    for source in dict.fromkeys(item.source for item in missing):
        for item in missing:
            if item.source == source:
                lines += [f"- {item.what}", f"    looked in: {item.looked_in}"]
        lines.append(f"  {source}")
    if command:
        lines.append(f"get {'them' if all(item.fetch for item in missing) else 'what can be fetched'} with: {command}")
    return "\n".join(lines)


def _look_for(checks: Checks) -> ProcessEnd:
    """Look for engines, devices and weights in a process of its own, because frameworks are slow to import."""
    end = _run_in_temporary_folder(checks, max_signals=1)
    if end.signals:
        raise KeyboardInterrupt
    if not end.of(events.DevicesChecked):
        raise CaseFailedError(f"devices and weights could not be checked: {_failure_message(end) or end.log}")
    return end


def _run_in_temporary_folder(
    checks: Checks, case: Case | None = None, device: str = "", launch: Launch | None = None, max_signals: int = 2
) -> ProcessEnd:
    with tempfile.TemporaryDirectory(prefix="clipbench-") as name:
        job = Job(Path(name), os.getpid(), checks, case, device=device)
        return run_job(job, variables=launch.variables if launch else {}, max_signals=max_signals)


def _missing(end: ProcessEnd, choices: DeviceChoices | None = None) -> list[Missing]:
    missing = [item for checked in end.of(events.DevicesChecked) for item in checked.missing]
    return missing if choices is None else list(map(choices.complete, missing))


def _failure_message(end: ProcessEnd) -> str | None:
    return next((failure.error.message for failure in end.of(events.RankFailed) if not failure.is_cause), None)


def _check_writable(out: Path) -> None:
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        reason = None if os.access(out, os.W_OK) else "no permission"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise NotReadyError(f"--out {out}: cannot be written to ({reason}); choose another folder")
