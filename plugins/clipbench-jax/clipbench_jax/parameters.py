"""Parameters: under OpenAI's names outside, and inside with the blocks of a tower stacked, as a scan takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, jax.Array]

EVERY = "*"  # stands for the number of a block in the name of a stack
_BLOCK = re.compile(r"(.*transformer\.resblocks\.)(\d+)(\..+)")


def stacked(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return ``weights`` with all blocks of a tower but the last as one array per parameter, named with ``EVERY``.

    The last block keeps its names: it is computed otherwise, for one token of each row.
    """
    blocks: dict[str, dict[int, np.ndarray]] = {}
    params: dict[str, np.ndarray] = {}
    for name, array in weights.items():
        if (found := _BLOCK.fullmatch(name)) is None:
            params[name] = array
        else:
            blocks.setdefault(f"{found[1]}{EVERY}{found[3]}", {})[int(found[2])] = array
    for name, of_layer in blocks.items():
        *layers, last = sorted(of_layer)
        params[name.replace(EVERY, str(last))] = of_layer[last]
        if layers:
            params[name] = np.stack([of_layer[layer] for layer in layers])
    return params


def names_in(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, int | None, tuple[int, ...]]]:
    """Yield OpenAI's name, the row in the stack and the shape of each parameter in an array of ``stacked``.

    The row is None for an array that is one parameter.
    """
    if EVERY not in name:
        yield name, None, shape
        return
    for layer in range(shape[0]):
        yield name.replace(EVERY, str(layer)), layer, shape[1:]


def blocks_of(params: Mapping[str, jax.Array], tower: str) -> tuple[Params, Params]:
    """Return the stack of a tower's blocks, empty where there is one, and its last block, by names inside a block.

    ``tower`` is the name's part before ``transformer``: ``visual.`` or nothing.
    """
    stack, last = {}, {}
    prefix = f"{tower}transformer.resblocks."
    for name, array in params.items():
        if name.startswith(prefix):
            layer, _, inside = name.removeprefix(prefix).partition(".")
            (stack if layer == EVERY else last)[inside] = array
    return stack, last


def is_matrix(name: str, array: jax.Array) -> bool:
    """Return whether the parameters in an array of ``stacked`` have two dimensions or more."""
    return array.ndim - (EVERY in name) >= 2


def count(params: Mapping[str, jax.Array]) -> int:
    """Return the number of values in all parameters."""
    return sum(int(array.size) for array in params.values())


def all_finite(params: Params) -> dict[str, jax.Array]:
    """Return for each array whether its values are finite: one for each block of a stack, a scalar for the others."""
    return {
        name: jnp.isfinite(array).all(axis=tuple(range(1, array.ndim)) if EVERY in name else None)
        for name, array in params.items()
    }
