"""A device is checked in its own process."""

import os
from pathlib import Path

from clipbench.doctor.device_check import run_device_check

ENGINE = Path(__file__).parents[1] / "support" / "numpy_engine"


def test_a_driver_that_hangs_is_ended_and_its_answers_are_kept(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ENGINE), os.environ.get("PYTHONPATH", "")])))
    monkeypatch.setenv("CLIPBENCH_NUMPY_PROBE", "hang")
    check = run_device_check("numpy", "abacus", ["float32"], timeout=8)
    assert check.broke_off == "no answer within 8 s when asked for its probes in float32"
    assert check.info.name == "abacus of wood"
    assert not check.available
