"""Which cases of a suite an interrupted command has completed, so that the next one does not repeat them."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api import Case, Result
from clipbench.api.plain import value_at
from clipbench.errors import InvalidFileError, StoppedError
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.environment import source_version
from clipbench.results.result import read_result
from clipbench.suites.loading import Suite


class SuiteProgress:
    """The cases that one command over one suite has completed, in a file until the command has ended.

    ``invocation`` is the id of that command, in each of its results.

    A command that ends, whatever its verdict, removes the file: the next one runs every case again. One that was
    interrupted or killed leaves it for the next that asks for the very same cases, unless that is to ``restart``.
    """

    def __init__(self, folder: Path, suite: Suite, restart: bool) -> None:
        self._path = folder / f"session-{suite.name}.json"
        code = f"{__version__} {source_version()[0]}"
        self._cases = {case.name: f"{case.sha256()} {code}" for case in suite.cases}
        earlier: Any = None
        with suppress(JsonError):
            earlier = read_json(self._path)
        is_same = not restart and value_at(earlier, "cases") == self._cases
        self._completed: dict[str, str] = dict(earlier["done"]) if is_same else {}
        # What is left of an interrupted command is of the same call.
        before = value_at(earlier, "invocation") if is_same else None
        self.invocation = before if isinstance(before, str) else secrets.token_hex(8)

    def __enter__(self) -> "SuiteProgress":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, (StoppedError, KeyboardInterrupt)):
            self._path.unlink(missing_ok=True)

    def result_of(self, case: Case) -> tuple[Result, Path] | None:
        """Return the result of a case that was completed before, where it is still there and whole."""
        path = Path(self._completed.get(case.name, ""))
        if case.name in self._completed and path.is_file():
            with suppress(InvalidFileError):
                return read_result(path), path
        return None

    def add(self, case: Case, result: Result, path: Path) -> None:
        """Note that ``case`` has ended with ``result``, written to ``path``."""
        if result.completed:
            self._completed[case.name] = str(path.absolute())
            # A suite of one case has nothing to skip.
            if len(self._cases) > 1:
                with suppress(OSError):
                    write_json(
                        self._path, {"cases": self._cases, "done": self._completed, "invocation": self.invocation}
                    )
