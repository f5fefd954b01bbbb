"""Peak memory of a whole run, all its processes together, compared with a plain program that does the same.

    CLIPBENCH_DATA=DATA python -m benchmarks.process_memory [--quick] [--out benchmarks/results/process_memory.json]

A small CLIP trains on as many pictures as Flickr8k has, is evaluated and saved, with and without loader processes. The
plain program is `benchmarks.plain_run`. Uses the photographs, captions and vocabulary under CLIPBENCH_DATA, again and
again under other names, else pictures that it draws. Measured is the proportional set size (PSS): memory that several
processes share counts once. Linux only.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Record, arguments, parse, process_tree, show_table
from benchmarks.loader import find_files
from clipbench.clip.config import OPENAI_VOCABULARY, TINY_VOCABULARY

SAMPLE_SECONDS = 0.05
CAPTIONS = [f"a photograph of {colour} things , seen from {place}" for colour in ("red", "blue") for place in "abc"][:5]
SUITE = """
name: memory
engine: torch
device: cpu
precision: float32
model: {{name: clip-tiny, vocabulary: "{vocabulary}"}}
dataset: {{name: flickr8k, root: "{root}"}}
train: {{epochs: 1, batch_size: 32, lr: 1.0e-6}}
checkpoint: {{keep: none}}
"""


def make_data(root: Path, train: int, val: int) -> Path:
    """Write a data root with so many pictures, hard links to few; return the vocabulary to use with it."""
    named = Path(os.environ["CLIPBENCH_DATA"]) if "CLIPBENCH_DATA" in os.environ else None
    store, images = root / "store", root / "datasets" / "flickr8k-images"
    store.mkdir()
    images.mkdir(parents=True)
    # Copied: a data root may not be left through links, and hard links need one file system.
    files = []
    for file in find_files(256, store):
        files.append(store / file.name)
        if file.parent != store:
            files[-1].write_bytes(file.read_bytes())
    captions = [CAPTIONS]
    if named:
        captions = [entry["caption"] for entry in json.loads((named / "datasets" / "en_train.json").read_text())]
    for split, count in (("train", train), ("val", val)):
        entries = []
        for number in range(count):
            name = f"{split}-{number}.jpg"
            (images / name).hardlink_to(files[number % len(files)])
            entries.append({"image": f"flickr8k-images/{name}", "caption": captions[number % len(captions)]})
        (root / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))
    if named:
        return named / OPENAI_VOCABULARY
    package, _, path = TINY_VOCABULARY.partition(":")
    return Path(__file__).parents[1] / package.replace(".", "/") / path


def shared_fairly(process: int) -> int:
    """Return the proportional set size of a process in bytes; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def peak(command: Sequence[str], folder: Path) -> int:
    """Return the peak bytes of a command and its descendants; end the benchmark if it fails."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    most = 0
    while run.poll() is None:
        most = max(most, sum(map(shared_fairly, process_tree(run.pid))))
        time.sleep(SAMPLE_SECONDS)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {run.returncode}\n{run.stderr.read().decode()}")
    run.stderr.close()
    return most


def main() -> None:
    parser = arguments(__doc__, train=6000, val=1000, steps=187, rounds=3, workers=[0, 2])
    options = parse(parser, train=64, val=16, steps=2, rounds=1, workers=[2])
    record = Record("process_memory", options)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        vocabulary = make_data(root, options.train, options.val)
        suite = root / "memory.yaml"
        suite.write_text(SUITE.format(vocabulary=vocabulary, root=root))
        steps = str(options.steps)
        peaks: dict[str, dict[str, list[int]]] = {}
        for workers in map(str, options.workers):
            ours = [
                "clipbench",
                "run",
                str(suite),
                "--progress",
                "none",
                "--max-steps",
                steps,
                "--out",
                str(root / "out"),
            ]
            sides = {
                "ours": [*ours, "--set", f"train.workers={workers}"],
                "plain": ["benchmarks.plain_run", str(root), str(vocabulary), workers, steps],
            }
            peaks[workers] = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side, command in sides.items():
                    peaks[workers][side].append(peak([sys.executable, "-m", *command], root))
    rows = []
    for workers, sides in peaks.items():
        ours, plain = (statistics.median(sides[side]) for side in ("ours", "plain"))
        rows.append([workers, f"{ours / 2**20:,.0f}", f"{plain / 2**20:,.0f}", f"{ours / plain:.2f}"])
    show_table(("loader processes", "clipbench, MiB", "plain program, MiB", "of plain"), rows)
    record.save(pictures="photographs" if "CLIPBENCH_DATA" in os.environ else "drawn", peak_bytes=peaks)


if __name__ == "__main__":
    main()
