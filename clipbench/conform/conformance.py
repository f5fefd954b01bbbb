"""All checks of one plugin, made in a process of its own: one that crashes or hangs fails, the rest are made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clipbench.api.registry import Registry, load_registry
from clipbench.conform.checks import Check, Checks, Outcome, make_check
from clipbench.conform.subject import Subject
from clipbench.errors import ExitCode, UsageError

POLL_SECONDS = 0.05
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Request:
    """What is to be checked, as the command line has it.

    ``engine`` tells devices and models of one name apart. ``device`` is what an engine or a model is checked on;
    ``root``, ``splits`` and ``options`` are a dataset's.
    """

    kind: str
    name: str
    device: str = "auto"
    root: str = "data"
    splits: tuple[str, str] = ("en_train", "en_val")
    options: Mapping[str, Any] = field(default_factory=dict)
    engine: str | None = None

    def subject(self, registry: Registry, scratch: Path) -> Subject:
        """Return what is checked; raise UsageError if no plugin offers it."""
        root = Path(self.root).expanduser().absolute()
        chosen = self.device, root, self.splits, self.options, self.engine
        subject = Subject(self.kind, self.name, registry, scratch, *chosen)
        _ = subject.spec
        return subject


def checks_of(kind: str) -> Checks:
    """Return all checks of one kind of plugin; raise UsageError for a kind that there is not."""
    from clipbench.conform.dataset_checks import DATASET
    from clipbench.conform.device_checks import DEVICE
    from clipbench.conform.engine_checks import ENGINE
    from clipbench.conform.evaluation_checks import EVALUATION
    from clipbench.conform.model_checks import MODEL
    from clipbench.conform.observer_checks import OBSERVER

    kinds = {"device": DEVICE, "engine": ENGINE, "dataset": DATASET, "model": MODEL}
    kinds |= {"evaluation": EVALUATION, "observer": OBSERVER}
    if kind not in kinds:
        raise UsageError(f"{kind}: expected one of {', '.join(kinds)}")
    return kinds[kind]


def conform(request: Request, timeout: float = 120.0) -> Iterator[Outcome]:
    """Yield the outcome of each check as it is made; one that takes longer than ``timeout`` seconds fails.

    Where a device, a framework or data is not there, that is the last outcome.
    """
    checks = checks_of(request.kind)
    request.subject(load_registry(), Path())
    remaining = list(checks)
    with tempfile.TemporaryDirectory(prefix="clipbench-") as folder:
        while remaining:
            answers = Path(folder) / f"answers-{len(remaining)}.jsonl"
            for outcome in _outcomes_of_process(request, tuple(remaining), answers, timeout):
                remaining.remove(outcome.check)
                yield outcome
                if outcome.status == "not ready":
                    return


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """Return what ``clipbench conform`` exits with."""
    statuses = {outcome.status for outcome in outcomes}
    if "fail" in statuses:
        return ExitCode.GATE_FAILED
    return ExitCode.NOT_READY if "not ready" in statuses else ExitCode.PASS


def _outcomes_of_process(request: Request, names: Sequence[str], answers: Path, timeout: float) -> Iterator[Outcome]:
    """Yield outcomes in the order of ``names``, the last of which may be that the process has ended or hung."""
    answers.touch()
    log = answers.with_suffix(".log")
    job = json.dumps({**asdict(request), "checks": list(names)})
    with log.open("wb") as output:
        command = [sys.executable, "-m", "clipbench.conform.process", str(answers), job]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        count, since = 0, time.monotonic()
        while count < len(names):
            ended = process.poll()  # before reading: what it wrote before it ended is there
            lines = answers.read_text(encoding="utf-8").split("\n")[:-1][count:]
            for line in lines:
                yield Outcome(**json.loads(line))
                count, since = count + 1, time.monotonic()
            if lines:
                continue
            if ended is not None or time.monotonic() - since > timeout:
                yield _broken_off(checks_of(request.kind)[names[count]], ended, timeout, log)
                return
            time.sleep(POLL_SECONDS)
    finally:
        with suppress(ProcessLookupError):  # and whatever it has started
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)


def _broken_off(check: Check, code: int | None, timeout: float, log: Path) -> Outcome:
    """Return the outcome of the check during which the process has ended with ``code``, or not answered."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code is None:
        reason = f"no answer within {timeout:.0f} s"
    elif code < 0:
        reason = f"the process was ended by {signal.Signals(-code).name}"
    else:
        reason = f"the process ended with exit code {code}"
    return Outcome(check.name, check.promise, "fail", ": ".join([reason, *lines[-1:]]))


# --- for pytest -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Promise:
    """One check of one plugin, for a test to call: raises AssertionError, or SkipTest where it does not apply."""

    check: Check
    request: Request

    def __str__(self) -> str:
        return self.check.name

    def __call__(self) -> None:
        from unittest import SkipTest

        with tempfile.TemporaryDirectory(prefix="clipbench-") as scratch:
            outcome = make_check(self.check, self.request.subject(load_registry(), Path(scratch)))
        if outcome.status in ("left out", "not ready"):
            raise SkipTest(outcome.detail)
        assert outcome.status == "pass", f"{outcome.detail}\npromised: {outcome.promise}"


def promises(kind: str, name: str, **where: Any) -> list[Callable[[], None]]:  # noqa: ANN401
    """Return a test for each promise of a plugin; ``where`` has the other fields of a Request."""
    request = Request(kind, name, **where)
    return [Promise(check, request) for check in checks_of(kind).values()]
