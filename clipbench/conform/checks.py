"""A check of one promise that a plugin makes, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from clipbench.errors import ClipbenchError, NotReadyError

if TYPE_CHECKING:
    from clipbench.conform.subject import Subject

Status = Literal["pass", "fail", "left out", "not ready"]


class BrokenPromiseError(Exception):
    """The plugin does not do what it promises; the text says what it did."""


class LeftOutError(Exception):
    """The check does not apply here; the text says why."""


@dataclass(frozen=True)
class Check:
    """One promise: ``promise`` is its sentence in docs/plugins.md.

    ``test`` returns what it measured, or None; it raises BrokenPromiseError, LeftOutError, or whatever the plugin does.
    """

    name: str
    promise: str
    test: Callable[[Subject], str | None]


@dataclass(frozen=True)
class Outcome:
    """What a check came to: ``detail`` is the reason, or what was measured; it may be empty."""

    check: str
    promise: str
    status: Status
    detail: str = ""


class Checks(Mapping[str, Check]):
    """The checks of one kind of plugin, by name, in the order in which they are made."""

    def __init__(self, *checks: Check) -> None:
        self._checks = {check.name: check for check in checks}

    def add(self, name: str, promise: str) -> Callable[[Callable[[Subject], str | None]], Any]:
        """Return a decorator that adds a function as the check ``name``."""

        def add(test: Callable[[Subject], str | None]) -> Callable[[Subject], str | None]:
            self._checks[name] = Check(name, promise, test)
            return test

        return add

    def __getitem__(self, name: str) -> Check:
        return self._checks[name]

    def __iter__(self) -> Any:  # noqa: ANN401
        return iter(self._checks)

    def __len__(self) -> int:
        return len(self._checks)


def make_check(check: Check, subject: Subject) -> Outcome:
    """Return what ``check`` comes to; whatever the plugin raises is a promise broken."""
    try:
        status, detail = "pass", check.test(subject) or ""
    except BrokenPromiseError as error:
        status, detail = "fail", str(error)
    except LeftOutError as error:
        status, detail = "left out", str(error)
    except NotReadyError as error:
        status, detail = "not ready", str(error)
    except (Exception, SystemExit) as error:
        status, detail = "fail", f"it raised {type(error).__name__}: {error}"
    return Outcome(check.name, check.promise, status, detail)  # type: ignore[arg-type]  # mypy widens the literals


def expect(condition: object, reason: str) -> None:
    """Raise BrokenPromiseError with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise BrokenPromiseError(reason)


def expect_raises(kind: type[ClipbenchError], call: Callable[[], object], what: str) -> None:
    """Raise BrokenPromiseError unless ``call`` raises ``kind``."""
    try:
        call()
    except kind:
        return
    except Exception as error:
        raise BrokenPromiseError(f"{what} raised {type(error).__name__}: {error}; expected {kind.__name__}") from error
    raise BrokenPromiseError(f"{what} raised nothing; expected {kind.__name__}")


def leave_out(reason: str) -> NoReturn:
    """Raise LeftOutError."""
    raise LeftOutError(reason)
