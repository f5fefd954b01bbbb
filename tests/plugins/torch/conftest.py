"""What every test with torch starts from."""

import pytest
import torch


@pytest.fixture(autouse=True)
def matmul_precision():
    """torch's own, whatever a learner of another test has chosen for the process."""
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision("highest")
