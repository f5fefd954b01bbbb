"""The stand-in for vendors' extensions of torch, installed under a vendor's name, and `clipbench` with it."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = Path(__file__).parent / "sdaa_stand_in"


@functools.cache
def compiled():
    """Compile the stand-in where it is not in its cache, which takes longer than a device may take to answer."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("the stand-in for vendors' extensions needs a C++ compiler (g++)")
    command = [sys.executable, "-c", "import torch_sdaa"]
    subprocess.run(command, env=environment(STAND_IN), check=True, timeout=600)


def stand_in_for(folder, device):
    """A path in which the extension ``torch_<device>`` is installed, by a link to the stand-in."""
    compiled()
    site = folder / "site"
    site.mkdir()
    (site / f"torch_{device}").symlink_to(STAND_IN / "torch_sdaa")
    return site


def environment(path, **knobs):
    python_path = os.pathsep.join(map(str, filter(None, [path, os.environ.get("PYTHONPATH")])))
    return {**os.environ, "PYTHONPATH": python_path, **knobs}


def clipbench(*words, path, **knobs):
    """What `clipbench WORDS` comes to with ``path`` in front of PYTHONPATH."""
    command = [sys.executable, "-W", "error", "-m", "clipbench", *map(str, words)]
    return subprocess.run(command, env=environment(path, **knobs), capture_output=True, text=True, timeout=600)
