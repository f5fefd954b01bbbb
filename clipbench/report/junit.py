"""A judgement as JUnit XML: a test suite for each result, a test case for each metric.

The elements and attributes are those that Jenkins, GitLab, Azure and GitHub's readers have in common.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from clipbench.compare.verdicts import Comparison, Judgement, Verdict
from clipbench.report.quantity import allowed_text, difference_text, quantity

# A test case is known by class and name from build to build, so neither has the run's id in it.
PACKAGE = "clipbench"
RESULT = "result"
# What XML 1.0 has no way to write.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(judgement: Judgement) -> str:
    """The XML, with a failure or an error in it exactly when the exit code is not 0."""
    root = Element("testsuites", name="clipbench compare")
    seen: Counter[str] = Counter()
    for comparison in judgement.comparisons:
        seen[comparison.case] += 1
        nth = f" ({seen[comparison.case]})" if seen[comparison.case] > 1 else ""
        _add_comparison(root, comparison, comparison.case.replace(".", "_") + nth, judgement.strict)
    if judgement.problems:
        _add_problems(root, "refused files", judgement.problems)
    if not judgement.comparisons and not judgement.problems:
        _add_problems(root, "results", ["there is no result"])
    for suite in root:
        _count(suite, [suite])
    _count(root, list(root))
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add_comparison(root: Element, comparison: Comparison, name: str, strict: bool) -> None:
    suite = SubElement(root, "testsuite", name=clean(comparison.title))
    properties = SubElement(suite, "properties")
    facts = {
        "runs": " ".join(comparison.runs),
        **{
            key: getattr(comparison, key)
            for key in ("suite", "case", "device", "precision", "ranks", "epoch", "status")
        },
        "against": comparison.against.name if comparison.against else None,
    }
    for key, value in facts.items():
        if value is not None:
            SubElement(properties, "property", name=key, value=clean(str(value)))
    whole = SubElement(suite, "testcase", classname=clean(f"{PACKAGE}.{name}"), name=RESULT)
    if comparison.status != "fail" and comparison.level() == "error":  # not judged metric by metric
        _add(whole, "error", comparison.status, comparison.reasons[0], "\n".join(comparison.reasons))
    for verdict in comparison.verdicts:
        case = SubElement(suite, "testcase", classname=clean(f"{PACKAGE}.{name}"), name=clean(verdict.metric))
        _add_verdict(case, verdict, strict)


def _add_verdict(case: Element, verdict: Verdict, strict: bool) -> None:
    level, reason = verdict.level(strict), verdict.reason or verdict.label
    if level == "error":
        # A failure is a figure that is not as it should be; an error, no figure to judge.
        _add(case, "error" if verdict.status == "missing" else "failure", verdict.label, reason, _figures(verdict))
    elif verdict.status in ("ungated", "not comparable", "inconclusive"):
        _add(case, "skipped", verdict.label, reason)
    if level != "error":
        SubElement(case, "system-out").text = clean(_figures(verdict))


def _add_problems(root: Element, name: str, problems: Sequence[str]) -> None:
    suite = SubElement(root, "testsuite", name=name)
    for number, problem in enumerate(problems, start=1):
        case = SubElement(suite, "testcase", classname=f"{PACKAGE}.{name}", name=f"{name} {number}")
        _add(case, "error", name, problem, problem)


def _add(case: Element, kind: str, label: str, message: str, text: str | None = None) -> None:
    SubElement(case, kind, type=label, message=clean(message)).text = None if text is None else clean(text)


def _figures(verdict: Verdict) -> str:
    lines = [
        f"value: {quantity(verdict.value)} {verdict.unit}, {verdict.direction} is better",
        f"held against: {quantity(verdict.reference)}",
        f"difference: {difference_text(verdict)}",
        f"still passes: {allowed_text(verdict)}",
        *([verdict.detail] if verdict.detail else []),
        *([verdict.reason] if verdict.reason else []),
    ]
    return "\n".join(lines)


def _count(element: Element, suites: Sequence[Element]) -> None:
    """Totals as attributes; ``skipped`` is for a suite alone: the schema of CI servers has none for all of them."""
    totals = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}
    if element.tag == "testsuite":
        totals["skipped"] = "testcase/skipped"
    for attribute, path in totals.items():
        element.set(attribute, str(sum(len(suite.findall(path)) for suite in suites)))


def clean(text: str) -> str:
    r"""``text`` with what XML cannot hold written as ``\x1b`` or ``\udc80``."""
    return FORBIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)
