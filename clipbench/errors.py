"""One family of errors, one exit code per cause."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitCode(IntEnum):
    """What the process says to the shell, one code per cause."""

    PASS = 0
    GATE_FAILED = 1
    USAGE = 2
    NOT_COMPARABLE = 3
    CASE_FAILED = 4
    NOT_READY = 5
    BUG = 70
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143


class ClipbenchError(Exception):
    """Base of every error that clipbench raises for a person to read.

    The message names the file, key and value at fault, what was expected and what to do next.
    ``exit_code`` is what the command line exits with.
    """

    exit_code: ExitCode = ExitCode.CASE_FAILED


class UsageError(ClipbenchError):
    """An argument, a suite or a plugin set is wrong (exit 2)."""

    exit_code = ExitCode.USAGE


class GateFailedError(ClipbenchError):
    """A result fails its gate, and what was asked for needs one that passes (exit 1)."""

    exit_code = ExitCode.GATE_FAILED


class InvalidFileError(ClipbenchError):
    """A result or a reference is unreadable or refused by its schema (exit 3)."""

    exit_code = ExitCode.NOT_COMPARABLE


class CaseFailedError(ClipbenchError):
    """A case ended without a usable result (exit 4).

    ``details`` go into the result as they are; ``checkpoint`` is the folder of the last good one, if any.
    """

    exit_code = ExitCode.CASE_FAILED

    def __init__(self, message: str, details: Mapping[str, Any] | None = None, checkpoint: Path | None = None) -> None:
        super().__init__(message)
        self.details, self.checkpoint = dict(details or {}), checkpoint

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by their args alone; loader processes send them.
        return type(self), (*self.args, self.details, self.checkpoint)


class PluginError(ClipbenchError):
    """A plugin raised what it may not, or is not what its protocol says (exit 4)."""


class StoppedError(ClipbenchError):
    """A run was stopped by a person or the system (exit 130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotReadyError(ClipbenchError):
    """The machine lacks something a case needs: device, data, vocabulary or weights (exit 5)."""

    exit_code = ExitCode.NOT_READY


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like ``name``, or None where none is."""
    import difflib  # slow to import, and needed only where something is wrong

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'NEAREST'?``, or ``known: ...`` where no known name is near."""
    names = sorted(map(str, known))
    near = nearest(str(name), names)
    return f"did you mean '{near}'?" if near else f"known: {', '.join(names) or 'none'}"
