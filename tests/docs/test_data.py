"""The page on data and weights: its table is the catalogue, its commands are commands, both languages say the same."""

import re
import shlex
from pathlib import Path

import pytest

from clipbench.commands.fetch import fetch
from clipbench.fetch.catalogue import load_catalogue
from clipbench.files.disk import size_text

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [(DOCS / name).read_text(encoding="utf-8") for name in ("data.md", "data.zh-CN.md")]


def commands(page):
    """The lines of every block of shell, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line.partition("  #")[0].rstrip() for block in blocks for line in block.splitlines()]


def test_both_languages_have_the_same_commands_and_names():
    assert commands(PAGES[0]) == commands(PAGES[1])
    english, chinese = (sorted(re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", page, flags=re.S))) for page in PAGES)
    assert english == chinese
    assert [page.count("\n## ") for page in PAGES] == [11, 11]


@pytest.mark.parametrize("line", [line for line in commands(PAGES[0]) if line.startswith("clipbench fetch")])
def test_every_command_is_one(line):
    words = shlex.split(line.partition(">")[0])[2:]
    assert fetch.make_context("fetch", words).params["what"]


@pytest.mark.parametrize("page", PAGES, ids=["en", "zh"])
def test_the_table_is_the_catalogue(page):
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| ([\d.]+ [kMG]B) \| ", page, re.MULTILINE)
    assert rows == [(item.name, size_text(sum(f.size for f in item.files))) for item in load_catalogue().values()]
