"""Values, differences and tolerances as short text, for reports without columns to fit into."""

from __future__ import annotations

from clipbench.compare.verdicts import Verdict

NONE = "-"


def quantity(value: float | None, sign: str = "") -> str:
    """A number with two decimals, a small one with three digits, a huge one with an exponent; a dash for None."""
    if value is None:
        return NONE
    if abs(value) >= 1e9 or 0 < abs(value) < 0.1:
        return f"{value:{sign}.3g}"
    return f"{value + 0.0:{sign}.2f}"  # no "-0.00"


def difference_text(verdict: Verdict) -> str:
    """Value minus reference, with half the width of its 95 % interval where that is known."""
    if verdict.difference is None:
        return NONE
    error = "" if verdict.error is None else f" ± {quantity(verdict.error)}"
    return quantity(verdict.difference, "+") + error


def allowed_text(verdict: Verdict) -> str:
    """How much worse passes, with the sign that worse has."""
    if verdict.tolerance is None:
        return NONE
    return ("-" if verdict.direction == "higher" else "+") + quantity(verdict.tolerance)
