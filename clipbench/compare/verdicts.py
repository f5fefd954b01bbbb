"""What a comparison comes to: a verdict for each metric, a status for each result, one exit code for all.

Facts only: ``clipbench.report.judgement.wording`` makes the sentences.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, get_args

from clipbench.api import Direction, ExitCode, finite

VerdictStatus = Literal["pass", "fail", "better", "inconclusive", "not comparable", "missing", "ungated"]
# From worst to best.
ComparisonStatus = Literal[
    "failed case", "fail", "not comparable", "no reference", "no baseline", "inconclusive", "better", "pass"
]
Level = Literal["none", "notice", "warning", "error"]
FailOn = Literal["fail", "warn", "inconclusive", "better"]
Kind = Literal["reference", "baseline"]

# Several comparisons come to the first of these that one of them has.
WORST_FIRST: tuple[ComparisonStatus, ...] = get_args(ComparisonStatus)
# What a user may ask to fail on, by the label of a verdict; what fails or is missing always does.
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)

# Severity by the label of a verdict; any other has none.
_LEVELS: Mapping[str, Level] = {
    **dict.fromkeys(("fail", "missing"), "error"),
    **dict.fromkeys(("warn", "better", "inconclusive"), "warning"),
    "not comparable": "notice",
}


class Cause(Enum):
    """Why a verdict is not a plain pass, and its ``status`` for that; the comment names the fields that belong to it.

    A plain pass has none.
    """

    status: VerdictStatus

    def __init__(self, _words: str, status: VerdictStatus) -> None:
        self.status = status

    CASE_FAILED = "case failed", "ungated"  # the comparison's ``failure``
    UNMATCHED = "unmatched", "ungated"  # the comparison's ``unmatched``
    NO_FIGURE = "no figure", "ungated"  # the reference or baseline has no such metric
    NO_LIMIT = "no limit", "ungated"  # shown, not gated; ``note``: what else there is to know
    OTHER_SEED = "other seed", "ungated"  # loss curves of other seeds are shown, not gated
    CONDITIONS = "conditions", "not comparable"  # the comparison's ``bad_images`` and ``differences`` rule it out
    OWN_CONDITIONS = "own conditions", "not comparable"  # ``differences`` rule out this metric alone
    NO_VALUE = "no value", "missing"  # ``note``: why; None: the result has no such metric
    NO_QUERY_RANKS = "no query ranks", "missing"  # not stored, or they do not give the recall that is stated
    OUTLIERS = "outliers", "inconclusive"  # a few windows decide: ``evidence`` has the median gain
    CHANCE = "chance", "inconclusive"  # the loss is large enough to count, but may still be chance: ``p_value``
    UNDETECTED_LOSS = "undetected loss", "inconclusive"  # the error may hide a loss of ``limit``
    TOLERANCE = "tolerance", "fail"  # worse by more than ``limit``; of a loss curve: ``evidence`` says how far
    WARN = "warn", "pass"  # within the tolerance, but worse by more than ``limit``
    BETTER = "better", "better"  # better by more than ``limit``


def status_of(cause: Cause | None) -> VerdictStatus:
    """Return the status of a verdict with this cause."""
    return cause.status if cause else "pass"


@dataclass(frozen=True)
class Difference:
    """One thing in which a result differs from the reference or baseline it is compared with.

    ``path`` is dotted, into the result. ``name`` is the value of ``--allow`` that accepts it, empty where nothing has
    to be allowed (software, host). ``blocks`` says which verdicts it rules out; ``allowed`` that the user accepts it.
    """

    name: str
    path: str
    ours: str
    theirs: str
    blocks: Literal["all", "speed", "nothing"] = "all"
    allowed: bool = False


@dataclass(frozen=True)
class Bootstrap:
    """How recalls were compared: images drawn with replacement, the same for both sides where ``paired``.

    ``seeds`` has the number of seeds on each side, ``same_seeds`` says whether they are the same ones.
    """

    images: int
    paired: bool
    seeds: tuple[int, int]
    same_seeds: bool


@dataclass(frozen=True)
class TimingTest:
    """How throughput was compared: the ``test``, on ``samples`` of each side.

    ``runs`` has the number of runs on each side where their spread counted too. ``median_gain`` is the difference
    between the median windows, as a share of the baseline's rate.
    """

    test: Literal["runs ranked", "blocks ranked", "t test"]
    samples: tuple[int, int]
    median_gain: float
    runs: tuple[int, int] | None = None


@dataclass(frozen=True)
class CurveMatch:
    """How far two loss curves are apart: mean relative error (a share), mean absolute error (nats), their limits.

    ``seeds`` are those that both sides have, each compared with its own; empty where one curve was published.
    """

    relative: float
    absolute: float
    relative_limit: float
    absolute_limit: float
    seeds: tuple[int, ...] = ()

    @property
    def matches(self) -> bool:
        """The rule that SDAA's vendor checks training by: either error is small enough."""
        return self.relative <= self.relative_limit or self.absolute <= self.absolute_limit


@dataclass(frozen=True)
class NumericsSteps:
    """The ``steps`` that a figure of a check of numerics is of, and the largest one that passes, ``most``.

    ``trusted`` is the device whose steps they are compared with; None for steps in which the loss has to fall.
    """

    steps: int
    most: float
    trusted: str | None = None


Evidence = Bootstrap | TimingTest | CurveMatch | NumericsSteps


@dataclass(frozen=True)
class Verdict:
    """One metric of one comparison.

    ``reference`` is the figure it is compared with, a baseline's too; ``tolerance`` how much worse still passes;
    ``error`` half the width of the 95 % interval of the difference, from sampling; ``limit`` the one that the
    ``cause`` names: all in ``unit``. ``p_value`` is the chance of a difference so large if nothing had changed,
    ``evidence`` how that was found. ``note`` says in words why there is no value, as the result states it.
    ``differences`` rule out comparing this metric alone. ``runs_needed`` on each side would decide what is
    inconclusive: seeds of a recall, repeats of a throughput; None where no number of them would.
    """

    metric: str
    unit: str
    direction: Direction
    value: float | None
    reference: float | None = None
    tolerance: float | None = None
    error: float | None = None
    cause: Cause | None = None
    limit: float | None = None
    p_value: float | None = None
    evidence: Evidence | None = None
    note: str | None = None
    differences: tuple[Difference, ...] = ()
    runs_needed: int | None = None

    @property
    def status(self) -> VerdictStatus:
        """What the cause makes of it."""
        return status_of(self.cause)

    @property
    def difference(self) -> float | None:
        """Value minus reference; None where either is None, the two are not comparable, or it overflows."""
        if self.value is None or self.reference is None or self.status == "not comparable":
            return None
        return finite(self.value - self.reference)

    @property
    def label(self) -> str:
        """The status in one word or two; ``warn`` for a pass beyond its warning level."""
        return "warn" if self.cause is Cause.WARN else self.status

    def level(self, fail_on: Collection[str] = ()) -> Level:
        """Return the severity; a label that is in ``fail_on`` is an error."""
        return "error" if self.label in fail_on else _LEVELS.get(self.label, "none")


@dataclass(frozen=True)
class Against:
    """What results were compared with: published figures, or earlier runs.

    ``source`` is where a reference was published, or why a baseline was adopted; None for results that were named on
    the command line alone.
    """

    kind: Kind
    name: str
    source: str | None
    date: str | None
    device: str | None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unmatched:
    """Why there is nothing to compare a result with.

    ``name`` is that of a reference (None: the suite names none), or the case and device of a baseline; ``known``
    has those that there are.
    """

    kind: Kind
    name: str | None
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """How a case ended that did not complete, and the first line of its error."""

    status: Literal["failed", "interrupted"]
    message: str


@dataclass(frozen=True)
class Hindrance:
    """What slowed a run's devices down: ``throttled`` has seconds by reason, of the ``seconds`` that were measured."""

    run: str
    throttled: Mapping[str, float]
    seconds: float
    shared: bool


@dataclass(frozen=True)
class Comparison:
    """The results of one case, mostly one, compared with one reference or baseline.

    ``differences`` has all that differs, blocking or not. ``bad_images`` has, for each run on either side that left
    out unreadable images, their number. ``epoch`` is the last one evaluated.
    """

    runs: tuple[str, ...]
    suite: str
    case: str
    engine: str | None
    device: str | None
    precision: str | None
    world_size: int
    epoch: int | None
    against: Against | None
    status: ComparisonStatus
    verdicts: tuple[Verdict, ...]
    differences: tuple[Difference, ...] = ()
    bad_images: tuple[int, ...] = ()
    unmatched: Unmatched | None = None
    failure: Failure | None = None
    hindrances: tuple[Hindrance, ...] = ()

    @property
    def title(self) -> str:
        """The run's id; of several runs the case and their number."""
        return self.runs[0] if len(self.runs) == 1 else f"{self.case} ({len(self.runs)} runs)"

    @property
    def unjudged(self) -> bool:
        """Whether no metric decided its status: the case failed, or could not be compared."""
        return self.status in ("failed case", "no reference", "no baseline", "not comparable")

    @property
    def blocking(self) -> tuple[Difference, ...]:
        """The differences that make it not comparable."""
        return tuple(d for d in self.differences if d.blocks == "all" and not d.allowed)

    @property
    def warned(self) -> tuple[Verdict, ...]:
        """The verdicts that a person should look at though they pass."""
        return tuple(verdict for verdict in self.verdicts if verdict.level() == "warning")

    @property
    def label(self) -> str:
        """The status in a word or two; ``warn`` for a pass with a warning."""
        return "warn" if self.status == "pass" and self.warned else self.status

    def level(self, fail_on: Collection[str] = ()) -> Level:
        """Return the severity; a status, or a label of a verdict, that is in ``fail_on`` is an error."""
        if self.status not in ("pass", "better", "inconclusive"):
            return "error"
        if fail_on and any(label in fail_on for label in (self.status, *(verdict.label for verdict in self.verdicts))):
            return "error"
        return "none" if self.label == "pass" else "warning"


@dataclass(frozen=True)
class Seen:
    """Everything that was found under the paths: how many results are judged, and what is not.

    ``older`` has the ids of runs that are history, ``copies`` counts files with the result of another, ``of_baseline``
    runs that the others are compared with, ``refused`` problems, ``others`` files that are no results.
    """

    judged: int = 0
    older: tuple[str, ...] = ()
    copies: int = 0
    of_baseline: int = 0
    refused: int = 0
    others: int = 0


@dataclass(frozen=True)
class Judgement:
    """Everything that one ``compare`` finds; every output is made from this alone.

    ``problems`` name each file that was refused. ``fail_on`` has what fails beside what always does.
    """

    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...] = ()
    fail_on: frozenset[FailOn] = frozenset()
    seen: Seen = field(default_factory=Seen)

    @property
    def exit_code(self) -> ExitCode:
        """One code for all: the first row of the table in docs/comparing.md that applies.

        3 a file was refused; 4 there is no result, or a case failed; 1 a gate failed, a missing metric being a failed
        gate, and so is what ``fail_on`` names; 3 a result is not comparable, or has no reference or baseline; 0 no gate
        failed.
        """
        statuses = {comparison.status for comparison in self.comparisons}
        if self.problems:
            return ExitCode.NOT_COMPARABLE
        if not statuses or "failed case" in statuses:
            return ExitCode.CASE_FAILED
        if "fail" in statuses or any(c.level(self.fail_on) == "error" for c in self.comparisons if not c.unjudged):
            return ExitCode.GATE_FAILED
        return ExitCode.PASS if statuses <= {"pass", "better", "inconclusive"} else ExitCode.NOT_COMPARABLE

    @property
    def level(self) -> Level:
        """The severity of the whole: a warning where it passes, yet something in it does not simply pass."""
        if self.exit_code:
            return "error"
        return "warning" if any(comparison.level() == "warning" for comparison in self.comparisons) else "none"


def overall(verdicts: Iterable[Verdict]) -> ComparisonStatus:
    """Return what the verdicts of one comparison come to; without a gate that could be compared, not comparable."""
    gated = {"fail" if v.status == "missing" else v.status for v in verdicts} - {"not comparable", "ungated"}
    return next((status for status in WORST_FIRST if status in gated), "not comparable")


def worst(statuses: Iterable[ComparisonStatus]) -> ComparisonStatus:
    """Return what several comparisons of one result come to; raise ValueError without any."""
    return min(statuses, key=WORST_FIRST.index)
