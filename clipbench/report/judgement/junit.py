"""A judgement as JUnit XML: a test suite for each result, a test case for each metric.

The elements and attributes are those that Jenkins, GitLab, Azure and GitHub's readers have in common.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from clipbench.compare.verdicts import Comparison, Judgement, Verdict
from clipbench.report.judgement import wording
from clipbench.report.judgement.headline import comparison_headline
from clipbench.report.quantity import allowed_text, difference_text, plain_figure

FACTS = ("suite", "case", "engine", "device", "precision", "world_size", "epoch", "status")
# Totals of an element by the tag that is counted; the schema of CI servers has ``skipped`` for a suite alone.
TOTALS = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
# What XML 1.0 cannot hold.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(judgement: Judgement) -> str:
    """Return the XML, with a failure or an error in it exactly when the exit code is not 0."""
    root = Element("testsuites", name="clipbench compare")
    seen: Counter[str] = Counter()
    for comparison in judgement.comparisons:
        seen[comparison.case] += 1
        nth = f" ({seen[comparison.case]})" if seen[comparison.case] > 1 else ""
        _add_comparison(root, comparison, comparison.case.replace(".", "_") + nth, judgement.fail_on)
    if judgement.problems:
        _add_problems(root, "refused files", judgement.problems)
    if not len(root):
        _add_problems(root, "results", ["there is no result"])
    for element in (*root, root):
        for attribute, tag in TOTALS.items():
            element.set(attribute, str(len(element.findall(f".//{tag}"))))
    del root.attrib["skipped"]
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{clean(ElementTree.tostring(root, encoding="unicode"))}\n'


def _add_comparison(root: Element, comparison: Comparison, name: str, fail_on: Collection[str]) -> None:
    suite = SubElement(root, "testsuite", name=comparison.title)
    properties = SubElement(suite, "properties")
    facts = {"runs": " ".join(comparison.runs), **{key: getattr(comparison, key) for key in FACTS}}
    facts["against"] = comparison.against.name if comparison.against else None
    for key, value in facts.items():
        if value is not None:
            SubElement(properties, "property", name=key, value=str(value))
    _add_whole(_add_case(suite, name, "result"), comparison, fail_on)
    for verdict in comparison.verdicts:
        why = wording.of_metric(verdict, comparison) if verdict.cause else verdict.label
        _add_verdict(_add_case(suite, name, verdict.metric), verdict, why, fail_on)


def _add_whole(case: Element, comparison: Comparison, fail_on: Collection[str]) -> None:
    """Add what came of a comparison, in the sentence that every output begins with."""
    said, changes = comparison_headline(comparison), wording.changes(comparison)
    lines = [said, *wording.comparison_reasons(comparison)]
    lines += [f"changed since the baseline: {', '.join(changes)}"] if changes else []
    if comparison.level(fail_on) == "error":
        kind = "error" if comparison.unjudged else "failure"
        SubElement(case, kind, type=comparison.status, message=said).text = "\n".join(lines)
    else:
        SubElement(case, "system-out").text = "\n".join(lines)


def _add_verdict(case: Element, verdict: Verdict, why: str, fail_on: Collection[str]) -> None:
    lines = [
        f"value: {plain_figure(verdict.value, verdict.unit)} {verdict.unit}, {verdict.direction} is better",
        f"compared with: {plain_figure(verdict.reference, verdict.unit)}",
        f"difference: {difference_text(verdict)}",
        f"still passes: {allowed_text(verdict)}",
        *filter(None, [wording.detail(verdict), why if verdict.cause else None]),
    ]
    if verdict.level(fail_on) == "error":
        # A failure is a figure that is not as it should be; an error, no figure to judge.
        kind = "error" if verdict.status == "missing" else "failure"
        SubElement(case, kind, type=verdict.label, message=why).text = "\n".join(lines)
        return
    if verdict.status in ("ungated", "not comparable", "inconclusive"):
        SubElement(case, "skipped", type=verdict.label, message=why)
    SubElement(case, "system-out").text = "\n".join(lines)


def _add_problems(root: Element, name: str, problems: Sequence[str]) -> None:
    suite = SubElement(root, "testsuite", name=name)
    for number, problem in enumerate(problems, start=1):
        case = _add_case(suite, name, f"{name} {number}")
        SubElement(case, "error", type=name, message=problem).text = problem


def _add_case(suite: Element, class_name: str, name: str) -> Element:
    """Add a test case; it is known by class and name from build to build, so neither has the run's id in it."""
    return SubElement(suite, "testcase", classname=f"clipbench.{class_name}", name=name)


def clean(text: str) -> str:
    r"""Return ``text`` with what XML cannot hold written as ``\x1b`` or ``\udc80``."""
    return FORBIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)
