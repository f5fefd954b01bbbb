"""Observers: the one channel of a run's events; an observer that raises does not end the run."""

import copy
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from clipbench.api import Case, Missing, Observer, ObserverSpec, events
from clipbench.api.door import plugin_call
from clipbench.api.registry import Registry, load_object
from clipbench.api.text import printable, printable_data
from clipbench.errors import PluginError
from clipbench.suites.loading import Suite

DISPLAY = "the progress display"


class Observers:
    """Distributes events to all observers: the progress display, and those of the case that runs.

    One that raises is named in a warning, closed, and gets no further events.
    """

    def __init__(self, display: Observer | None = None) -> None:
        self._observers: dict[str, Observer] = {DISPLAY: display} if display else {}

    def handle(self, event: events.Event) -> None:
        """Pass a copy of ``event`` on to every observer: what one does to it changes nothing. The display's is text."""
        for name, observer in list(self._observers.items()):
            try:
                with plugin_call(name):
                    observer.handle(printable_data(event, lines=True) if name == DISPLAY else copy.deepcopy(event))
            except Exception as error:
                _warn(name, error)
                del self._observers[name]
                with suppress(Exception), plugin_call(name):
                    observer.close()

    @contextmanager
    def of_case(self, registry: Registry, case: Case, run_id: str, folder: Path) -> Iterator[None]:
        """Add the observers that ``case`` names while the block runs; each writes into ``folder``, if anywhere."""
        specs = {f"observer '{name}'": registry.observers.get(name, "observers") for name in case.observers}
        self._observers |= {name: _Deferred(spec, case, run_id, folder) for name, spec in specs.items()}
        try:
            yield
        finally:
            self.close(specs)

    def close(self, names: Iterable[str] | None = None) -> None:
        """Close the observers that ``names`` lists, or all."""
        for name in list(self._observers if names is None else names):
            observer = self._observers.pop(name, None)
            try:
                if observer is not None:
                    with plugin_call(name):
                        observer.close()
            except Exception as error:
                _warn(name, error)


class _Deferred:
    """An observer that is made when training starts, or the case has ended: it then gets all earlier events too.

    So a case that is refused leaves nothing behind.
    """

    def __init__(self, spec: ObserverSpec, case: Case, run_id: str, folder: Path) -> None:
        self._spec, self._arguments = spec, (copy.deepcopy(case), run_id, folder)
        self._pending: list[events.Event] = []
        self._observer: Observer | None = None

    def handle(self, event: events.Event) -> None:
        self._pending.append(event)
        if self._observer is None and isinstance(event, (events.TrainingStarted, events.CaseFinished)):
            self._observer = load_object(self._spec.load)(*self._arguments)
        while self._observer is not None and self._pending:
            self._observer.handle(self._pending.pop(0))

    def close(self) -> None:
        if self._observer is not None:
            self._observer.close()


def add_observers(suite: Suite, names: Sequence[str]) -> Suite:
    """Return ``suite`` with ``names`` added to the observers of every case."""
    cases = (replace(case, observers=tuple(dict.fromkeys((*case.observers, *names)))) for case in suite.cases)
    return replace(suite, cases=tuple(cases))


def check_observers(registry: Registry, suite: Suite) -> list[Missing]:
    """Return what the suite's observers lack on this machine; raise UsageError for a name that no plugin offers."""
    names = dict.fromkeys(name for case in suite.cases for name in case.observers)
    missing = []
    for spec in [registry.observers.get(name, "observers") for name in names]:
        try:
            with plugin_call(spec.load):
                load_object(spec.load)
        except Exception as error:
            cause = error.__cause__ or error
            what = f"observer '{spec.name}' ({type(cause).__name__}: {cause})"
            origin = registry.observers.origin[spec.name]
            missing.append(Missing(what, sysconfig.get_path("purelib"), spec.install or f"install {origin} again"))
    return missing


def _warn(name: str, error: Exception) -> None:
    reason = str(error) if isinstance(error, PluginError) else f"{name} raised {type(error).__name__}: {error}"
    print(printable(f"warning: {reason}; it gets no further events of this run"), file=sys.stderr)
