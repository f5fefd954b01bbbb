"""The tables of docs/performance.md are made from the files in benchmarks/results/."""

from pathlib import Path

import pytest

from benchmarks import tables

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_page_has_the_measured_table(name):
    assert tables.TABLES[name]() in PAGE, "replace the page's table by what python -m benchmarks.tables prints"


def test_a_page_names_every_file_of_figures():
    pages = "".join(page.read_text(encoding="utf-8") for page in [*(TOP / "docs").glob("*.md"), TOP / "README.md"])
    for path in (TOP / "benchmarks" / "results").glob("*.json"):
        assert f"{path.stem}.json" in pages or f"benchmarks/{path.stem}.py" in pages, f"no page names {path.name}"
