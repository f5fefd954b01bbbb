"""Turn what was read of machine, devices and data into findings (pure but for the file system's free room)."""

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from clipbench.api import DeviceInfo, Missing
from clipbench.api.registry import Registry
from clipbench.api.specs import UNTRIED
from clipbench.doctor.host import Host
from clipbench.doctor.requirements import Requirements, requirements_of
from clipbench.files.cache import cache_folder
from clipbench.files.disk import free_bytes, size_text
from clipbench.results.references import unknown_reference
from clipbench.runs.devices.asking import DeviceCheck
from clipbench.suites.fetch_command import fetch_command
from clipbench.suites.plan import Plan

Level = Literal["ok", "note", "warning", "failure"]

BUSY_SHARE = 0.5  # load by cores, above which other work slows a run noticeably
DISK_MARGIN = 2  # free room by need, below which a disk is worth a warning
COARSE_TICK = 1e-4  # seconds; a step of a small model takes milliseconds
A_DAY = 86400.0


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``fix`` is the next thing to do, where there is one.

    A ``note`` is neither good nor bad: a device that is not here and that no case names, for example.
    """

    section: str
    subject: str
    level: Level
    detail: str
    fix: str = ""


_software, _devices, _data, _machine = (partial(Finding, name) for name in ("software", "devices", "data", "machine"))


def used_device(checks: Iterable[DeviceCheck], engine: str, device: str) -> DeviceCheck | None:
    """Return the check of the device that a case would run on: for ``auto`` the first that says it can be used."""
    for check in checks:
        if check.engine == engine and (check.present if device == "auto" else check.device == device):
            return check
    return None


def judge_software(registry: Registry, checks: Sequence[DeviceCheck]) -> Iterator[Finding]:
    """Yield findings on Python, plugins and engines."""
    yield _software("Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield _software("plugins", "ok", ", ".join(sorted(plugin.name for plugin in registry.plugins)))
    for plugin in registry.broken:
        fix = f"repair or uninstall {plugin.distribution}"
        yield _software(f"plugin {plugin.name}", "warning", f"left out: {plugin.problem}", fix)
    for check in checks:
        if check.engine_problem:
            yield _software(f"engine {check.engine}", "failure", check.engine_problem)
        elif check.versions:
            versions = ", ".join(f"{name} {version}" for name, version in sorted(check.versions.items()))
            yield _software(f"engine {check.engine}", "ok", versions)


def judge_device(check: DeviceCheck, tried: bool, used: bool) -> Iterator[Finding]:
    """Yield findings on a device, other processes on it and its probes; problems of an unused one are notes.

    ``tried`` is whether its plugin was ever run on the hardware.
    """
    name = check.device

    def finding(subject: str, level: Level, detail: str, fix: str = "") -> Finding:
        return _devices(subject, level if used or level == "ok" else "note", detail, fix)

    if check.broke_off:
        detail = f"the check of it ended early: {check.broke_off}"
        # Not a failure where it is unused, but no mere note: a case with ``device: auto`` passes it over every time.
        yield _devices(name, "failure" if used else "warning", detail, "see whether the driver's own tools work")
    elif check.unavailable:
        yield finding(name, "failure", check.unavailable)
    if check.info:
        yield finding(name, "ok", _device_text(check.info))
    if not tried:
        yield _devices(f"{name} plugin", "note", UNTRIED)
    if check.info:
        for what, reason in check.info.unknown.items():
            yield _devices(f"{name} {what}".replace("_", " "), "note", f"not known: {reason}")
    for other in check.others or ():
        yield finding(f"{name} in use", "warning", other, "wait until it ends, or stop it: it changes what is measured")
    for refused in check.refused:
        yield finding(f"{name} precision", "failure", refused)
    for probe in check.probes:
        level: Level = "ok" if probe.ok else "failure" if probe.refuses == "run" else "warning"
        yield finding(f"{name} {probe.name}", level, probe.detail)


def judge_absent(absent: Iterable[DeviceCheck]) -> Iterator[Finding]:
    """Yield the devices that were not asked because they are known not to be here."""
    if names := ", ".join(check.device for check in absent):
        yield _devices("not here", "note", f"{names}; `clipbench doctor --device NAME` says why")


def _device_text(info: DeviceInfo) -> str:
    several = info.count > 1
    name = f"{info.count} x {info.name}" if several else info.name
    memory = size_text(info.total_memory) + (" each" if several else "") if info.total_memory else ""
    return ", ".join(filter(None, (name, memory, info.driver and f"driver {info.driver}")))


def judge_choice(checks: Sequence[DeviceCheck], engine: str, device: str) -> Iterator[Finding]:
    """Yield which device ``auto`` means here."""
    if device != "auto" or any(check.engine_problem for check in checks if check.engine == engine):
        return
    if chosen := used_device(checks, engine, device):
        yield _devices("auto", "ok", f"is {chosen.device}")
    else:
        yield _devices("auto", "failure", f"engine {engine} has no usable device here; the lines above say why")


def judge_missing(section: str, missing: Iterable[Missing]) -> Iterator[Finding]:
    """Yield a failure for each thing that is not there."""
    for item in missing:
        yield Finding(section, "missing", "failure", f"{item.what}; looked in {item.looked_in}", item.source)


def judge_fetch(plans: Sequence[Plan]) -> Iterator[Finding]:
    """Yield the command that gets what is missing, where there is one."""
    if command := fetch_command(plans):
        yield _data("missing", "note", "clipbench fetch can download files that are missing", command)


def judge_data(plan: Plan, unfitting: Sequence[Missing]) -> Iterator[Finding]:
    """Yield findings on images with captions, vocabulary and weights; those in ``unfitting`` do not fit their model."""
    case = plan.case
    yield from judge_missing("data", plan.missing)
    problems = [item.source for item in unfitting if item.looked_in == plan.weight_files]
    for problem in problems:
        yield _data("weights", "failure", problem)
    for warning in plan.warnings:
        yield _data(case.dataset.name, "warning", warning)
    if plan.train_images is not None:
        sizes = f"{plan.train_images:,} training and {plan.val_images:,} validation images"
        yield _data(case.dataset.name, "ok", sizes)
    if not problems:
        yield from _judge_weights(plan)


def _judge_weights(plan: Plan) -> Iterator[Finding]:
    """Yield which weights are there; those that a case cannot do without are among what the plan lacks."""
    model = plan.case.model
    if model.weights is None:
        yield _data("weights", "ok", "none: initialised at random from the seed")
    weights, text_weights = (model.weights, plan.weights), (model.text_weights, plan.text_weights)
    for key, (name, path) in (("weights", weights), ("text_weights", text_weights)):
        subject = key.replace("_", " ")
        if path is not None:
            yield _data(subject, "ok", str(path))
        elif name is not None and model.weights_missing != "error":
            detail = f"{name} is not there, so they are initialised at random from the seed"
            yield _data(subject, "note", detail, f"looked in {' or '.join(plan.looked_for[key])}")


def judge_vocabulary(plan: Plan, problem: str | None) -> Iterator[Finding]:
    """Yield whether the vocabulary can be used; one that is not there is among what the plan lacks."""
    if problem:
        yield _data("vocabulary", "failure", problem, "name the one that belongs to the model with model.vocabulary")
    elif plan.vocabulary.is_file():
        yield _data("vocabulary", "ok", str(plan.vocabulary))


def judge_reference(plan: Plan) -> Iterator[Finding]:
    """Yield a warning where results could not be compared with the reference that the suite names."""
    if warning := unknown_reference(plan.case.reference):
        yield _data("reference", "warning", warning)
    elif plan.case.reference:
        yield _data("reference", "ok", plan.case.reference)


def judge_machine(host: Host, plans: Sequence[Plan], used: Sequence[DeviceCheck], out: Path) -> Iterator[Finding]:
    """Yield findings on disk, memory, other work and clocks."""
    if plans:
        need = Requirements.largest(map(requirements_of, plans))
        yield judge_disk("disk, results", out, need.checkpoints, "the last two checkpoints and the best")
        if need.images:  # unknown while the data is missing
            what = "generated data and evaluation images, at most"
            yield judge_disk("disk, cache", cache_folder(), need.images, what)
        for check in used:
            free = check.info.total_memory if check.info and check.free_memory is None else check.free_memory
            if free is not None:
                yield judge_memory(f"memory of {check.device}", free, need, 1)
            elif host.free_memory is not None and not (check.info and "total_memory" in check.info.unknown):
                yield judge_memory("memory", host.free_memory, need, max(plan.case.world_size for plan in plans))
    yield judge_load(host)
    yield judge_quota(host)
    yield judge_governors(host)
    yield judge_clock(host)


def judge_disk(subject: str, folder: Path, need: int, what: str) -> Finding:
    """Return whether ``folder`` can be written to, and whether its free room is enough for ``need`` bytes."""
    folder = folder.absolute()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        problem = "cannot be written to" if existing.is_dir() else "is a file, not a folder"
        return _machine(subject, "failure", f"{existing} {problem}", "name another folder")
    free = free_bytes(folder)
    if free is None:
        return _machine(subject, "warning", f"{folder}: free room unknown", f"{size_text(need)} are needed")
    level: Level = "failure" if free < need else "warning" if free < DISK_MARGIN * need else "ok"
    detail = f"{size_text(free)} free in {folder}; {size_text(need)} for {what}"
    return _machine(subject, level, detail, "" if level == "ok" else "make room there, or name another folder")


def judge_memory(subject: str, free: int, need: Requirements, ranks: int) -> Finding:
    """Return whether ``ranks`` ranks fit into the free memory.

    Too little for the parameters, which are known, is a failure; too little for what a step keeps, a rough guess, a
    warning.
    """
    short = free < ranks * need.device
    level: Level = "failure" if free < ranks * need.parameters else "warning" if short else "ok"
    detail = f"{size_text(free)} free; about {size_text(ranks * need.device)} for training"
    fix = "use train.accumulate, train.grad_checkpointing or a smaller train.batch_size" if short else ""
    return _machine(subject, level, detail, fix)


def judge_load(host: Host) -> Finding:
    """Return whether other work keeps the processor, which feeds every device, busy."""
    if host.load is None:
        return _machine("load", "note", "this system does not report its load")
    busy = host.load > BUSY_SHARE * host.cores
    fix = "wait for other programs, or stop them: they would distort times" if busy else ""
    return _warn_if_fix("load", f"{host.load:.1f} on {_cores(host.cores)} in the last minute", fix)


def judge_quota(host: Host) -> Finding:
    """Return whether a container limits the processor: with more threads than its share, all are paused in turn."""
    if host.quota is None or host.quota >= host.cores:
        return _warn_if_fix("processor", f"{_cores(host.cores)}, no container limit below that")
    detail = f"{_cores(host.cores)}, of which the container may keep {host.quota:.1f} busy"
    threads = f"OMP_NUM_THREADS={max(1, int(host.quota))}"
    return _warn_if_fix(
        "processor", detail, f"set {threads} and train.workers to match, or raise the container's limit"
    )


def judge_governors(host: Host) -> Finding:
    """Return whether the processor's clock rises only under load."""
    names = ", ".join(host.governors)
    if host.governors in ((), ("performance",)):
        return _warn_if_fix("governor", names or "the system shows none")
    fix = "`cpupower frequency-set -g performance` keeps the clock up"
    return _warn_if_fix("governor", f"{names}: the clock follows the load", fix)


def judge_clock(host: Host) -> Finding:
    """Return whether the clock that measures times is fine enough, and the one that dates results is set."""
    if host.now < host.built - A_DAY:
        detail = "it is set to a time before clipbench was installed"
        return _warn_if_fix("clock", detail, "set it: results carry its date")
    if host.tick > COARSE_TICK:
        detail = f"times advance in steps of {host.tick * 1e3:.1f} ms"
        return _warn_if_fix("clock", detail, "raise timing.window_steps, so that windows are long")
    return _warn_if_fix("clock", f"times advance in steps of {host.tick * 1e9:.0f} ns")


def _warn_if_fix(subject: str, detail: str, fix: str = "") -> Finding:
    """Return a warning where there is something to do, else ``ok``."""
    return _machine(subject, "warning" if fix else "ok", detail, fix)


def _cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"
