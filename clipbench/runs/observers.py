"""The observers of a case: made with the first thing to tell, and kept from harming the run."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from clipbench.api import Missing, Observer, ObserverSpec
from clipbench.api.registry import Registry, load_object
from clipbench.suites.loading import Case, Suite


class Observers:
    """All observers of one case; one that raises is warned of once, told nothing more, and closed.

    They are made with the first thing to tell, so that a case that never starts leaves nothing behind.
    """

    def __init__(self, specs: Sequence[ObserverSpec], case: Case, run_id: str, folder: Path) -> None:
        self._waiting, self._live = list(specs), dict[str, Observer]()
        self._case, self._run_id, self._folder = case, run_id, folder

    @classmethod
    def open(cls, registry: Registry, case: Case, run_id: str, folder: Path) -> Observers:
        """Those that ``case`` names; each writes into ``folder``, which need not be there."""
        return cls([registry.observers.get(name, "observers") for name in case.observers], case, run_id, folder)

    def step(self, event: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.step(event))

    def epoch(self, record: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.epoch(record))

    def finished(self, result: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.finished(result))

    def close(self) -> None:
        """Close them all; may be called again, and is called on leaving a ``with``."""
        self._waiting.clear()
        while self._live:
            name, observer = self._live.popitem()
            try:
                observer.close()
            except Exception as error:
                _warn(name, error)

    def __enter__(self) -> Observers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, say: Callable[[Observer], None]) -> None:
        self._make()
        for name, observer in list(self._live.items()):
            try:
                say(observer)
            except Exception as error:
                _warn(name, error)
                del self._live[name]
                with suppress(Exception):
                    observer.close()

    def _make(self) -> None:
        while self._waiting:
            spec = self._waiting.pop(0)
            try:
                self._live[spec.name] = load_object(spec.load)(self._case, self._run_id, self._folder)
            except Exception as error:
                _warn(spec.name, error)


def add_observers(suite: Suite, names: Sequence[str]) -> Suite:
    """``suite`` with ``names`` added to the observers of every case."""
    cases = (replace(case, observers=tuple(dict.fromkeys((*case.observers, *names)))) for case in suite.cases)
    return replace(suite, cases=tuple(cases))


def check_observers(registry: Registry, suite: Suite) -> list[Missing]:
    """What the suite's observers lack on this machine; a name that no plugin offers is a UsageError."""
    names = dict.fromkeys(name for case in suite.cases for name in case.observers)
    missing = []
    for spec in [registry.observers.get(name, "observers") for name in names]:
        try:
            load_object(spec.load)
        except Exception as error:
            what = f"observer '{spec.name}' ({type(error).__name__}: {error})"
            origin = registry.observers.origin[spec.name]
            missing.append(Missing(what, sysconfig.get_path("purelib"), spec.install or f"install {origin} again"))
    return missing


def _warn(name: str, error: Exception) -> None:
    said = f"observer '{name}' raised {type(error).__name__}: {error}; it is told nothing more of this run"
    print(f"warning: {said}", file=sys.stderr)
