"""Devices of the JAX engine, and their probes."""

import numpy as np
import pytest

from clipbench_jax import probes
from clipbench_jax.device import CpuDevice, JaxDevice
from tests.support.numpy_runs import clipbench


def test_a_platform_that_is_not_there_is_explained(tmp_path):
    done = clipbench("run", "quickstart", "--engine", "jax", "--device", "pjrt:abacus", "--dry-run", cwd=tmp_path)
    assert done.returncode == 5
    text = " ".join(done.stderr.split())
    assert "device pjrt:abacus" in text and "platforms cpu here" in text and "install the PJRT plug-in" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "tpu"], "device: 'tpu' belongs to engine 'jax', not to 'torch'"),
        (["--engine", "jax", "--device", "cuda"], "device: 'cuda' belongs to engine 'torch', not to 'jax'"),
        (["--engine", "jax", "--device", "pjrt"], "expected pjrt:PLATFORM"),
        (["--engine", "jaxx"], "did you mean 'jax'"),
    ],
)
def test_devices_belong_to_their_engine(tmp_path, words, said):
    done = clipbench("run", "quickstart", *words, "--dry-run", cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr


class Counting(JaxDevice):
    """A device whose peak is set by the test; JAX's never falls."""

    name, peak = "cpu", 0

    def _peak_of_process(self):
        return self.peak


def test_a_peak_that_an_earlier_one_hides_is_not_known():
    device = Counting()
    assert device.peak_memory() is None
    device.peak = 700
    assert device.peak_memory() == 700
    device.reset_peak_memory()
    assert device.peak_memory() is None
    device.peak = 900
    assert device.peak_memory() == 900


@pytest.fixture
def device():
    device = CpuDevice()
    device.select(0)
    device.tune()
    return device


@pytest.mark.parametrize("precision", CpuDevice().precisions())
def test_every_probe_passes_on_the_processor(device, precision):
    found = probes.probe_device(device, precision)
    assert [probe.name for probe in found] == ["matmul", "attention", "synchronize"]
    assert all(probe.ok for probe in found), found


def test_a_shorter_format_is_noticed(device, monkeypatch):
    """Products in bfloat16 behind the back of who asked for float32, as TPUs compute them by default."""
    import jax.numpy as jnp

    def short(x, weight, bias, dtype):
        return (x.astype(jnp.bfloat16) @ weight.astype(jnp.bfloat16).T).astype(dtype)

    monkeypatch.setattr(probes, "linear", short)
    probe = probes.probe_matmul("float32")
    assert not probe.ok and "shorter format" in probe.detail and probe.measured["relative_error"]["float32"] > 1e-3


def test_wrong_attention_is_noticed(device, monkeypatch):
    right = probes.attention
    monkeypatch.setattr(probes, "attention", lambda q, k, v, visible: right(q, k, v, None))
    probe = probes.probe_attention("float32")
    assert not probe.ok and probe.measured["relative_error"]["causal"] > 0.1
    assert probe.measured["relative_error"]["full"] < 1e-5


def test_waiting_that_does_not_wait_is_noticed(device, monkeypatch):
    late = iter(np.tile([0.001, 0.0, 0.01, 0.0], (8, 1)))
    monkeypatch.setattr(probes, "_round", lambda product, matrix: tuple(next(late)))
    probe = probes.probe_synchronize(device)
    assert not probe.ok and probe.refuses == "timing" and "before the work is done" in probe.detail
