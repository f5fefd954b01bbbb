"""The device of docs/accelerators.md, from the files on the page, on the stand-in for its vendor's extension."""

import json
import re
from pathlib import Path

import pytest

from clipbench.api.registry import load_registry
from tests.support.plugin_folder import install_plugin
from tests.support.stand_in import clipbench, stand_in_for

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page):
    """(name of its file or "", text) of each block on a page; the name opens the paragraph before the block."""
    parts = re.split(r"^```\w*\n", (DOCS / page).read_text(encoding="utf-8"), flags=re.M)
    named = (re.match(r"`([\w/.]+)`", before.strip().rpartition("\n\n")[2]) for before in parts[0::2])
    return [(name[1] if name else "", text) for name, text in zip(named, parts[1::2], strict=False)]


FILES = {name: text for name, text in blocks("accelerators.md") if name}


@pytest.fixture
def site(tmp_path):
    """A path in which the plugin is installed, and its vendor's extension."""
    assert list(FILES) == ["pyproject.toml", "clipbench_zeta/__init__.py", "clipbench_zeta/device.py"]
    site = stand_in_for(tmp_path, "zeta")
    (site / "clipbench_zeta").mkdir()
    install_plugin(site, "clipbench_zeta", **{"clipbench_zeta/__init__": FILES["clipbench_zeta/__init__.py"]})
    (site / "clipbench_zeta" / "device.py").write_text(FILES["clipbench_zeta/device.py"])
    points = site / "clipbench_zeta-1.0.dist-info" / "entry_points.txt"
    (point,) = re.findall(r'^zeta = "(.*)"$', FILES["pyproject.toml"], re.M)
    points.write_text(f"[clipbench]\nzeta = {point}\n")
    return site


@pytest.mark.slow
def test_it_is_listed_examined_and_trains(site, tmp_path):
    rows = json.loads(clipbench("list", "devices", "--format", "json", path=site).stdout)["devices"]
    assert "cards of Zeta" in [row["summary"] for row in rows]
    words = ["--max-steps", "2", "--set", "train.workers=0", "--set", "dataset.options.train_images=200"]
    done = clipbench("run", "quickstart", "--device", "zeta", *words, "--out", tmp_path / "out", path=site)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "out").glob("*.json")
    device = json.loads(path.read_text())["environment"]["device"]
    assert (device["kind"], device["tuning"]["torch_zeta"]) == ("zeta", "3.2.0")
    assert device["unknown"] == {"driver": "`zeta-smi --version` is not installed, or fails"}


def test_both_pages_have_the_same_files_and_devices():
    def plain(page):
        return [(name, re.sub(r" *# .*", "", text.partition("```")[0])) for name, text in blocks(page)]

    assert plain("accelerators.zh-CN.md") == plain("accelerators.md")
    registry = load_registry()
    for page in ("accelerators.md", "accelerators.zh-CN.md"):
        rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", (DOCS / page).read_text(encoding="utf-8"), re.M)
        assert dict(rows) == {spec.name: str(spec.priority) for spec in registry.devices_of("torch")}
