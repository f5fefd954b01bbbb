"""One family of errors, one exit code per cause."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to the shell, one code per cause."""

    PASS = 0
    GATE_FAILED = 1
    USAGE = 2
    NOT_COMPARABLE = 3
    CASE_FAILED = 4
    NOT_READY = 5
    INTERRUPTED = 130


class ClipbenchError(Exception):
    """Base of every error that clipbench raises for a person to read.

    The message names the file, key and value at fault, what was expected and what to do next.
    ``exit_code`` is what the command line exits with.
    """

    exit_code: ExitCode = ExitCode.CASE_FAILED


class UsageError(ClipbenchError):
    """An argument, a suite or a plugin set is wrong (exit 2)."""

    exit_code = ExitCode.USAGE


class InvalidFileError(ClipbenchError):
    """A result or a reference is unreadable or refused by its schema (exit 3)."""

    exit_code = ExitCode.NOT_COMPARABLE


class CaseFailedError(ClipbenchError):
    """A case ended without a usable result (exit 4)."""

    exit_code = ExitCode.CASE_FAILED


class NotReadyError(ClipbenchError):
    """The machine lacks something a case needs: device, data, vocabulary or weights (exit 5)."""

    exit_code = ExitCode.NOT_READY
