"""The gallery through `clipbench report`: what was retrieved, bounded, escaped, and only where it is the right file."""

import base64
import re
from dataclasses import replace
from itertools import count

import pytest

from clipbench.report.gallery import thumbnails
from clipbench.report.gallery.drawing import histogram_drawing, matrix_png
from clipbench.results.retrieved import Histogram
from tests.report.test_browser import PHONE, browser, said, settle, show  # noqa: F401 -- fixtures among them
from tests.report.test_page import Page
from tests.support.made_retrieved import TERMS, write_with_retrieved
from tests.support.report_results import HOSTILE, make_result

THUMB = re.compile(r'<image id="(picture\d+)"[^>]*href="data:image/jpeg;base64,([^"]+)"')


def storing(**more):
    """Write results with what they retrieved, from other features for each."""
    numbers = count()
    return lambda folder, result: write_with_retrieved(folder, result, seed=next(numbers), **more)


@pytest.fixture(scope="module")
def two(write_report):
    """The folder of a report on two results of one case."""
    made = [make_result(index, images=20) for index in range(2)]
    outcome, out = write_report(made, store=storing())
    assert outcome.exit_code == 0, outcome.output
    return out


def gallery_of(folder):
    source = Page(folder).source
    return source[source.index('<section id="pictures"') : source.index('<section id="history"')]


def test_queries_that_went_best_worst_and_at_random_are_shown_with_their_answers(two):
    page = Page(two)
    assert page.all("a", href="#pictures") and page.all("section", id="pictures")
    for words in ("Text to image", "Image to text", "Went best", "Went worst", "At random", "✓ true"):
        assert page.words.count(words) >= 2, words
    assert "20 pictures and 100 captions of made, epoch 4" in page.words
    assert f"Licence of the pictures: {TERMS}" in page.words
    worst = max(make_result(1, images=20).query_ranks.image) + 1
    assert f"rank {worst}" in page.words


def test_every_picture_is_in_the_page_once_and_every_one_that_is_shown_is_there(two):
    section = gallery_of(two)
    stored = THUMB.findall(section)
    assert len(stored) == len({data for _, data in stored}) <= 20
    assert set(re.findall(r'<use href="#(\w+)"', section)) == {key for key, _ in stored}
    assert base64.b64decode(stored[0][1]).startswith(b"\xff\xd8\xff")
    assert "left out" not in section


def test_between_two_results_the_queries_whose_rank_changed_most_come_side_by_side(two):
    before, after = (make_result(index, images=20).query_ranks.image for index in range(2))
    factors = [max(1 + a, 1 + b) / min(1 + a, 1 + b) for a, b in zip(before, after, strict=True)]
    query = max(range(100), key=lambda at: (factors[at], -at))
    words = Page(two).words
    moved = words[words.index("What changed") :]
    first = moved[moved.index("Text to image") :]
    assert re.search(rf"rank {before[query] + 1} → rank {after[query] + 1}", first)
    assert "from quickstart, 2025-01-01 00:00 UTC to quickstart, 2025-01-01 06:00 UTC" in moved


def test_results_of_different_cases_are_not_compared(write_report):
    made = [make_result(0, images=20), replace_case(make_result(1, images=20))]
    outcome, out = write_report(made, store=storing())
    assert outcome.exit_code == 0 and "What changed" not in Page(out).words


def replace_case(result):
    return replace(result, case="other", config={**result.config, "name": "other"})


def test_pictures_can_be_left_out(write_report):
    outcome, out = write_report([make_result(images=20)], "--no-pictures", store=storing())
    page = Page(out)
    assert outcome.exit_code == 0 and not page.all("section", id="pictures") and not page.all("a", href="#pictures")
    assert "image/jpeg" not in page.source and "caption 0 of picture" not in page.source


def test_results_without_any_have_no_section(write_report):
    outcome, out = write_report([make_result()])
    assert outcome.exit_code == 0 and not Page(out).all("section", id="pictures")


def test_a_page_stays_small_whatever_comes_and_says_what_is_left_out(write_report, monkeypatch):
    outcome, out = write_report([make_result(images=20)], "--no-pictures")
    limit = len(Page(out).source.encode()) + 60_000
    monkeypatch.setattr(thumbnails, "MOST_PAGE_BYTES", limit)
    outcome, out = write_report([make_result(images=60)], store=storing())
    page = Page(out)
    assert outcome.exit_code == 0 and len(page.source.encode()) < limit
    shown, whole = map(int, re.search(r"(\d+) of (\d+) pictures are left out", page.words).groups())
    assert 0 < shown <= whole and len(THUMB.findall(page.source)) == whole - shown


def test_texts_of_the_data_run_nowhere(write_report):
    outcome, out = write_report(
        [make_result(images=5)], store=storing(captions=[HOSTILE, *["\x1b[2J"] * 4], terms=HOSTILE)
    )
    page = Page(out)
    assert outcome.exit_code == 0, outcome.output
    assert "\x1b" not in page.source and r"\x1b[2J" in page.words
    assert "window.pwned" in page.words and HOSTILE not in page.source
    assert {a["src"][:22] for a in page.all("img")} == {"data:image/png;base64,"}


def test_a_file_that_was_not_moved_along_is_named(write_report):
    def store(folder, result):
        write_with_retrieved(folder, result)
        (folder / f"{result.run_id}.retrieved.zip").unlink()

    result = make_result(images=20)
    outcome, out = write_report([result], store=store)
    assert outcome.exit_code == 0
    assert f"{result.run_id}.retrieved.zip is not beside the result" in Page(out).words


def test_another_file_in_its_place_is_refused(write_report):
    def store(folder, result):
        write_with_retrieved(folder, result)
        path = folder / f"{result.run_id}.retrieved.zip"
        path.write_bytes(path.read_bytes()[:-1])

    outcome, out = write_report([make_result(images=20)], store=store)
    assert outcome.exit_code == 3 and "is not the file that its result names" in outcome.output
    page = Page(out)
    assert "is not the file that its result names" in page.words and not page.all("section", id="pictures")


def test_a_leaderboard_takes_results_along_and_no_pictures(write_report):
    outcome, out = write_report([make_result()], "--leaderboard", store=storing())
    assert outcome.exit_code == 0, outcome.output
    assert list((out / "results").glob("*.json")) and not list(out.rglob("*.zip"))
    outcome, _ = write_report([make_result()], "--leaderboard", "--no-pictures")
    assert outcome.exit_code == 2 and "--no-pictures" in outcome.output


def test_the_histogram_is_drawn_where_cosines_are():
    counts = [0] * 400
    true, false = counts.copy(), counts.copy()
    true[260], false[210], false[220] = 10, 30, 30
    drawing = histogram_drawing(Histogram(true, false))
    assert drawing.pairs == (10, 60)
    assert drawing.true_mean == pytest.approx(0.3025) and drawing.false_mean == pytest.approx(0.0775)
    assert [words for _, words in drawing.ticks] == ["0.10", "0.20", "0.30"]
    assert drawing.true.startswith("M0,120") and "V0.0" in drawing.true and "V0.0" not in drawing.false


def test_nothing_counted_and_a_matrix_of_one_value_are_drawn_too():
    assert histogram_drawing(Histogram([0] * 400, [0] * 400)).pairs == (0, 0)
    assert matrix_png([[0.5]])[1:] == (0.5, 0.5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_every_picture_and_a_phone_scrolls_down_only(show, two, scheme):  # noqa: F811
    page = show(two, PHONE, scheme)
    page.execute_script("for (const box of document.querySelectorAll('#pictures details')) box.open = true")
    settle(page)
    missing = "return [...document.querySelectorAll('#pictures use')].filter((e) => !e.getBBox().width).length"
    assert page.execute_script("return document.querySelectorAll('#pictures use').length") > 50
    assert page.execute_script(missing) == 0
    assert page.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    wide = """return [...document.querySelectorAll('#pictures *')].filter((e) => {
        const box = e.getBoundingClientRect();
        return box.width && box.right > innerWidth + 1 && !e.closest('svg');
    }).map((e) => e.tagName + '.' + e.className)"""
    assert page.execute_script(wide) == []
    assert said(page) == []
