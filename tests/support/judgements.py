"""Judgements for tests of what they are put out as: one by hand, and any at all."""

from hypothesis import strategies as st

from clipbench.compare.verdicts import Against, Comparison, Difference, Judgement, Verdict, overall
from clipbench.results.metrics import UNITS_AND_DIRECTIONS

UNJUDGED = ("not comparable", "no reference", "no baseline", "failed case")


def verdict(metric="recall_mean", status="pass", **changes):
    unit, direction = UNITS_AND_DIRECTIONS.get(metric, ("percent", "higher"))
    values = {"value": 90.0, "reference": 90.91, "difference": -0.91, "tolerance": 1.0, "error": 0.61}
    if status != "pass":
        values["reason"] = f"because it is {status}"
    return Verdict(metric, status, unit, direction, **{**values, **changes})


def comparison(*verdicts, status=None, **changes):
    verdicts = verdicts or (verdict(),)
    status = status or overall(verdicts)
    said = [f"{v.metric}: {v.reason}" for v in verdicts]
    reasons = [
        line for v, line in zip(verdicts, said, strict=True) if v.status in ("fail", "missing", "not comparable")
    ]
    values = {
        "runs": ("mine-20260101T000000Z-abcd",),
        "suite": "mine",
        "case": "mine",
        "device": "a processor",
        "precision": "float32",
        "ranks": 1,
        "epoch": 50,
        "against": Against("reference", "figures", "a source", None, "SDAA"),
        "status": status,
        "verdicts": tuple(verdicts),
        "reasons": tuple(reasons) if status not in UNJUDGED else (f"it is {status}",),
        "warnings": tuple(line for v, line in zip(verdicts, said, strict=True) if v.level() == "warning"),
    }
    return Comparison(**{**values, **changes})


def judgement(*comparisons, problems=(), strict=False):
    return Judgement(tuple(comparisons), tuple(problems), strict)


# --- any at all, with the nastiest of texts -----------------------------------------------------------------------

texts = (
    st.text(max_size=30)
    | st.text(alphabet="_*`|~a0 \\<&@#[].\n", max_size=14)
    | st.sampled_from(
        ["a|b", "<b>&", "__a_ b_c_ _d__e __0__ *f*", "x\x1b[31m\x00", "`` ` ", "50%\r\n::error::x", "\ud800"]
    )
)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
statuses = st.sampled_from(["pass", "fail", "better", "inconclusive", "not comparable", "missing", "ungated"])


@st.composite
def verdicts(draw):
    status = draw(statuses)
    return Verdict(
        metric=draw(texts),
        status=status,
        unit=draw(texts),
        direction=draw(st.sampled_from(["higher", "lower"])),
        value=draw(numbers),
        reference=draw(numbers),
        difference=draw(numbers),
        tolerance=draw(numbers),
        reason=draw(texts if status != "pass" else st.none() | texts),
        error=draw(numbers),
        warning=draw(st.booleans()) if status == "pass" else False,
        detail=draw(st.none() | texts),
    )


differences = st.builds(
    Difference, texts, texts, texts, texts, st.sampled_from(["all", "speed", "nothing"]), st.booleans()
)


@st.composite
def comparisons(draw):
    found = draw(st.lists(verdicts(), max_size=4))
    status = draw(st.sampled_from(UNJUDGED) | st.just(overall(found)))
    return comparison(
        status=status,
        runs=tuple(draw(st.lists(texts, min_size=1, max_size=2))),
        case=draw(texts),
        device=draw(st.none() | texts),
        verdicts=tuple(found),
        reasons=(draw(texts),),
        warnings=tuple(f"{v.metric}: {v.reason}" for v in found if v.level() == "warning"),
        differences=tuple(draw(st.lists(differences, max_size=2))),
        against=draw(st.none() | st.just(Against("baseline", "b|ase", "", None, None))),
    )


judgements = st.builds(
    Judgement,
    st.lists(comparisons(), max_size=3).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    st.booleans(),
)
