"""Numbers as short text: values, differences and tolerances of a report."""

from collections.abc import Callable

from clipbench.compare.verdicts import Verdict
from clipbench.report.metric_words import unit_words

NONE = "-"
MINUS = "\N{MINUS SIGN}"


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
    """Return a number as its unit is read: percent with two decimals, else four digits that count; a dash for None."""
    if value is None:
        return "–"
    if unit == "percent":
        text = f"{round(value, 2) + 0.0:{sign}.2f}"
    elif abs(value) >= 1000:
        text = f"{value:{sign},.0f}"
    else:
        text = f"{value:{sign}.4g}"
    return text.replace("-", MINUS) if "e" not in text else text


def plain_figure(value: float | None, unit: str) -> str:
    """Return a number as ``figure`` does, in ASCII."""
    return figure(value, unit).replace(MINUS, "-").replace("–", NONE)


def amount(value: float | None, unit: str) -> str:
    """Return a number with its unit, in ASCII, as a sentence has it."""
    return f"{plain_figure(value, unit)} {unit_words(unit)}".rstrip()


def difference_text(verdict: Verdict, form: Callable[..., str] = quantity) -> str:
    """Return value minus reference, with half the width of its 95 % interval where that is known."""
    error = "" if verdict.difference is None or verdict.error is None else f" ± {form(verdict.error)}"
    return form(verdict.difference, sign="+") + error


def allowed_text(verdict: Verdict, form: Callable[..., str] = quantity, minus: str = "-") -> str:
    """Return how much worse passes, with the sign that worse has."""
    sign = "" if verdict.tolerance is None else minus if verdict.direction == "higher" else "+"
    return sign + form(verdict.tolerance)
