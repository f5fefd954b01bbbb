"""Whether this machine is ready for a suite, and fit to be timed: everything is looked at, nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipbench.api.registry import Registry
from clipbench.doctor.device_check import Examination, examine
from clipbench.doctor.findings import (
    Finding,
    Level,
    judge_choice,
    judge_data,
    judge_device,
    judge_machine,
    judge_missing,
    judge_software,
    used_device,
)
from clipbench.doctor.host import read_condition
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.runs.observers import check_observers
from clipbench.suites.loading import Case, Suite
from clipbench.suites.plan import Plan, make_plan

SECTIONS = ("software", "devices", "data", "machine")


@dataclass(frozen=True)
class Report:
    """What was found, in the order of SECTIONS, and the devices' own answers."""

    suite: str
    findings: tuple[Finding, ...]
    examinations: tuple[Examination, ...]

    def count(self, level: Level) -> int:
        return sum(finding.level == level for finding in self.findings)

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.NOT_READY if self.count("failure") else ExitCode.PASS

    def to_dict(self) -> dict[str, Any]:
        return {
            "suite": self.suite,
            "exit_code": int(self.exit_code),
            "findings": [asdict(finding) for finding in self.findings],
            "devices": [{**asdict(each), "available": each.available} for each in self.examinations],
        }


def look_over(suite: Suite, registry: Registry, out: Path) -> Report:
    """Examine everything that ``suite`` would use, results being written under ``out``; takes some seconds."""
    condition = read_condition()  # before the devices are put to work
    plans, problems = _plans(suite, registry)
    wanted = dict.fromkeys((case.engine, case.device) for case in suite.cases)
    examinations = [
        examine(engine, device, precisions) for engine, device, precisions in _to_examine(suite.cases, registry)
    ]
    used = [found for engine, device in wanted if (found := used_device(examinations, engine, device))]
    findings = [
        *judge_software(registry, examinations),
        *judge_missing("software", check_observers(registry, suite)),
        *(finding for examination in examinations for finding in judge_device(examination, examination in used)),
        *(finding for engine, device in wanted for finding in judge_choice(examinations, engine, device)),
        *problems,
        *(finding for plan in plans for finding in judge_data(plan)),
        *judge_machine(condition, plans, used, out),
    ]
    findings = list(dict.fromkeys(findings))  # cases of one suite share most of what they need
    findings.sort(key=lambda finding: SECTIONS.index(finding.section))
    return Report(suite.name, tuple(findings), tuple(examinations))


def _plans(suite: Suite, registry: Registry) -> tuple[list[Plan], list[Finding]]:
    plans, problems = [], []
    for case in suite.cases:
        try:
            plans.append(make_plan(case, registry))
        except (NotReadyError, UsageError) as error:
            # What a suite has wrong is its own fault, unless the plugin that it names is the broken one.
            if isinstance(error, UsageError) and not registry.broken:
                raise
            problems.append(Finding("data", case.name, "failure", str(error)))
    return plans, problems


def _to_examine(cases: Sequence[Case], registry: Registry) -> Iterator[tuple[str, str, list[str]]]:
    """Engine, device and precisions: the devices that a case names, and for ``auto`` all that its engine has."""
    for engine in dict.fromkeys(case.engine for case in cases):
        of_engine = [case for case in cases if case.engine == engine]
        precisions = list(dict.fromkeys(case.precision for case in of_engine))
        offered = [spec.name for spec in registry.devices_of(engine)]
        named = [case.device for case in of_engine]
        for device in offered if "auto" in named else dict.fromkeys(named):
            if device in offered:
                yield engine, device, precisions
