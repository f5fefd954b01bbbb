"""Text of others is shown and does nothing."""

import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api.result import Window
from clipbench.api.text import MOST_CHARACTERS, printable, printable_data
from clipbench.files.json_file import json_text
from tests.fuzz.trials import check_printed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("\udc80", r"\udc80"),
        ("one\ntwo\r\u2028three", r"one\ntwo\r\u2028three"),
        ("\U000e0001", r"\U000e0001"),
        ("::error::owned", r"\x3a:error::owned"),
        ("  ::add-mask::x", r"  \x3a:add-mask::x"),
        ("a ##[error]b", r"a \x23#[error]b"),
        ("##vso[task.complete]", r"\x23#vso[task.complete]"),
        ("##teamcity[message]", r"\x23#teamcity[message]"),
        ("a::b, ## c, 中文\u3000ü\u00a0🙂", "a::b, ## c, 中文\u3000ü\u00a0🙂"),
    ],
)
def test_what_is_no_plain_text_is_written_out(text, shown):
    assert printable(text) == shown


def test_lines_are_kept_where_there_may_be_several():
    assert printable("one\n::error::two\tthree", lines=True) == "one\n\\x3a:error::two\\tthree"


@given(st.text(st.characters() | st.sampled_from("\x1b\n\r:#[\u202e\udc80")), st.booleans())
def test_any_text_is_harmless_and_harmless_text_is_itself(text, lines):
    shown = printable(text, lines)
    check_printed(shown, with_commands=False)
    assert "\n" not in shown or lines
    assert printable(shown, lines) == shown


def test_a_long_text_is_cut_and_says_so():
    assert printable("9" * (MOST_CHARACTERS + 1234)) == "9" * MOST_CHARACTERS + "... (1,234 more characters)"


def test_data_keeps_its_shape():
    @dataclass(frozen=True)
    class Thing:
        name: str
        place: Path
        parts: tuple
        more: dict

    window, other = Window(1, 2.0, 0.5), object()
    thing = printable_data(Thing("\x1b", Path("/a\nb"), ("\x00", 7, [window, None]), {"\x1b": {"a": True, "b": other}}))
    assert thing == Thing(r"\x1b", Path(r"/a\nb"), (r"\x00", 7, [window, None]), {r"\x1b": {"a": True, "b": other}})
    assert type(thing.parts[2][0]) is Window


@given(st.text(st.characters() | st.sampled_from("\x1b\n\r:#[\u202e\udc80\U000e0001")))
def test_json_says_the_same_in_characters_that_are_shown(text):
    written = json_text({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert all(c.isprintable() or c == "\n" or unicodedata.category(c) == "Zs" for c in written)
    assert "##[" not in written
