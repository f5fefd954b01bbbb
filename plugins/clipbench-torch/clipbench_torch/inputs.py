"""Host arrays on their way to the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

LENGTH_STEP = 4


def as_tensor(array: Any) -> Tensor:  # noqa: ANN401 -- the loader's tensors or numpy arrays
    """Return the array as a tensor on the host, sharing memory where it may be written to."""
    if isinstance(array, Tensor):
        return array
    # torch has no read-only tensors, and warns about arrays that are (those of a memory-mapped cache).
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def in_memory(parts: Sequence[np.ndarray]) -> Tensor:
    """Return arrays (n, ...) as one tensor."""
    return torch.from_numpy(np.concatenate(parts))


def in_pinned_memory(parts: Sequence[np.ndarray]) -> Tensor:
    """Return arrays (n, ...) as one tensor in page-locked memory, from which a device copies while others compute."""
    rows, like = sum(map(len, parts)), torch.from_numpy(parts[0][:0])
    tensor = torch.empty(rows, *like.shape[1:], dtype=like.dtype, pin_memory=True)
    np.concatenate(parts, out=tensor.numpy())
    return tensor


def cut_to_length(tokens: Tensor, length: int) -> Tensor:
    """Return the first ``length`` columns of token ids (n, context), rounded up to LENGTH_STEP.

    For each new length, oneDNN makes kernels for every layer and keeps them: some 17 MB a length for a model of two
    layers. Rounded up, there are a quarter as many lengths.
    """
    return tokens[:, : -(-length // LENGTH_STEP) * LENGTH_STEP]
