"""The class for all accelerators: where it looks for a call, and what it says of one that is not there or lies."""

from types import SimpleNamespace

import pytest
import torch

from clipbench.api import NotReadyError
from clipbench_torch.accelerator import TESTED_BYTES, Accelerator


class Card(Accelerator):
    """A device type that torch does not know; its memory is the host's."""

    name = "card"
    where_to_look = "check the slot"
    exact_float32 = {"backends.card.allow_short": False, "backends.card.not_in_this_version": False}  # noqa: RUF012
    versions = ("version.card_driver",)

    @property
    def torch_device(self):
        return torch.device("cpu")


@pytest.fixture
def module(monkeypatch):
    """``torch.card`` with the least that can be used."""
    card = SimpleNamespace(device_count=lambda: 2, synchronize=lambda: None)
    monkeypatch.setattr(torch, "card", card, raising=False)
    return card


@pytest.fixture
def general(monkeypatch):
    """``torch.accelerator`` as of a machine whose accelerator is a card."""
    functions = SimpleNamespace(current_accelerator=lambda: SimpleNamespace(type="card"))
    monkeypatch.setattr(torch, "accelerator", functions, raising=False)
    return functions


@pytest.fixture
def no_general(monkeypatch):
    """Torch before 2.6."""
    monkeypatch.delattr(torch, "accelerator", raising=False)


def test_the_least_that_can_be_used(module, no_general):
    card = Card()
    assert card.unavailable() is None
    card.select(0)
    card.seed(0)
    card.synchronize()
    info = card.info()
    assert (info.name, info.count, info.total_memory, info.driver) == ("CARD", 2, None, None)
    assert info.unknown == {
        "driver": "no program that prints it is known",
        "total_memory": "neither the device's properties nor its free memory tell it",
        "free_memory": "there is no mem_get_info or get_memory_info in torch.card",
        "peak_memory": "there is no reset_peak_memory_stats or reset_max_memory_allocated in torch.card",
    }
    assert card.free_memory() is None and card.peak_memory() is None
    with pytest.raises(NotReadyError, match=r"torch.card has no set_device: use one rank, --nproc 1"):
        card.select(1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device_count": lambda: 0}, "finds no card: check the slot"),
        ({"is_available": lambda: False}, "finds no card: check the slot"),
        ({"device_count": None}, "finds no card (there is no device_count in torch.card): check the slot"),
        ({"device_count": lambda: 1 / 0}, "(torch.card.device_count raised ZeroDivisionError: division by zero)"),
        ({"synchronize": None}, "torch.card has no synchronize, without which nothing can be timed"),
    ],
)
def test_why_it_cannot_be_used(module, no_general, change, reason):
    vars(module).update(change)
    assert reason in Card().unavailable()


def test_torch_without_a_module_of_that_name(no_general):
    assert "was imported but gives no torch.card" in Card().unavailable()


def test_a_call_is_looked_for_in_the_vendors_module_then_in_torch_accelerator(module, general):
    general.set_device_index = lambda index: chosen.append(("general", index))
    general.get_memory_info = lambda: (10, 100)
    chosen = []
    card = Card()
    card.select(1)
    assert card.free_memory() == 10
    module.set_device = lambda index: chosen.append(("vendor", index))
    module.mem_get_info = lambda: (20, 100)
    card.select(1)
    assert card.free_memory() == 20
    assert chosen == [("general", 1), ("vendor", 1)]


def test_torch_accelerator_of_another_device_is_not_asked(module, general):
    general.current_accelerator = lambda: SimpleNamespace(type="cuda")
    general.get_memory_info = lambda: pytest.fail("this is another device's memory")
    assert Card().free_memory() is None
    general.current_accelerator = lambda: None
    assert Card().free_memory() is None


# --- memory ---------------------------------------------------------------------------------------------------------


def counted(module, peaks, total=1 << 40):
    """Have the module give these peaks, one after the other, and then the last again."""
    left = list(peaks)
    module.reset_peak_memory_stats = lambda: None
    module.max_memory_allocated = lambda: left.pop(0) if len(left) > 1 else left[0]
    module.get_device_properties = lambda index: SimpleNamespace(name="Card 9", total_memory=total)
    module.mem_get_info = lambda: (total // 2, total)


def test_an_honest_peak(module, no_general):
    counted(module, [100, 100 + TESTED_BYTES, 100, 4711])
    card = Card()
    info = card.info()
    assert (info.name, info.total_memory, set(info.unknown)) == ("Card 9", 1 << 40, {"driver"})
    assert card.peak_memory() == 4711


@pytest.mark.parametrize(
    ("peaks", "total", "said"),
    [
        ([0], 1 << 40, f"it rose by 0 when {TESTED_BYTES} bytes were allocated"),
        ([5, 5 + TESTED_BYTES], 1 << 40, f"it is still {5 + TESTED_BYTES} after a reset, when {TESTED_BYTES} of"),
        ([0, 2 * TESTED_BYTES, 0], TESTED_BYTES, f"it is {2 * TESTED_BYTES} bytes, more than the {TESTED_BYTES} of"),
    ],
)
def test_a_peak_that_lies_is_none_with_the_reason(module, no_general, peaks, total, said):
    counted(module, peaks, total)
    card = Card()
    reason = card.info().unknown["peak_memory"]
    assert reason.startswith("the peak that torch.card gives is wrong: ") and said in reason
    card.reset_peak_memory()
    assert card.peak_memory() is None


def test_free_memory_that_cannot_be(module, no_general):
    module.mem_get_info = lambda: (200, 100)
    card = Card()
    assert card.free_memory() is None
    assert card.info().unknown["free_memory"] == "torch.card: 200 bytes free of 100 cannot be"


# --- numerics -------------------------------------------------------------------------------------------------------


def test_switches_are_set_and_read_back(module, monkeypatch):
    backend = SimpleNamespace(allow_short=True)
    monkeypatch.setattr(torch.backends, "card", backend, raising=False)
    monkeypatch.setattr(torch.version, "card_driver", "8.5", raising=False)
    assert Card().tune() == {
        "version.card_driver": "8.5",
        "backends.card.allow_short": False,
        "backends.card.not_in_this_version": None,
    }
    assert backend.allow_short is False and not hasattr(backend, "not_in_this_version")


@pytest.mark.parametrize(
    ("has", "precisions"),
    [
        ({}, ("float32", "float16", "bfloat16")),
        ({"is_bf16_supported": lambda: False}, ("float32", "float16")),
        ({"is_bf16_supported": lambda including_emulation=True: including_emulation}, ("float32", "float16")),
        ({"get_amp_supported_dtype": lambda: [torch.bfloat16]}, ("float32", "bfloat16")),
    ],
)
def test_precisions_are_those_that_the_module_names(module, no_general, monkeypatch, has, precisions):
    vars(module).update(has)
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: False)
    assert Card().precisions() == ("float32",)
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: kind == "card")
    assert Card().precisions() == precisions


def test_collectives_are_torchs_own_then_the_vendors(module, monkeypatch):
    with pytest.raises(NotReadyError, match=r"device card: torch.distributed knows no back end .* use --nproc 1"):
        Card().collective_backend()
    monkeypatch.setattr(Card, "backend", "cccl")
    assert Card().collective_backend() == "cccl"
    monkeypatch.setitem(torch.distributed.Backend.default_device_backend_map, "card", "registered")
    assert Card().collective_backend() == "registered"


def test_the_drivers_version(module, monkeypatch, tmp_path):
    tool = tmp_path / "card-smi"
    monkeypatch.setattr(Card, "driver_command", (str(tool),))
    monkeypatch.setattr(Card, "driver_pattern", r"driver: (\S+)")
    card = Card()
    assert card.driver() is None and "is not installed, or fails" in card.info().unknown["driver"]
    tool.write_text("#!/bin/sh\necho 'Card SMI'\necho 'Driver: 1.2.3 '\n")
    tool.chmod(0o755)
    assert Card().driver() == "1.2.3"
    tool.write_text("#!/bin/sh\necho 'another table'\n")
    card = Card()
    assert card.driver() is None and "does not print it" in card.info().unknown["driver"]
