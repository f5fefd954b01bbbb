"""What comparing says: a verdict for each metric, a status for each result, one exit code for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clipbench.errors import ExitCode

VerdictStatus = Literal["pass", "fail", "better", "inconclusive", "not comparable", "missing", "ungated"]
ComparisonStatus = Literal[
    "pass", "better", "inconclusive", "fail", "not comparable", "no reference", "no baseline", "failed case"
]
Level = Literal["none", "notice", "warning", "error"]

# What decides whether a result passes; a metric that is not comparable or not gated decides nothing.
GATED = ("pass", "fail", "better", "inconclusive", "missing")

VERDICT_MEANINGS: Mapping[VerdictStatus, str] = {
    "pass": "within what is allowed; with a warning where it is worse than the warning level",
    "fail": "worse than is allowed",
    "better": "better by more than is allowed on the bad side: check it, or adopt it as the baseline",
    "inconclusive": "the runs are too few or too noisy to tell",
    "not comparable": "conditions differ that change what the figure means",
    "missing": "gated, but the result has no such figure; fails its gate",
    "ungated": "shown, decides nothing",
}

MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.PASS: "every result passes",
    ExitCode.GATE_FAILED: "a gate failed",
    ExitCode.NOT_COMPARABLE: "something could not be compared, or a file was refused",
    ExitCode.CASE_FAILED: "a case failed, or there is no result",
}

_VERDICT_LEVELS: Mapping[str, Level] = {
    "pass": "none",
    "ungated": "none",
    "not comparable": "notice",
    "better": "warning",
    "inconclusive": "warning",
    "fail": "error",
    "missing": "error",
}


@dataclass(frozen=True)
class Verdict:
    """One metric of one comparison.

    ``reference`` is the figure it is held against, a baseline's too; ``difference`` is value minus reference;
    ``tolerance`` is how much worse still passes; ``error`` is half the width of the 95 % interval of the difference,
    from sampling: all in ``unit``. ``reason`` says why for every status but ``pass``, and for a ``warning``;
    ``detail`` says how it was decided, where that is not the tolerance alone.
    """

    metric: str
    status: VerdictStatus
    unit: str
    direction: str
    value: float | None
    reference: float | None = None
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None
    error: float | None = None
    warning: bool = False
    detail: str | None = None

    @property
    def label(self) -> str:
        """The status in one word or two; ``warn`` for a pass beyond its warning level."""
        return "warn" if self.warning else self.status

    def level(self, strict: bool = False) -> Level:
        """How loud this is to be said; ``strict`` makes every warning an error."""
        level = "warning" if self.warning else _VERDICT_LEVELS[self.status]
        return "error" if strict and level == "warning" else level


@dataclass(frozen=True)
class Difference:
    """One thing in which a result differs from what it is held against.

    ``name`` is what ``--allow`` takes, and is empty where nothing has to be allowed (software, host). ``blocks`` says
    which verdicts it rules out; ``allowed`` that a user has let it through.
    """

    name: str
    path: str
    ours: str
    theirs: str
    blocks: Literal["all", "speed", "nothing"] = "all"
    allowed: bool = False

    def sentence(self, against: str) -> str:
        """It in words; ``against`` is ``reference`` or ``baseline``."""
        return f"{self.path} is {self.ours}, the {against} has {self.theirs}"


@dataclass(frozen=True)
class Against:
    """What results were held against: published figures, or earlier runs."""

    kind: Literal["reference", "baseline"]
    name: str
    source: str
    date: str | None
    device: str | None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The results of one case, mostly one, held against one reference or baseline.

    ``reasons`` has a sentence for all that keeps it from passing, ``warnings`` for all that a person should look at
    though it passes, ``differences`` all that differs, blocking or not. ``epoch`` is the last one evaluated.
    """

    runs: tuple[str, ...]
    suite: str
    case: str
    device: str | None
    precision: str | None
    ranks: int | None
    epoch: int | None
    against: Against | None
    status: ComparisonStatus
    verdicts: tuple[Verdict, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def title(self) -> str:
        """The run's id; of several runs the case and how many they are."""
        return self.runs[0] if len(self.runs) == 1 else f"{self.case} ({len(self.runs)} runs)"

    def level(self, strict: bool = False) -> Level:
        """How loud this is to be said; ``strict`` makes every warning an error."""
        if self.status == "pass" and not self.warnings:
            return "none"
        if self.status in ("pass", "better", "inconclusive"):
            return "error" if strict else "warning"
        return "error"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = dict(vars(self))
        data["against"] = {**vars(self.against), "runs": list(self.against.runs)} if self.against else None
        data["verdicts"] = [vars(verdict) for verdict in self.verdicts]
        data["differences"] = [vars(difference) for difference in self.differences]
        return data | {key: list(data[key]) for key in ("runs", "reasons", "warnings")}


@dataclass(frozen=True)
class Judgement:
    """Everything that one ``compare`` says; every output is made from this alone.

    ``problems`` name each file that was refused. ``strict``: a warning, better or inconclusive fails too.
    """

    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...] = ()
    strict: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """One code for all: the first row of the table in docs/comparing.md that applies.

        3 a file was refused; 4 there is no result, or a case failed; 1 a gate failed, a missing metric being a failed
        gate, or there is a warning and ``strict``; 3 a result is not comparable, or has no reference or baseline;
        0 every result passes.
        """
        statuses = {comparison.status for comparison in self.comparisons}
        if self.problems:
            return ExitCode.NOT_COMPARABLE
        if not statuses or "failed case" in statuses:
            return ExitCode.CASE_FAILED
        if "fail" in statuses or (self.strict and any(c.level() == "warning" for c in self.comparisons)):
            return ExitCode.GATE_FAILED
        return ExitCode.PASS if statuses <= {"pass", "better", "inconclusive"} else ExitCode.NOT_COMPARABLE

    @property
    def meaning(self) -> str:
        """The exit code in words."""
        code = self.exit_code
        warned = [comparison for comparison in self.comparisons if comparison.level() == "warning"]
        if not warned or code not in (ExitCode.PASS, ExitCode.GATE_FAILED):
            return MEANINGS[code]
        if code == ExitCode.PASS:
            return f"no gate failed, {len(warned)} with a warning"
        return MEANINGS[code] if any(c.status == "fail" for c in self.comparisons) else "a warning, and --strict"


def comparison_data(judgement: Judgement) -> dict[str, Any]:
    """All of it as plain data, for ``--format json``: comparison.schema.json."""
    return {
        "kind": "clipbench.comparison",
        "schema_version": 2,
        "exit_code": int(judgement.exit_code),
        "meaning": judgement.meaning,
        "strict": judgement.strict,
        "problems": list(judgement.problems),
        "comparisons": [comparison.to_dict() for comparison in judgement.comparisons],
    }


def overall(verdicts: Sequence[Verdict]) -> ComparisonStatus:
    """What the verdicts of one comparison come to; without a gate that could be compared it is not comparable."""
    gated = {verdict.status for verdict in verdicts if verdict.status in GATED}
    if not gated:
        return "not comparable"
    if gated & {"fail", "missing"}:
        return "fail"
    return "inconclusive" if "inconclusive" in gated else "better" if "better" in gated else "pass"
