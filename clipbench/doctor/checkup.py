"""Check whether this machine is ready for a suite, and fit for timing; no case is run."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipbench.api import Case, CaseFailedError, ExitCode, Missing, NotReadyError, UsageError
from clipbench.api.registry import Registry
from clipbench.doctor import findings
from clipbench.doctor.device_check import DeviceCheck, run_device_check
from clipbench.doctor.findings import Finding, Level
from clipbench.doctor.host import Host
from clipbench.runs.observers import check_observers
from clipbench.runs.runner import check_weights
from clipbench.suites.loading import Suite
from clipbench.suites.plan import Plan, make_plan


@dataclass(frozen=True)
class Checkup:
    """The findings, section by section, and what each device answered."""

    suite: str
    findings: tuple[Finding, ...]
    devices: tuple[DeviceCheck, ...]

    def count(self, level: Level) -> int:
        """Return the number of findings of that level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def exit_code(self) -> ExitCode:
        """5 where there is a failure, else 0."""
        return ExitCode.NOT_READY if self.count("failure") else ExitCode.PASS


def check_machine(suite: Suite, registry: Registry, out: Path) -> Checkup:
    """Check all that ``suite`` would use, with results under ``out``; takes some seconds.

    Raises UsageError for a suite that is wrong itself.
    """
    host = Host()  # before the devices are put to work
    plans, problems = _make_plans(suite.cases, registry)
    checks = [run_device_check(*question) for question in _devices_to_check(suite.cases, registry)]
    unfitting = _check_weights(plans, checks)
    choices = dict.fromkeys((case.engine, case.device) for case in suite.cases)
    used = [check for choice in choices if (check := findings.used_device(checks, *choice))]
    listed = itertools.chain(
        findings.judge_software(registry, checks),
        findings.judge_missing("software", check_observers(registry, suite)),
        *(findings.judge_device(check, check in used) for check in checks),
        *(findings.judge_choice(checks, *choice) for choice in choices),
        problems,
        *(findings.judge_data(plan, unfitting) for plan in plans),
        *map(findings.judge_reference, plans),
        findings.judge_fetch(plans),
        findings.judge_machine(host, plans, used, out),
    )
    # Each finding once: cases of one suite share most of what they need.
    return Checkup(suite.name, tuple(dict.fromkeys(listed)), tuple(checks))


def _make_plans(cases: Sequence[Case], registry: Registry) -> tuple[list[Plan], list[Finding]]:
    plans, problems = [], []
    for case in cases:
        try:
            plans.append(make_plan(case, registry))
        except (NotReadyError, UsageError) as error:
            # A UsageError is the suite's fault, unless the plugin that it names is the broken one.
            if isinstance(error, UsageError) and not registry.broken:
                raise
            problems.append(Finding("data", case.name, "failure", str(error)))
    return plans, problems


def _check_weights(plans: Sequence[Plan], checks: Sequence[DeviceCheck]) -> list[Missing]:
    """Return the weights that do not fit; those of an engine that cannot be used are not looked at."""
    usable = {check.engine for check in checks if not check.engine_problem and check.versions}
    checked = [plan for plan in plans if plan.case.engine in usable and plan.weights is not None]
    try:
        return check_weights(checked)
    except CaseFailedError as error:
        return [Missing("weights that can be read", str(plan.weights), str(error)) for plan in checked]


def _devices_to_check(cases: Sequence[Case], registry: Registry) -> Iterator[tuple[str, str, list[str]]]:
    """Yield engine, device and precisions: the devices that the cases name, and for ``auto`` all of their engine."""
    for engine in dict.fromkeys(case.engine for case in cases):
        of_engine = [case for case in cases if case.engine == engine]
        named = {case.device for case in of_engine}
        precisions = list(dict.fromkeys(case.precision for case in of_engine))
        auto = [spec.name for spec in registry.devices_of(engine)] if "auto" in named else []
        for device in dict.fromkeys([*auto, *sorted(named - {"auto"})]):
            yield engine, device, precisions
