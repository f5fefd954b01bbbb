"""Judgements for tests of reports: one by hand, and any at all."""

from hypothesis import strategies as st

from clipbench.compare.verdicts import (
    FAIL_ON,
    Against,
    Bootstrap,
    Cause,
    Comparison,
    CurveMatch,
    Difference,
    Failure,
    Judgement,
    TimingTest,
    Unmatched,
    Verdict,
    overall,
)
from clipbench.results.measures.metrics import UNITS_AND_DIRECTIONS

UNJUDGED = ("not comparable", "no reference", "no baseline", "failed case")
# A cause for each status whose sentence is known in advance, and the field that the sentence needs.
CAUSES = {
    "pass": None,
    "fail": Cause.TOLERANCE,
    "better": Cause.BETTER,
    "inconclusive": Cause.CHANCE,
    "not comparable": Cause.OWN_CONDITIONS,
    "missing": Cause.NO_VALUE,
    "ungated": Cause.NO_FIGURE,
}
SPLIT = Difference("data", "dataset.val.split", "en_val", "en_test")
BASELINE = Against("baseline", "nightly", "driver 2", "2026-01-01T00:00:00Z", "a processor", ("a",))
CHANGED = tuple(
    Difference("", path, ours, theirs, "nothing")
    for path, ours, theirs in [
        ("environment.python", "3.12", "3.11"),
        ("environment.packages.torch", "2.5", "2.4"),
        ("clipbench.commit", "3c4d", "1a2b"),
        ("clipbench.dirty", "true", "false"),
    ]
)
APART = "is 90.00 %, 0.91 points below the reference's 90.91"
REASONS = {
    "fail": f"{APART} (at most 1 point is allowed)",
    "better": f"{APART} (better by more than 1 point): check it, or adopt it as the baseline",
    "inconclusive": f"{APART}, which may still be chance (+/- 0.61 points); 3 runs on each side are likely to decide: "
    "2 more here and 3 more in the baseline",
    "not comparable": "is not compared: dataset.val.split is en_val, the reference has en_test",
    "missing": "is missing: not measured",
    "ungated": "is only shown: the reference has no such figure",
}


def verdict(metric="recall_mean", status="pass", **changes):
    """A verdict of 90.00 against 90.91, whose reason is that of ``REASONS``."""
    unit, direction = UNITS_AND_DIRECTIONS.get(metric, ("percent", "higher"))
    values = {"value": 90.0, "reference": 90.91, "tolerance": 1.0, "error": 0.61, "limit": 1.0}
    values |= {"cause": CAUSES[status], "note": "not measured" if status == "missing" else None}
    values |= {"differences": (SPLIT,)} if status == "not comparable" else {}
    values |= {"runs_needed": 3} if status == "inconclusive" else {}
    return Verdict(metric, unit, direction, **{**values, **changes})


def comparison(*verdicts, status=None, **changes):
    """A comparison of one run with a reference; one that was not judged has the reason of ``whole``."""
    verdicts = verdicts or (verdict(),)
    status = status or overall(verdicts)
    values = {
        "runs": ("mine-20260101T000000Z-abcd",),
        "suite": "mine",
        "case": "mine",
        "device": "a processor",
        "precision": "float32",
        "engine": "torch",
        "world_size": 1,
        "epoch": 50,
        "against": Against("reference", "figures", "a source", None, "SDAA"),
        "status": status,
        "verdicts": tuple(verdicts),
        **whole(status),
    }
    return Comparison(**{**values, **changes})


def whole(status, text="mine"):
    """The facts that a comparison of ``status`` has beside its verdicts, with ``text`` in them."""
    return {
        "failed case": {"failure": Failure("failed", text)},
        "no reference": {"unmatched": Unmatched("reference", text)},
        "no baseline": {"unmatched": Unmatched("baseline", text)},
        "not comparable": {"differences": (Difference("data", "dataset.name", text, "theirs"),)},
    }.get(status, {})


def judgement(*comparisons, problems=(), fail_on=()):
    return Judgement(tuple(comparisons), tuple(problems), frozenset(fail_on))


# --- any at all, with the nastiest of texts -----------------------------------------------------------------------

texts = (
    st.text(max_size=30)
    | st.text(alphabet="_*`|~a0 \\<&@#[].\n{}", max_size=14)
    | st.sampled_from(
        ["a|b", "<b>&", "__a_ b_c_ _d__e __0__ *f*", "x\x1b[31m\x00", "`` ` ", "50%\r\n::error::x", "\ud800", "{kind}"]
    )
)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.none() | finite
counts = st.integers(1, 9)
differences = st.builds(
    Difference, texts, texts, texts, texts, st.sampled_from(["all", "speed", "nothing"]), st.booleans()
)
evidence = (
    st.builds(Bootstrap, counts, st.booleans(), st.tuples(counts, counts), st.booleans())
    | st.builds(
        TimingTest,
        st.sampled_from(["runs ranked", "blocks ranked", "t test"]),
        st.tuples(counts, counts),
        finite,
        st.none() | st.tuples(counts, counts),
    )
    | st.builds(CurveMatch, finite, finite, finite, finite, st.lists(counts, max_size=2).map(tuple))
)
CAUSES_OF = {
    "pass": (None, Cause.WARN),
    "fail": (Cause.TOLERANCE,),
    "better": (Cause.BETTER,),
    "inconclusive": (Cause.OUTLIERS, Cause.CHANCE, Cause.UNDETECTED_LOSS),
    "not comparable": (Cause.CONDITIONS, Cause.OWN_CONDITIONS),
    "missing": (Cause.NO_VALUE, Cause.NO_QUERY_RANKS),
    "ungated": (Cause.CASE_FAILED, Cause.UNMATCHED, Cause.NO_FIGURE, Cause.NO_LIMIT, Cause.OTHER_SEED),
}


@st.composite
def verdicts(draw):
    status = draw(st.sampled_from(sorted(CAUSES_OF)))
    return Verdict(
        metric=draw(texts),
        unit=draw(texts),
        direction=draw(st.sampled_from(["higher", "lower"])),
        value=draw(numbers),
        reference=draw(numbers),
        tolerance=draw(numbers),
        error=draw(numbers),
        cause=draw(st.sampled_from(CAUSES_OF[status])),
        limit=draw(numbers),
        p_value=draw(st.none() | st.floats(0, 1)),
        evidence=draw(st.none() | evidence),
        note=draw(st.none() | texts),
        differences=tuple(draw(st.lists(differences, max_size=2))),
        runs_needed=draw(st.none() | st.integers(2, 50)),
    )


@st.composite
def comparisons(draw):
    found = draw(st.lists(verdicts(), max_size=4))
    status = draw(st.sampled_from(UNJUDGED) | st.just(overall(found)))
    return comparison(
        status=status,
        runs=tuple(draw(st.lists(texts, min_size=1, max_size=2))),
        case=draw(texts),
        engine=draw(st.none() | texts),
        device=draw(st.none() | texts),
        verdicts=tuple(found),
        against=draw(st.none() | st.just(Against("baseline", "b|ase", None, None, None))),
        **{"differences": tuple(draw(st.lists(differences, max_size=2))), **whole(status, draw(texts))},
    )


judgements = st.builds(
    Judgement,
    st.lists(comparisons(), max_size=3).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    st.frozensets(st.sampled_from(FAIL_ON)),
)
