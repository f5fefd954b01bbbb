"""`clipbench` from the shell with the numpy engine installed, and the flat pictures that it learns."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from clipbench.results.result import read_result
from tests.support.make_vocabulary import train_vocabulary, write_vocabulary

ENGINE = Path(__file__).parent / "numpy_engine"
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 220), "white": (240, 240, 240)}


def write_pictures(root):
    """Flat pictures of two colours with two captions each, in Flickr8k's layout."""
    folder = root / "datasets" / "flickr8k-images"
    folder.mkdir(parents=True)
    for split, count in (("train", 40), ("val", 12)):
        entries = []
        for number in range(count):
            left, right = (list(COLOURS)[(number + shift * number // 4) % 4] for shift in (0, 1))
            pixels = np.zeros((40, 48, 3), dtype=np.uint8)
            pixels[:, :24], pixels[:, 24:] = COLOURS[left], COLOURS[right]
            name = f"{split}-{number}.jpg"
            Image.fromarray(pixels).save(folder / name, quality=90)
            captions = [f"{left} beside {right}", f"the left is {left} , the right is {right} ."]
            entries.append({"image": f"flickr8k-images\\{name}", "caption": captions})
        (root / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))
    texts = [caption for entry in entries for caption in entry["caption"]]
    write_vocabulary(root / "words.txt.gz", train_vocabulary(texts, 60))
    return root


def flat_suite(root):
    """A suite of three short epochs on those pictures."""
    return {
        "name": "flat",
        "engine": "numpy",
        "model": {"name": "linear"},
        "dataset": {"name": "flickr8k", "root": str(root)},
        "train": {
            "epochs": 3,
            "batch_size": 8,
            "lr": 0.2,
            "augment": "none",
            "schedule": {"peak_limits": None, "floor_limits": None},
        },
        "timing": {"warmup_steps": 2, "window_steps": 2},
    }


@functools.cache
def cache_folder():
    """A folder that goes with this process."""
    return tempfile.TemporaryDirectory(prefix="clipbench-cache-")


def environment(**more):
    path = os.pathsep.join(filter(None, [str(ENGINE), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "CI": "true", "CLIPBENCH_CACHE": cache_folder().name, **more}


def start(path, cwd, **more):
    """`clipbench run` under way: a process to be signalled, then waited for."""
    command = [sys.executable, "-m", "clipbench", "run", str(path)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def clipbench(*words, cwd, **more):
    command = [sys.executable, "-m", "clipbench", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=120, check=False
    )


def results(folder):
    return [read_result(path) for path in sorted((folder / "results").glob("*.json"))]
