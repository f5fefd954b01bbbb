"""Which device each case will use: for ``auto`` the best that answers, found before any case starts."""

from collections.abc import Iterable
from contextlib import closing

from clipbench.api import Case, Missing
from clipbench.api.registry import Registry
from clipbench.runs.device_check import Question, ask_devices
from clipbench.runs.devices import DeviceChoice, absence

Choices = dict[tuple[str, str], DeviceChoice]


def choose_devices(registry: Registry, cases: Iterable[Case]) -> tuple[Choices, list[Missing]]:
    """Return the choice for each engine and device that a case names, and what is Missing where there is none.

    Raises UsageError for a device of no plugin.
    """
    choices: Choices = {}
    missing = []
    for engine, device in dict.fromkeys((case.engine, case.device) for case in cases):
        choice = choose_device(registry, engine, device)
        if isinstance(choice, Missing):
            missing.append(choice)
        else:
            choices[engine, device] = choice
    return choices, missing


def choose_device(registry: Registry, engine: str, device: str) -> DeviceChoice | Missing:
    """Return the device that is meant: for ``auto`` the available one with the highest priority.

    Candidates that their plugin knows to be absent are passed over. The others are asked side by side, each in a
    process of its own, because drivers crash and hang. The last one is not asked: nothing is left to be chosen, and the
    case's own process, which loads the engine anyway, will find out.
    """
    if device != "auto":
        registry.devices.get(device, "device")
        return DeviceChoice(engine, device, device)
    reasons: dict[str, str] = {}
    candidates = []
    for spec in registry.devices_of(engine):
        if reason := absence(spec):
            reasons[spec.name] = reason
        else:
            candidates.append(spec.name)
    if not candidates:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        return Missing("device auto", "this machine", listed or f"no plugin offers one for engine {engine}")
    broken: list[str] = []
    with closing(ask_devices([Question(engine, name) for name in candidates[:-1]])) as checks:
        for check in checks:
            if check.reason is None:
                return DeviceChoice(engine, check.device, device, reasons, tuple(broken))
            reasons[check.device] = check.reason
            if check.broke_off:
                broken.append(check.device)
    return DeviceChoice(engine, candidates[-1], device, reasons, tuple(broken))
