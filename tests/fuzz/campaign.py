"""Many trials in one process."""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

from tests.fuzz.kinds import KINDS
from tests.fuzz.materials import make_materials
from tests.fuzz.trials import Broken, run_trial

# A picture of one pixel: drawing takes a second, and the charts that are drawn are tested elsewhere.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


def shipped(materials):
    """Have the reference of the materials ship with clipbench, in place of all others."""
    return mock.patch.dict("clipbench.files.bundled._IN_CHECKOUT", {"reference": materials.reference.parent})


def run_block(folder, seed, numbers, kinds=tuple(KINDS), stop=False):
    """Run the trials ``numbers`` of ``seed``; return counts by kind and exit code, and what broke.

    Pictures are not drawn. ``stop``: raise what broke instead.
    """
    counts, broken = Counter(), []
    scratch = Path(tempfile.mkdtemp(dir=folder))
    before = Path.cwd()
    materials = make_materials(scratch / "materials")
    try:
        (scratch / "here").mkdir()
        os.chdir(scratch / "here")  # no command finds a folder of results of its own accord
        with (
            shipped(materials),
            mock.patch("vl_convert.vegalite_to_png", lambda spec, scale: PIXEL),
            mock.patch("vl_convert.javascript_bundle", lambda code: code),
        ):
            for number in numbers:
                try:
                    counts[run_trial(materials, scratch / "trial", seed, number, kinds)] += 1
                except Broken as failure:
                    if stop:
                        raise
                    broken.append(str(failure))
                    counts["broken", 0] += 1
    finally:
        os.chdir(before)
        shutil.rmtree(scratch, ignore_errors=True)
    return counts, broken
