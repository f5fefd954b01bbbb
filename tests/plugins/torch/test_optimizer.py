"""The optimiser is torch's own AdamW, built without importing torch's compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from clipbench_torch.optimizer import AdamW

THREE_STEPS = """
import sys, torch
from clipbench_torch.optimizer import AdamW
parameter = torch.nn.Parameter(torch.ones(4))
optimizer = AdamW([parameter], lr=0.1, fused=True)
for _ in range(3):
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
print("torch._dynamo" in sys.modules)
"""


def test_steps_do_not_import_the_compiler():
    done = subprocess.run([sys.executable, "-c", THREE_STEPS], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("flags", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_steps_are_those_of_torchs_adamw(flags):
    weights = []
    for kind in (AdamW, torch.optim.AdamW):
        parameter = nn.Parameter(torch.linspace(-1, 1, 64).reshape(8, 8))
        optimizer = kind([{"params": [parameter], "weight_decay": 0.1}], lr=1e-2, betas=(0.9, 0.98), eps=1e-6, **flags)
        for step in range(5):
            optimizer.zero_grad(set_to_none=True)
            ((parameter - step).sin() ** 2).sum().backward()
            optimizer.step()
        assert parameter.requires_grad
        weights.append(parameter.detach().clone())
    assert torch.equal(*weights)
