"""Numbers as short text: values, differences and tolerances of a report."""

from collections.abc import Callable

from clipbench.compare.verdicts import Verdict
from clipbench.report.metric_words import unit_words

NONE = "-"
MINUS = "\N{MINUS SIGN}"
# Decimals of every figure with this unit, so that the figures of a metric can be compared at a glance.
DECIMALS = {
    **{"percent": 2, "nats": 4, "pairs/s": 1, "epochs": 0},
    **{"s": 1, "ms": 2, "J": 1, "W": 1, "°C": 0, "MB": 0},
}


def quantity(value: float | None, sign: str = "", width: int = 12, small: float = 0.1) -> str:
    """Return a number with two decimals, or as many as ``width`` has room for; a dash for None.

    Three digits where it is below ``small``, or so large that even no decimals leave no room.
    """
    if value is None:
        return NONE
    if 0 < abs(value) < small:
        return f"{value:{sign}.3g}"
    rounded = round(value, 2) + 0.0  # no "-0.00"
    forms = [*(f"{rounded:{sign}.{decimals}f}" for decimals in (2, 1, 0)), f"{value:{sign}.3g}"]
    return next((form for form in forms if len(form) <= width), f"{value:{sign}.0e}")


def figure(value: float | None, unit: str = "", sign: str = "") -> str:
    """Return a number with the decimals of its unit; a dash for None.

    A unit that is not known has four digits that count. A number that would be rounded to zero has two, unless it has a
    ``sign``: a difference that small is none.
    """
    if value is None:
        return "–"
    decimals = DECIMALS.get(unit, 0 if abs(value) >= 1000 else None)
    if decimals is None or abs(value) >= 1e12:
        text = f"{value:{sign}.4g}"
    elif value and round(value, decimals) == 0 and unit != "percent" and not sign:
        text = f"{value:{sign}.2g}"
    else:
        text = f"{round(value, decimals) + 0.0:{sign},.{decimals}f}"  # no "-0.00"
    return text.replace("-", MINUS) if "e" not in text else text


def plain_figure(value: float | None, unit: str = "", sign: str = "") -> str:
    """Return a number as ``figure`` does, in ASCII."""
    return figure(value, unit, sign).replace(MINUS, "-").replace("–", NONE)


def amount(value: float | None, unit: str) -> str:
    """Return a number with its unit, in ASCII, as a sentence has it."""
    return f"{plain_figure(value, unit)} {unit_words(unit)}".rstrip()


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural ends in s: ``1 node``, ``1,000 nodes``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def difference_text(verdict: Verdict, form: Callable[..., str] = plain_figure) -> str:
    """Return value minus reference, with half the width of its 95 % interval where that is known."""
    unknown = verdict.difference is None or verdict.error is None
    error = "" if unknown else f" ± {form(verdict.error, verdict.unit)}"
    return form(verdict.difference, verdict.unit, "+") + error


def allowed_text(verdict: Verdict, form: Callable[..., str] = plain_figure) -> str:
    """Return how much worse passes, with the sign that worse has."""
    if verdict.tolerance is None or verdict.direction == "lower":
        return form(verdict.tolerance, verdict.unit, "+")
    return form(-verdict.tolerance, verdict.unit, "+")
