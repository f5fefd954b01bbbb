"""Numbers as text, for columns, tables and the page."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipbench.report.quantity import allowed_text, difference_text, figure, quantity
from tests.support.judgements import verdict


@pytest.mark.parametrize(
    ("value", "sign", "width", "text"),
    [
        (None, "", 12, "-"),
        (96.526666, "", 12, "96.53"),
        (-0.0, "", 12, "0.00"),
        (0.01234, "+", 12, "+0.0123"),
        (123456.78, "", 12, "123456.78"),
        (123456.78, "", 8, "123456.8"),
        (123456.78, "", 6, "123457"),
        (1.234e30, "", 12, "1.23e+30"),
        (1.234e30, "", 6, "1e+30"),
    ],
)
def test_quantities_with_two_decimals_or_as_many_as_fit(value, sign, width, text):
    assert quantity(value, sign, width) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.125)  # halfway between two texts
def test_a_quantity_fits_its_column_about_right(value):
    text = quantity(value)
    assert len(text) <= 12 and (float(text) == pytest.approx(value, rel=0.01, abs=0.00501) or abs(value) > 1.7e308)


def test_differences_and_what_passes():
    assert difference_text(verdict()) == "-0.91 ± 0.61" and difference_text(verdict(error=None)) == "-0.91"
    assert difference_text(verdict(reference=None)) == "-"
    assert allowed_text(verdict()) == "-1.00" and allowed_text(verdict("val_loss")) == "+1.0000"
    assert allowed_text(verdict(tolerance=None)) == "-"
    assert allowed_text(verdict(), figure) == "−1.00"


@pytest.mark.parametrize(
    ("value", "unit", "sign", "words"),
    [
        (96.526666, "percent", "", "96.53"),
        (-0.001, "percent", "+", "+0.00"),
        (-1.5, "percent", "+", "−1.50"),
        (0.0897, "nats", "", "0.0897"),
        (12345.6, "pairs/s", "", "12,345.6"),
        (0.09312, "nats", "", "0.0931"),
        (0.5, "nats", "+", "+0.5000"),
        (0.00000312, "nats", "", "3.1e-06"),
        (1.234e30, "pairs/s", "", "1.234e+30"),
        (98.7, "of another", "", "98.7"),
        (None, "percent", "", "–"),
    ],
)
def test_figures_in_words(value, unit, sign, words):
    assert figure(value, unit, sign) == words
