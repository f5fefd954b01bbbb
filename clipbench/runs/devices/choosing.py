"""Which device each case will use: for ``auto`` the best that answers, found before any case starts."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from clipbench.api import Case, Missing
from clipbench.api.registry import Registry
from clipbench.runs.devices.asking import Question, ask_devices
from clipbench.runs.devices.opening import absence

AUTO = "auto"


@dataclass(frozen=True)
class DeviceChoice:
    """The device of an engine that is meant by ``requested``.

    ``passed_over`` says why ``auto`` is none of the devices that it would have preferred; ``broken`` are those of them
    that crashed or did not answer.
    """

    engine: str
    requested: str
    device: str
    passed_over: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """Return a sentence for each device that is broken."""
        return [
            f"device {name} is left out: {self.passed_over[name]}; `clipbench doctor --device {name}` looks further, "
            f"`--device {self.device}` does not ask it"
            for name in self.broken
        ]


@dataclass(frozen=True)
class DeviceChoices:
    """The choice for each engine and device that cases name; ``missing`` has those for which there is none."""

    chosen: Mapping[tuple[str, str], DeviceChoice]
    missing: tuple[Missing, ...]

    def of(self, case: Case) -> DeviceChoice:
        """Return the device of a case; none may be missing."""
        return self.chosen[case.engine, case.device]

    def checks(self, cases: Iterable[Case] | None = None) -> tuple[tuple[str, str], ...]:
        """Return (engine, device) of these cases, by default of all, each once."""
        choices = self.chosen.values() if cases is None else map(self.of, cases)
        return tuple(dict.fromkeys((choice.engine, choice.device) for choice in choices))

    def complete(self, missing: Missing) -> Missing:
        """Return ``missing``; where it is the last device that ``auto`` could be, with the reasons of all others."""
        for choice in self.chosen.values():
            if choice.requested == AUTO and missing.what == f"device {choice.device}":
                return _no_device(choice.passed_over, missing.source)
        return missing


def choose_devices(registry: Registry, cases: Iterable[Case]) -> DeviceChoices:
    """Return the choices for all that ``cases`` name; raise UsageError for a device of no plugin."""
    chosen: dict[tuple[str, str], DeviceChoice] = {}
    missing = []
    for engine, device in dict.fromkeys((case.engine, case.device) for case in cases):
        choice = _best(registry, engine) if device == AUTO else DeviceChoice(engine, device, device)
        if isinstance(choice, Missing):
            missing.append(choice)
        else:
            registry.device(choice.engine, choice.device)
            chosen[engine, device] = choice
    return DeviceChoices(chosen, tuple(missing))


def _best(registry: Registry, engine: str) -> DeviceChoice | Missing:
    """Return the available device with the highest priority.

    Candidates that their plugin knows to be absent are passed over. The others are asked side by side, each in a
    process of its own, because drivers crash and hang. The last one is not asked: nothing is left to be chosen, and the
    case's own process, which loads the engine anyway, will find out.
    """
    reasons: dict[str, str] = {}
    candidates = []
    for spec in registry.devices_of(engine):
        if reason := absence(spec):
            reasons[spec.name] = reason
        else:
            candidates.append(spec.name)
    if not candidates:
        return _no_device(reasons or {engine: "no plugin offers one"})
    broken: list[str] = []
    with closing(ask_devices([Question(engine, name) for name in candidates[:-1]])) as checks:
        for check in checks:
            if check.reason is None:
                return DeviceChoice(engine, AUTO, check.device, reasons, tuple(broken))
            reasons[check.device] = check.reason
            if check.broke_off:
                broken.append(check.device)
    return DeviceChoice(engine, AUTO, candidates[-1], reasons, tuple(broken))


def _no_device(reasons: Mapping[str, str], *more: str) -> Missing:
    listed = [*(f"{name}: {reason}" for name, reason in reasons.items()), *more]
    return Missing("device auto", "this machine", "; ".join(listed))
