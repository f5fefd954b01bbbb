"""Meters, on libraries, programs and a file tree that are made up here."""

import os
import sys
from types import SimpleNamespace

import pytest

from clipbench_meters import SMI
from clipbench_meters.nvml import Nvml
from clipbench_meters.rapl import Rapl
from clipbench_meters.smi import PROGRAMS, Smi, read_line
from clipbench_meters.visible import visible_device


class NVMLError(Exception):
    pass


def fake_nvml(**missing):
    """What nvidia-ml-py offers, for two boards that draw 100 and 200 W; functions in ``missing`` are not supported."""

    def refuse(*_arguments):
        raise NVMLError("Not Supported")

    functions = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": lambda name: {"GPU-a": 0, "GPU-b": 1}[name],
        "nvmlDeviceGetTotalEnergyConsumption": lambda board: 5_000_000 + board,
        "nvmlDeviceGetPowerUsage": lambda board: 100_000 * (board + 1),
        "nvmlDeviceGetTemperature": lambda board, kind: 60 + board,
        "nvmlDeviceGetClockInfo": lambda board, kind: 1410,
        "nvmlDeviceGetUtilizationRates": lambda board: SimpleNamespace(gpu=75),
        "nvmlDeviceGetMemoryInfo": lambda board: SimpleNamespace(used=2**30),
        "nvmlDeviceGetComputeRunningProcesses": lambda board: [object(), object()],
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda board: 0x01 | 0x04 | 0x40,
    }
    functions |= {name: refuse for name in missing}
    return SimpleNamespace(NVMLError=NVMLError, NVML_TEMPERATURE_GPU=0, NVML_CLOCK_SM=1, **functions)


def opened(monkeypatch, visible=None, rank=0, **missing):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(**missing))
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    else:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    meter = Nvml("cuda", rank)
    assert meter.unavailable() is None
    return meter


def test_nvml_reads_every_sensor_in_the_units_of_a_reading(monkeypatch):
    reading = opened(monkeypatch).read()
    assert (reading.joules, reading.watts, reading.celsius, reading.mhz) == (5000.0, 100.0, 60, 1410)
    assert (reading.utilisation, reading.memory_bytes, reading.processes) == (0.75, 2**30, 2)
    assert reading.throttled == ("power cap", "hardware thermal slowdown")


def test_what_a_board_does_not_have_is_none_and_not_zero(monkeypatch):
    names = ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetCurrentClocksThrottleReasons")
    reading = opened(monkeypatch, **dict.fromkeys(names, True)).read()
    assert reading.joules is None and reading.throttled is None and reading.watts == 100


@pytest.mark.parametrize(
    ("visible", "rank", "watts"), [("1", 0, 200), ("1,0", 1, 100), ("GPU-b", 0, 200), (None, 1, 200)]
)
def test_nvml_counts_boards_as_the_driver_does_and_not_as_the_rank(monkeypatch, visible, rank, watts):
    assert opened(monkeypatch, visible, rank).read().watts == watts


def test_without_the_library_or_the_driver_there_is_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in Nvml("cuda", 0).unavailable()
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=True))
    assert Nvml("cuda", 0).unavailable() == "NVML: Not Supported"


def write_package(root, number, microjoules, largest=1000):
    zone = root / f"intel-rapl:{number}"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "max_energy_range_uj").write_text(f"{largest}\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    part = root / f"intel-rapl:{number}:0"  # a part of the package, in its counter already
    part.mkdir(exist_ok=True)
    (part / "energy_uj").write_text("999\n")


def test_rapl_adds_packages_and_counts_on_when_a_counter_wraps(tmp_path):
    write_package(tmp_path, 0, 900)
    write_package(tmp_path, 1, 10)
    meter = Rapl("cpu", 0, tmp_path)
    assert meter.unavailable() is None and meter.read().joules == 0
    write_package(tmp_path, 0, 100)  # 1000 is the largest: 101 up to 0, then 100
    write_package(tmp_path, 1, 60)
    assert meter.read().joules == pytest.approx(251e-6)


def test_a_machine_is_counted_by_its_first_rank_alone(tmp_path):
    write_package(tmp_path, 0, 0)
    second = Rapl("cpu", 1, tmp_path)
    assert second.unavailable() is None
    write_package(tmp_path, 0, 500)
    assert second.read().joules == 0


def test_without_counters_or_the_right_to_read_them_there_is_a_reason(tmp_path):
    assert "no intel-rapl zone" in Rapl("cpu", 0, tmp_path).unavailable()
    (tmp_path / "intel-rapl:0").mkdir()
    assert "energy_uj" in Rapl("cpu", 0, tmp_path).unavailable()


TABLE = """\
+--------------------------------------------------------------+
| Driver Version: 1.3.0        Runtime: 1.2.0                   |
| 0  TECO_AICARD_01  0000:01:00.0  OK  35%  61C  88.5W  1024 MB / 15296 MB |
| 1  TECO_AICARD_01  0000:01:00.0  OK   0%  59C  87.5W     0 MB / 15296 MB |
+--------------------------------------------------------------+
"""


def test_teco_smi_is_read_by_the_units_of_its_figures(tmp_path, monkeypatch):
    program = tmp_path / "teco-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{TABLE}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    meter = Smi("sdaa", 1)
    assert meter.unavailable() is None
    assert (meter.read().watts, meter.read().celsius, meter.read().utilisation) == (87.5, 59.0, 0.0)
    monkeypatch.setenv("SDAA_VISIBLE_DEVICES", "0")
    first = Smi("sdaa", 0).read()
    assert (first.watts, first.utilisation, first.memory_bytes) == (88.5, 0.35, 1024 * 2**20)
    program.write_text("#!/bin/sh\necho something else\n")
    assert "no line with power" in meter.unavailable()
    program.write_text("#!/bin/sh\nexit 3\n")
    assert "exit status 3" in meter.unavailable()


@pytest.mark.parametrize("kind", SMI)
def test_every_kind_has_its_program_and_says_which_one_is_missing(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert PROGRAMS[kind][0][0] in Smi(kind, 0).unavailable()


def test_a_table_of_two_lines_a_card_is_read_in_the_line_that_has_its_memory():
    line = "|  0%   35C        58 W/ 250 W  |     128 MiB/ 42396 MiB | FULL          Default |"
    reading = read_line(line)
    assert (reading.celsius, reading.watts, reading.memory_bytes) == (35.0, 58.0, 128 * 2**20)


def test_a_line_without_units_gives_nothing():
    assert read_line("| 0 | 35 | 61 | 1024 MB / 15296 MB |").watts is None


def test_variables_that_hide_devices_are_followed(monkeypatch):
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "3, 2")
    assert visible_device(("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"), 1) == 2
    assert visible_device(("NOT_SET",), 1) == 1
