"""What a device computes in, and how many threads the ranks of one machine take."""

import pytest

from clipbench.errors import UsageError
from clipbench.runs.devices.opening import lacks_package, pick_precision, thread_variables


class Device:
    name = "card"

    def __init__(self, *precisions):
        self.precisions = lambda: precisions


def test_amp_is_the_first_precision_that_is_not_float32():
    card = Device("float32", "bfloat16", "float16")
    assert pick_precision(card, "amp") == "bfloat16"
    assert pick_precision(card, "float16") == "float16"
    with pytest.raises(UsageError, match="device card has no mixed precision; use --set precision=float32"):
        pick_precision(Device("float32"), "amp")
    with pytest.raises(UsageError, match="device card does not compute float16; it has float32, bfloat16"):
        pick_precision(Device("float32", "bfloat16"), "float16")


def test_ranks_of_one_machine_share_its_cores_unless_the_user_has_set_it(monkeypatch):
    monkeypatch.setattr("clipbench.runs.devices.opening.usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_variables(4) == {"OMP_NUM_THREADS": "2"}
    assert thread_variables(16) == {"OMP_NUM_THREADS": "1"}
    assert thread_variables(1) == {}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_variables(4) == {}


@pytest.mark.parametrize(
    "error, lacking",
    [
        (ModuleNotFoundError("no", name="torch_npu"), True),
        (ImportError("libnpu.so"), True),
        (OSError("libnpu.so"), True),
        (ModuleNotFoundError("no", name="clipbench_npu"), False),
        (ModuleNotFoundError("no", name="clipbench_npu.device"), False),
        (AttributeError("Npu"), False),
    ],
)
def test_a_package_that_is_not_there_is_not_the_plugins_fault(error, lacking):
    assert lacks_package(error, "clipbench_npu.device:Npu") == lacking
