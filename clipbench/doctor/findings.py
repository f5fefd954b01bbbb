"""What is to be thought of what ``clipbench doctor`` found: pure, a line each."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clipbench.api import Missing
from clipbench.api.registry import Registry
from clipbench.doctor.device_check import Examination
from clipbench.doctor.host import Condition
from clipbench.doctor.requirements import Needs, needs
from clipbench.files.disk import free_bytes, size_text
from clipbench.suites.plan import Plan, cache_folder

Level = Literal["ok", "note", "warning", "failure"]

BUSY_SHARE = 0.5  # of the cores, above which other work is felt
ROOM = 2  # times what is needed, below which a disk is worth a warning
COARSE_TICK = 1e-4  # a step of a small model takes milliseconds
A_DAY = 86400.0


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``fix`` is the next thing to do, where there is one.

    A ``note`` is neither good nor bad: a device that is not here and was not asked for.
    """

    section: str
    subject: str
    level: Level
    detail: str
    fix: str = ""


def used_device(examinations: Iterable[Examination], engine: str, device: str) -> Examination | None:
    """The one that a case on ``device`` would run on: for ``auto`` the first that is available."""
    of_engine = [each for each in examinations if each.engine == engine]
    if device != "auto":
        return next((each for each in of_engine if each.device == device), None)
    return next((each for each in of_engine if each.available), None)


def judge_software(registry: Registry, examinations: Sequence[Examination]) -> Iterator[Finding]:
    """Python, plugins, engines."""
    yield Finding("software", "Python", "ok", f"{platform.python_version()}, {sys.executable}")
    names = ", ".join(sorted(plugin.name for plugin in registry.plugins))
    yield Finding("software", "plugins", "ok", names)
    for plugin in registry.broken:
        fix = f"repair or uninstall {plugin.distribution}"
        yield Finding("software", f"plugin {plugin.name}", "warning", f"left out: {plugin.problem}", fix)
    for each in examinations:
        if each.engine_problem:
            yield Finding("software", f"engine {each.engine}", "failure", each.engine_problem)
        elif each.versions:
            said = ", ".join(f"{name} {version}" for name, version in sorted(each.versions.items()))
            yield Finding("software", f"engine {each.engine}", "ok", said)


def judge_device(examination: Examination, used: bool) -> Iterator[Finding]:
    """A device, what else is done on it, its probes. What is wrong with one that no case uses is a note."""
    name = examination.device

    def finding(subject: str, level: Level, detail: str, fix: str = "") -> Finding:
        return Finding("devices", subject, level if used or level == "ok" else "note", detail, fix)

    if examination.broke_off:
        # Whoever asks for auto asks this one too.
        fix = "see whether the driver's own tools work"
        yield Finding("devices", name, "failure", f"its process broke off: {examination.broke_off}", fix)
    elif examination.unavailable:
        yield finding(name, "failure", examination.unavailable)
    if examination.info:
        yield finding(name, "ok", _described(examination.info))
    for other in examination.others or ():
        yield finding(f"{name} in use", "warning", other, "wait for it, or stop it: it changes what is measured here")
    for refused in examination.refused:
        yield finding(f"{name} precision", "failure", refused)
    for probe in examination.probes:
        level: Level = "ok" if probe["ok"] else "failure" if probe["refuses"] == "run" else "warning"
        yield finding(f"{name} {probe['name']}", level, probe["detail"])


def _described(info: Mapping[str, Any]) -> str:
    several = info["count"] > 1
    parts = [f"{info['count']} x {info['name']}" if several else info["name"]]
    if info["total_memory"]:
        parts.append(size_text(info["total_memory"]) + (" each" if several else ""))
    if info["driver"]:
        parts.append(f"driver {info['driver']}")
    return ", ".join(parts)


def judge_choice(examinations: Sequence[Examination], engine: str, device: str) -> Iterator[Finding]:
    """Which device ``auto`` means here."""
    if device != "auto" or any(each.engine_problem for each in examinations if each.engine == engine):
        return
    chosen = used_device(examinations, engine, device)
    if chosen:
        yield Finding("devices", "auto", "ok", f"is {chosen.device}")
    else:
        yield Finding("devices", "auto", "failure", f"engine {engine} has no device here, for the reasons above")


def judge_missing(section: str, missing: Iterable[Missing]) -> Iterator[Finding]:
    """Things that are not there."""
    for item in missing:
        yield Finding(section, "missing", "failure", f"{item.what}; looked in {item.looked_in}", item.source)


def judge_data(plan: Plan) -> Iterator[Finding]:
    """Pictures with captions, vocabulary, weights."""
    case = plan.case
    yield from judge_missing("data", plan.missing)
    for warning in plan.warnings:
        yield Finding("data", case.dataset.name, "warning", warning)
    if plan.train_images is not None:
        detail = f"{plan.train_images:,} training and {plan.val_images:,} validation images"
        yield Finding("data", case.dataset.name, "ok", detail)
    if plan.vocabulary.is_file():
        yield Finding("data", "vocabulary", "ok", str(plan.vocabulary))
    if plan.weights is not None:
        yield Finding("data", "weights", "ok", str(plan.weights))
    elif case.model.weights is None:
        yield Finding("data", "weights", "ok", "none: drawn from the seed")
    elif case.model.weights_missing != "error":
        detail = f"{case.model.weights} is not there, so they are drawn from the seed"
        yield Finding("data", "weights", "note", detail, f"looked in {' or '.join(plan.looked_for['weights'])}")


def judge_machine(
    condition: Condition, plans: Sequence[Plan], used: Sequence[Examination], out: Path
) -> Iterator[Finding]:
    """Disk, memory, other work, clocks."""
    if plans:
        most = Needs.most(needs(plan) for plan in plans)
        ranks = max(plan.case.ranks for plan in plans)
        yield judge_disk("disk, results", out, most.checkpoints, "the last two checkpoints and the best")
        if most.images:  # unknown while the data is missing
            what = "generated data and evaluation images, at most"
            yield judge_disk("disk, cache", cache_folder(), most.images, what)
        for each in used:
            if each.free_memory is not None:
                yield judge_memory(f"memory of {each.device}", each.free_memory, most, 1)
            elif each.info and each.info["total_memory"]:
                yield judge_memory(f"memory of {each.device}", each.info["total_memory"], most, 1)
            elif condition.free_memory is not None:
                yield judge_memory("memory", condition.free_memory, most, ranks)
    yield judge_load(condition)
    yield judge_quota(condition)
    yield judge_governors(condition)
    yield judge_clock(condition)


def judge_disk(subject: str, folder: Path, need: int, what: str) -> Finding:
    """Whether ``folder`` can be written to, and its free room against ``need`` bytes."""
    folder = folder.absolute()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        problem = "cannot be written to" if existing.is_dir() else "is a file, not a folder"
        return Finding("machine", subject, "failure", f"{existing} {problem}", "name another folder")
    free = free_bytes(folder)
    if free is None:
        return Finding("machine", subject, "warning", f"{folder}: free room unknown", f"{size_text(need)} are needed")
    level: Level = "failure" if free < need else "warning" if free < ROOM * need else "ok"
    detail = f"{size_text(free)} free in {folder}; {size_text(need)} for {what}"
    fix = "" if level == "ok" else "make room there, or name another folder"
    return Finding("machine", subject, level, detail, fix)


def judge_memory(subject: str, free: int, most: Needs, ranks: int) -> Finding:
    """Free memory against what ``ranks`` ranks need. Parameters are known; what a step keeps beside them is a guess."""
    level: Level = "ok"
    if free < ranks * most.device:
        level = "failure" if free < ranks * most.parameters else "warning"
    detail = f"{size_text(free)} free; about {size_text(ranks * most.device)} for training"
    fix = "" if level == "ok" else "use train.accumulate, train.grad_checkpointing or a smaller train.batch_size"
    return Finding("machine", subject, level, detail, fix)


def judge_load(condition: Condition) -> Finding:
    """Other work on the processor, which feeds every device."""
    if condition.load is None:
        return Finding("machine", "load", "note", "this system does not tell its load")
    detail = f"{condition.load:.1f} on {_cores(condition.cores)} in the last minute"
    if condition.load > BUSY_SHARE * condition.cores:
        fix = "wait for other programs, or stop them: times would not hold"
        return Finding("machine", "load", "warning", detail, fix)
    return Finding("machine", "load", "ok", detail)


def judge_quota(condition: Condition) -> Finding:
    """A container's share of the processor: with more threads than that, all of them are stopped in turn."""
    cores, quota = condition.cores, condition.quota
    if quota is None or quota >= cores:
        return Finding("machine", "processor", "ok", f"{_cores(cores)}, no container limit below that")
    detail = f"{_cores(cores)}, of which the container may keep {quota:.1f} busy"
    fix = f"set OMP_NUM_THREADS={max(1, int(quota))} and train.workers to match, or raise the container's limit"
    return Finding("machine", "processor", "warning", detail, fix)


def judge_governors(condition: Condition) -> Finding:
    """Whether the processor's clock rises only under load."""
    names = ", ".join(condition.governors)
    if not names:
        return Finding("machine", "governor", "ok", "the system shows none")
    if condition.governors == ("performance",):
        return Finding("machine", "governor", "ok", names)
    fix = "`cpupower frequency-set -g performance` keeps the clock up"
    return Finding("machine", "governor", "warning", f"{names}: the clock follows the load", fix)


def judge_clock(condition: Condition) -> Finding:
    """The clock that takes times, and the one that dates results."""
    if condition.now < condition.built - A_DAY:
        return Finding(
            "machine", "clock", "warning", "it is set to before clipbench was installed", "set it: results are dated"
        )
    if condition.tick > COARSE_TICK:
        detail = f"times advance in steps of {condition.tick * 1e3:.1f} ms"
        return Finding("machine", "clock", "warning", detail, "raise timing.window_steps, so that windows are long")
    return Finding("machine", "clock", "ok", f"times advance in steps of {condition.tick * 1e9:.0f} ns")


def _cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"
