"""Check whether this machine is ready for a suite, and fit for timing; no case is run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clipbench.api import Case, CaseFailedError, ExitCode, Missing, NotReadyError, UsageError
from clipbench.api.registry import Registry
from clipbench.doctor import findings
from clipbench.doctor.findings import Finding, Level
from clipbench.doctor.host import Host
from clipbench.errors import PluginError
from clipbench.runs.devices.asking import DeviceCheck, Question, ask_devices
from clipbench.runs.devices.opening import absence
from clipbench.runs.observers import check_observers
from clipbench.runs.runner import check_weights
from clipbench.suites.loading import Suite
from clipbench.suites.plan import Plan, make_plan, open_tokenizer


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
    absent, checks = _check_devices(suite.cases, registry)
    unfitting = _check_weights(plans, checks)
    choices = dict.fromkeys((case.engine, case.device) for case in suite.cases)
    used = [check for choice in choices if (check := findings.used_device(checks, *choice))]
    listed = itertools.chain(
        findings.judge_software(registry, checks),
        findings.judge_missing("software", check_observers(registry, suite)),
        *(findings.judge_device(check, _was_tried(registry, check), check in used) for check in checks),
        findings.judge_absent(absent),
        *(findings.judge_choice(checks, *choice) for choice in choices),
        problems,
        *(findings.judge_data(plan, unfitting) for plan in plans),
        *(findings.judge_vocabulary(plan, _vocabulary_problem(plan, registry)) for plan in plans),
        *map(findings.judge_reference, plans),
        findings.judge_fetch(plans),
        findings.judge_machine(host, plans, used, out),
    )
    # Each finding once: cases of one suite share most of what they need.
    return Checkup(suite.name, tuple(dict.fromkeys(listed)), (*absent, *checks))


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
    checked = [plan for plan in plans if plan.case.engine in usable and plan.weight_files]
    try:
        return check_weights(checked)
    except CaseFailedError as error:
        return [Missing("weights that can be read", plan.weight_files, str(error)) for plan in checked]


def _vocabulary_problem(plan: Plan, registry: Registry) -> str | None:
    """Return why a vocabulary that is there cannot be used, or None."""
    try:
        if plan.vocabulary.is_file():
            open_tokenizer(plan, registry)
    except (NotReadyError, PluginError) as error:
        return str(error)
    return None


def _was_tried(registry: Registry, check: DeviceCheck) -> bool:
    return registry.device(check.engine, check.device).tried


def _check_devices(cases: Sequence[Case], registry: Registry) -> tuple[list[DeviceCheck], list[DeviceCheck]]:
    """Return the devices known to be absent, and the answers of those that the cases name; ``auto`` names all."""
    absent, questions = [], []
    for engine in dict.fromkeys(case.engine for case in cases):
        of_engine = [case for case in cases if case.engine == engine]
        named = {case.device for case in of_engine}
        precisions = tuple(dict.fromkeys(case.precision for case in of_engine))
        questions += [Question(engine, name, precisions) for name in sorted(named - {"auto"})]
        for spec in registry.devices_of(engine) if "auto" in named else ():
            if spec.name in named:
                continue
            if reason := absence(spec):
                absent.append(DeviceCheck(engine, spec.name, unavailable=reason))
            else:
                questions.append(Question(engine, spec.name, precisions))
    return absent, list(ask_devices(questions))
