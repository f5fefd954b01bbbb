"""The notebook of docs/ runs as it stands, and its outputs are what it gives."""

from pathlib import Path

import pytest

from tests.support.notebook import code_cells, read, run_cells

NOTEBOOK = Path(__file__).parents[2] / "docs" / "python.ipynb"


@pytest.mark.slow
def test_the_notebook_gives_what_it_shows(place):
    """`python -m tests.support.notebook docs/python.ipynb` writes the outputs anew."""
    notebook = read(NOTEBOOK)
    for cell, outputs in zip(code_cells(notebook), run_cells(notebook), strict=True):
        assert outputs == cell["outputs"], "".join(cell["source"])
