"""Which cases of a suite an interrupted command had completed, so that the next one does not repeat them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from clipbench import __version__
from clipbench.errors import InvalidFileError, StoppedError
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.environment import source_version
from clipbench.results.result import Result, read_result
from clipbench.suites.loading import Case, Suite


class Session:
    """One command over one suite, on disk as long as it has not come to its end.

    A command that ends, whatever its verdict, ends its session: what it completed is run again by the next. One that
    was interrupted or killed leaves it for the next that asks for the very same cases.
    """

    def __init__(self, path: Path, cases: dict[str, str], done: dict[str, str]) -> None:
        self._path, self._cases, self._done = path, cases, done

    @classmethod
    def open(cls, folder: Path, suite: Suite, restart: bool) -> Session:
        path = folder / f"session-{suite.name}.json"
        code = f"{__version__} {source_version()[0]}"
        cases = {case.name: f"{case.sha256()} {code}" for case in suite.cases}
        earlier: Any = None
        with suppress(JsonError):
            earlier = read_json(path)
        same = not restart and isinstance(earlier, dict) and earlier.get("cases") == cases
        return cls(path, cases, dict(earlier["done"]) if same else {})

    def done(self, case: Case) -> tuple[Result, Path] | None:
        """The result of a case that was completed before the interruption, where it is still there and whole."""
        path = Path(self._done.get(case.name, ""))
        if case.name in self._done and path.is_file():
            with suppress(InvalidFileError):
                return read_result(path), path
        return None

    def finished(self, case: Case, result: Result, path: Path) -> None:
        if result["status"] == "completed":
            self._done[case.name] = str(path.absolute())
            self._write()

    def _write(self) -> None:
        # A suite of one case has nothing to skip.
        if len(self._cases) > 1:
            with suppress(OSError):
                write_json(self._path, {"cases": self._cases, "done": self._done})

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (StoppedError, KeyboardInterrupt)):
            self._path.unlink(missing_ok=True)
