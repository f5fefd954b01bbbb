"""The tables of docs/performance.md are made from the files in benchmarks/results/."""

import importlib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
tables = importlib.import_module("benchmarks.tables")

PAGE = (TOP / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_page_has_the_table_that_was_measured(name):
    assert tables.TABLES[name]() in PAGE, (
        "run python -m benchmarks.tables, and replace the page's table by the one it prints"
    )


def test_every_file_of_figures_is_behind_a_page():
    pages = "".join(page.read_text(encoding="utf-8") for page in (TOP / "docs").glob("*.md"))
    pages += (TOP / "README.md").read_text(encoding="utf-8")
    for path in (TOP / "benchmarks" / "results").glob("*.json"):
        assert f"{path.stem}.json" in pages or f"benchmarks/{path.stem}.py" in pages, f"no page names {path.name}"
