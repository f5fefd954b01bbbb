"""The pages about a fleet have the figures that were measured, in both languages, and one structure."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import index, sick_nodes

TOP = Path(__file__).parents[2]
MEASURED = TOP / "benchmarks" / "results"
PAGES = [TOP / "docs" / name for name in ("fleet.md", "fleet.zh-CN.md")]


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def text(request):
    return request.param.read_text(encoding="utf-8")


def test_the_page_has_what_was_simulated(text):
    assert sick_nodes.table(MEASURED / "sick_nodes.json") in text


def test_the_page_has_what_the_index_costs(text):
    assert index.table(MEASURED / "index.json") in text


def test_both_pages_have_the_same_sections_and_commands():
    one, other = (page.read_text(encoding="utf-8") for page in PAGES)
    for pattern in (r"^#+ ", r"^```\w*", r"^clipbench ", r"`benchmarks/[\w/.]+`"):
        assert len(re.findall(pattern, one, re.M)) == len(re.findall(pattern, other, re.M)) > 0


def test_healthy_fleets_of_a_thousand_nodes_raise_less_than_one_alarm_in_a_hundred_and_a_slow_node_is_found():
    rows = json.loads((MEASURED / "sick_nodes.json").read_text(encoding="utf-8"))["rows"]
    normal = [row for row in rows if not row["tails"]]
    assert all(share["false_alarm"] < 0.01 for row in normal for share in row["least"].values())
    promised = ("5 % slow, windows noisy by 2 %, 40 a run", "5 % slow, runs noisy by 2 %, 12 runs")
    found = {row["fleet"]: row["least"]["default"]["found"] for row in rows}
    assert all(found[name] >= 0.99 for name in promised)
