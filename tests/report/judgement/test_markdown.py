"""Markdown, as a renderer of GitHub's dialect reads it."""

import html
import re

import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from clipbench.compare.verdicts import Difference
from clipbench.report.judgement.markdown import DETAILS, ROWS, code, escape, markdown, table
from tests.support.judgements import BASELINE, CHANGED, REASONS, comparison, judgement, judgements, texts, verdict

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def plain(rendered):
    """What a reader sees of rendered text."""
    return html.unescape(re.sub(r"<[^>]*>", "", rendered)).replace("\u200b", "")


def tables(text):
    """Every table as rows of cells, as a reader sees them."""
    rendered = PARSER.render(text)
    return [
        [[plain(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)] for row in rows]
        for rows in (
            re.findall(r"<tr>(.*?)</tr>", block, re.S) for block in re.findall(r"<table>(.*?)</table>", rendered, re.S)
        )
    ]


def test_the_verdict_comes_first_then_a_table():
    text = markdown(judgement(comparison(verdict(), verdict("throughput", "ungated", value=120.0, reference=None))))
    assert text.startswith(
        "### ✅ PASS mine on a processor: recall mean is within what is allowed "
        "(recall mean 90.00 %, throughput 120.0 pairs/s)\n\n"
        "clipbench compare: 1 pass: exit code 0, every result passes\n"
    )
    overview, metrics = tables(text)
    assert overview[1] == [
        "✅ pass",
        "mine-20260101T000000Z-abcd",
        "torch",
        "a processor, float32",
        "figures",
        "90.00 (-0.91 ± 0.61)",
        "120.0",
    ]
    assert metrics[1] == ["✅ pass", "recall mean (%)", "90.00", "90.91", "-0.91 ± 0.61", "-1.00"]
    assert "<details><summary>" in text


@pytest.mark.parametrize("status", ["fail", "missing", "better", "inconclusive", "not comparable"])
def test_what_is_no_plain_pass_is_open_with_its_reason(status):
    text = markdown(judgement(comparison(verdict("train_loss"), verdict(status=status))))
    assert escape(REASONS[status]) in text and ("<details open>" in text or status == "not comparable")


def test_a_failure_is_said_in_words_and_first_of_many():
    text = markdown(judgement(comparison(), comparison(verdict(status="better")), comparison(verdict(status="fail"))))
    assert text.startswith(
        "### ❌ FAIL mine on a processor: recall mean is 90.00 %, 0.91 points below the reference's "
    )
    assert [row[0] for row in tables(text)[0]] == ["verdict", "❌ fail", "⚠️ better", "✅ pass"]


@pytest.mark.parametrize("status", ["inconclusive", "better"])
def test_what_does_not_simply_pass_is_never_under_the_sign_of_a_pass(status):
    text = markdown(judgement(comparison(verdict(status=status)), comparison()))
    assert text.startswith(f"### ⚠️ {status.upper()} mine on a processor: recall mean ")
    assert markdown(judgement(comparison(verdict(status=status)), fail_on=[status])).startswith("### ❌ ")


def test_what_changed_since_the_baseline_is_said_under_the_sentence():
    text = markdown(judgement(comparison(against=BASELINE, differences=CHANGED)))
    assert "Changed since the baseline: commit 1a2b to 3c4d, uncommitted changes here, torch 2.4 to 2.5, " in text


def test_differences_are_listed_with_what_they_rule_out():
    found = (
        Difference("batch", "config.train.batch_size", "32", "64"),
        Difference("device", "environment.device.name", "a|b", "c", "speed", True),
    )
    _, _, differing = tables(markdown(judgement(comparison(differences=found))))
    assert differing[1:] == [
        ["config.train.batch_size", "32", "64", "everything"],
        ["environment.device.name", "a|b", "c", "allowed"],
    ]


def test_many_results_fit_into_what_github_takes():
    many = [comparison(*[verdict(f"metric_{n}") for n in range(14)])] * 2000
    text = markdown(judgement(*many))
    assert len(text) < 65_536
    assert len(tables(text)[0]) == ROWS + 1 and text.count("<details") == DETAILS
    assert f"{2000 - ROWS:,} more results are not shown" in text


def test_refused_files_are_named():
    text = markdown(judgement(problems=["a|b.json: <broken>"]))
    assert "a|b.json: <broken>" in plain(PARSER.render(text)) and text.startswith("### ❌")


@pytest.mark.parametrize("text", ["@team look", "see (@team)"])
def test_nobody_is_notified(text):
    assert not re.search(r"(?<!\w)@\w", escape(text))


@given(texts)
def test_escaped_text_reads_as_it_is(text):
    shown = plain(PARSER.renderInline(escape(text)))
    # What CommonMark itself replaces: NUL, and blanks at a line's end.
    assert shown.strip() == " ".join(text.split()).replace("\0", "\ufffd").replace("\u200b", "").strip()


@given(texts, texts)
def test_a_cell_stays_a_cell(left, right):
    ((_, row),) = tables(table(["a", "b"], "lr", [[code(left), escape(right)]]))
    wanted = [" ".join(text.split()).replace("\0", "\ufffd").replace("\u200b", "").strip() for text in (left, right)]
    assert row == wanted


@given(judgements)
def test_any_judgement_is_whole_tables_and_nothing_of_its_text_is_html(given):
    text = markdown(given)
    for rows in tables(text):
        assert {len(row) for row in rows} == {len(rows[0])}
    raw = [token.content for token in PARSER.parse(text) if token.type == "html_block"]
    assert all(re.match(r"</?details", block) for block in raw)
    assert "<b>" not in PARSER.render(text)
