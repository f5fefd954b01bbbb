"""Links, files, modules and tests that the README and the pages of docs/ name exist."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
TESTS = "".join(path.read_text(encoding="utf-8") for path in (TOP / "tests").rglob("test_*.py"))


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request):
    return request.param


def test_links_lead_to_files_and_headings_that_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, link


def test_files_named_in_the_text_exist(page):
    """Pages about the code leave out ``clipbench/`` before a room."""
    rooms = "|".join(path.name for path in (TOP / "clipbench").iterdir() if path.is_dir())
    named = rf"`((?:benchmarks|clipbench|docs|plugins|tests)/[\w./-]+|(?:{rooms})/[\w./-]+\.(?:py|yaml))`"
    for path in re.findall(named, TEXTS[page]):
        assert (TOP / path).exists() or (TOP / "clipbench" / path).exists(), path


def test_modules_named_in_the_text_exist(page):
    for name in re.findall(r"`((?:clipbench|benchmarks)(?:_\w+)?(?:\.[a-z_]+)+)`", TEXTS[page]):
        module, _, attribute = name.rpartition(".")
        assert find_spec(module), name
        assert find_spec(name) or attribute in Path(find_spec(module).origin).read_text(encoding="utf-8"), name


def test_tests_named_in_the_text_exist(page):
    for name in re.findall(r"`(test_\w+)`", TEXTS[page]):
        assert f"def {name}(" in TESTS, name
