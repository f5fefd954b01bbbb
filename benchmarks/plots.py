"""Draws what benchmarks/growth.py and benchmarks/fleet.py measured, from the JSON files in benchmarks/results/.

    python -m benchmarks.plots [growth | fleet] [--out docs/images/growth.svg]

Both axes of every picture are logarithmic, so a straight line is a power of the size: the grey one is what would be
linear. Needs vl-convert-python.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import vl_convert

TOP = Path(__file__).parents[1]
RESULTS = TOP / "benchmarks" / "results"
FLEET = {
    "plan": ("Planning", "nodes"),
    "submit": ("Submitting", "nodes"),
    "first status": ("clipbench jobs status, the index made", "nodes"),
    "status": ("clipbench jobs status, by the index", "nodes"),
    "collect": ("Collecting results", "nodes"),
    "replan": ("Planning with every result there", "nodes"),
    "diagnose": ("clipbench diagnose", "nodes"),
    "report": ("clipbench report", "nodes"),
}
GROWTH = {
    "batch": ("A training step of clip-tiny", "pairs in the batch"),
    "entries": ("Reading an annotation file", "entries, five captions each"),
    "captions": ("Tokenising", "captions"),
    "results": ("clipbench compare", "results of 1,000 images"),
    "images": ("Recall from features", "images, five captions each"),
    "ranks": ("A step of 48 pairs, all ranks together", "ranks"),
}


def measured() -> dict[str, list[dict[str, Any]]]:
    """Rows of every sort of growth, from whichever files have them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("growth*.json")):
        for what, grown in json.loads(path.read_text(encoding="utf-8"))["growth"].items():
            found[what] = grown["rows"]
    return found


def picture(what: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    title, unit = {**GROWTH, **FLEET}[what]
    last = rows[-1]
    linear = [{"size": row["size"], "seconds": last["cpu_seconds"] * row["size"] / last["size"]} for row in rows]
    low = min(row["cpu_seconds"] for row in rows)
    linear = [row for row in linear if row["seconds"] >= low / 2]
    x = {"field": "size", "type": "quantitative", "scale": {"type": "log", "nice": False}, "title": unit}
    x["axis"] = {"values": [row["size"] for row in rows], "format": ",d", "labelAngle": -40, "grid": False}

    def y(field: str) -> dict[str, Any]:
        return {
            "field": field, "type": "quantitative", "scale": {"type": "log"}, "title": "seconds of the processor",
            "axis": {"format": "~g", "tickCount": 5},
        }  # fmt: skip

    return {
        "title": title,
        "width": 300,
        "height": 190,
        "layer": [
            {
                "data": {"values": linear},
                "mark": {"type": "line", "color": "#b0b0b0", "strokeDash": [4, 3]},
                "encoding": {"x": x, "y": y("seconds")},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "line", "color": "#1f5fa8", "point": {"filled": True, "size": 45}},
                "encoding": {"x": x, "y": y("cpu_seconds")},
            },
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="?", choices=["growth", "fleet"], default="growth")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or TOP / "docs" / "images" / f"{options.which}.svg"
    titles = {"growth": GROWTH, "fleet": FLEET}[options.which]
    found = measured()
    pictures = [picture(what, found[what]) for what in titles if what in found]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "columns": 2,
        "concat": pictures,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
    }
    out.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    print(f"{out}: {', '.join(what for what in titles if what in found)}")


if __name__ == "__main__":
    main()
