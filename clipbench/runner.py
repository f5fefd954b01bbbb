"""Cases in order, each in processes of its own; results written as they end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clipbench.api import Engine, Missing
from clipbench.errors import CaseFailedError, ExitCode, NotReadyError
from clipbench.events import Event, EventReader
from clipbench.plan import Plan, make_plan
from clipbench.plugins import Registry, load_object
from clipbench.result import Result, build_result, new_run_id, utc_now, write_result
from clipbench.suite import Case, Suite
from clipbench.worker import Job

POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0
LOG_LINES = 20

Checks = tuple[tuple[str, str], ...]  # (engine, device) names


class Progress(Protocol):
    """What shows people how a run goes."""

    def case_started(self, case: Case, run_id: str) -> None: ...

    def event(self, event: Event) -> None: ...

    def case_finished(self, result: Result, path: Path) -> None: ...

    def close(self) -> None:
        """The run is over, one way or another: leave the terminal as it was."""


@dataclass(frozen=True)
class Outcome:
    """One case's result and the file it was written to; of a case that did not complete, what its process printed."""

    result: Result
    path: Path
    log: Path | None


def run_suite(suite: Suite, registry: Registry, out: Path, progress: Progress) -> list[Outcome]:
    """Run every case of ``suite``; write each result under ``out`` as its case ends.

    Everything missing for any case is found before the first starts, and is one NotReadyError.
    Ctrl-C writes the running case as interrupted and raises KeyboardInterrupt.
    """
    plans = [make_plan(case, registry) for case in suite.cases]
    checks = _devices_of(suite)
    _check_writable(out)
    # Devices are checked by the first case's worker, which has to import the framework anyway.
    if any(plan.missing for plan in plans):
        _refuse_missing(plans, checks)
    outcomes: list[Outcome] = []
    try:
        for plan in plans:
            outcomes.append(_run_case(plan, registry, out, progress, checks if not outcomes else ()))
    finally:
        progress.close()
    return outcomes


def check_suite(suite: Suite, registry: Registry) -> None:
    """What ``run --dry-run`` does: find everything missing, devices included; start and write nothing."""
    _refuse_missing([make_plan(case, registry) for case in suite.cases], _devices_of(suite))


def _devices_of(suite: Suite) -> Checks:
    return tuple(dict.fromkeys((case.engine, case.device) for case in suite.cases))


def _refuse_missing(plans: Sequence[Plan], checks: Checks) -> None:
    """One NotReadyError for everything that any case lacks, devices included."""
    missing = [item for plan in plans for item in plan.missing] + _check_devices(checks)
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


def _run_case(plan: Plan, registry: Registry, out: Path, progress: Progress, checks: Checks) -> Outcome:
    case = plan.case
    run_id, started = new_run_id(case), utc_now()
    work = out / ".work" / run_id
    work.mkdir(parents=True)
    job = Job(work / "events.jsonl", os.getpid(), checks or ((case.engine, case.device),), case)
    events: list[Event] = []
    progress.case_started(case, run_id)
    registry.call("clipbench_case_started", case=case)
    interrupted = False
    try:
        returncode = _follow(
            job, work, _launcher(registry, case), lambda event: _receive(event, events, case, registry, progress)
        )
    except KeyboardInterrupt:
        interrupted, returncode = True, ExitCode.INTERRUPTED
    not_ready = [Missing(**item) for event in events if event["event"] == "checked" for item in event["missing"]]
    if not_ready and not interrupted:
        shutil.rmtree(work)
        raise NotReadyError(list_missing(not_ready))
    status, error = _verdict(events, returncode, interrupted, work / "worker.log")
    result = build_result(case, run_id, started, events, status, error)
    path = write_result(out, result)
    log = None if status == "completed" else work / "worker.log"
    if log is None:
        shutil.rmtree(work)
    progress.case_finished(result, path)
    registry.call("clipbench_case_finished", case=case, result=result)
    if interrupted:
        raise KeyboardInterrupt
    return Outcome(result, path, log)


def _receive(event: Event, events: list[Event], case: Case, registry: Registry, progress: Progress) -> None:
    events.append(event)
    progress.event(event)
    if event["event"] == "epoch":
        registry.call("clipbench_epoch_finished", case=case, record=event["record"])


def _verdict(
    events: Sequence[Event], returncode: int, interrupted: bool, log: Path
) -> tuple[str, Mapping[str, Any] | None]:
    """Status and error of a case whose process has ended."""
    if interrupted:
        message = "stopped from the keyboard or by a signal"
        return "interrupted", _error("Interrupted", message, ExitCode.INTERRUPTED, None)
    reported = [event for event in events if event["event"] == "error"]
    if reported:
        first = reported[0]
        return "failed", _error(first["type"], first["message"], first["exit_code"], first["traceback"])
    if returncode == 0 and any(event["event"] == "finished" for event in events):
        return "completed", None
    how = f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"exit code {returncode}"
    said = _tail(log)
    message = f"the case's process ended with {how} and no report"
    return "failed", _error("ProcessDied", message, ExitCode.CASE_FAILED, said)


def _error(kind: str, message: str, code: int, trace: str | None) -> dict[str, Any]:
    return {"type": kind, "message": message, "exit_code": int(code), "traceback": trace}


def _tail(log: Path) -> str | None:
    if not log.exists():
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:]) or None


# --- processes ----------------------------------------------------------------------------------------------------


def _launcher(registry: Registry, case: Case) -> list[str]:
    """The command that starts the case's ranks, up to the module to run."""
    if case.ranks == 1:
        return [sys.executable, "-m"]
    engine: Engine = load_object(registry.engines.get(case.engine, "engine").load)()
    return engine.launcher(case.ranks)


def _follow(job: Job, work: Path, launcher: list[str], receive: Callable[[Event], None]) -> int:
    """Run a worker to its end, handing on its events as they come; its exit code."""
    job_file = work / "job.json"
    job.write(job_file)
    reader = EventReader(job.events)
    with (work / "worker.log").open("wb") as log, _terminable():
        worker = subprocess.Popen(
            [*launcher, "clipbench.worker", str(job_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for this process alone, which then ends the worker in order.
            start_new_session=True,
        )
        try:
            while worker.poll() is None:
                _hand_on(reader, receive)
                time.sleep(POLL_SECONDS)
        finally:
            _end(worker)
            with suppress(KeyboardInterrupt):
                _hand_on(reader, receive)
    return worker.returncode


def _hand_on(reader: EventReader, receive: Callable[[Event], None]) -> None:
    for event in reader.new():
        receive(event)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and all it started: asked first, then made to."""
    for sent, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        if worker.poll() is not None:
            break
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, sent)
        with suppress(subprocess.TimeoutExpired):
            worker.wait(patience)
    # Loader processes outlive a worker that was killed.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, so that no worker is left behind."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_devices(checks: Checks) -> list[Missing]:
    """What is missing among engines and devices, found in a process of its own: it imports frameworks."""
    events: list[Event] = []
    with tempfile.TemporaryDirectory(prefix="clipbench-") as folder:
        work = Path(folder)
        _follow(Job(work / "events.jsonl", os.getpid(), checks, None), work, [sys.executable, "-m"], events.append)
        for event in events:
            if event["event"] == "checked":
                return [Missing(**item) for item in event["missing"]]
        reported = next((event["message"] for event in events if event["event"] == "error"), None)
        raise CaseFailedError(f"the devices could not be checked: {reported or _tail(work / 'worker.log')}")


def _check_writable(out: Path) -> None:
    try:
        (out / ".work").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotReadyError(f"--out {out}: cannot be written to ({error.strerror}); choose another folder") from None
    if not os.access(out, os.W_OK):
        raise NotReadyError(f"--out {out}: cannot be written to (no permission); choose another folder")
