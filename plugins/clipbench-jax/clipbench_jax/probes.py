"""Tests of a device before anything is timed: its precision, its results, and whether waiting for it works.

Each probe takes some tens of milliseconds and of megabytes.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from clipbench.api import Precision, Probe
from clipbench_jax.device import JaxDevice
from clipbench_jax.model import attention, linear
from clipbench_jax.training import DTYPES

# Relative error (Frobenius norm) against float64. True float32 gives 3e-7 and TF32 4e-4 on the products below; for the
# halves it is eight units of rounding (2^-11 and 2^-8), where a product alone takes one and an attention two.
TOLERANCES: Mapping[Precision, float] = {"float32": 1e-4, "float16": 8 * 2**-11, "bfloat16": 8 * 2**-8}
LENGTH = 77  # of the captions in the attention
ROUNDS = 4
EARLY_SHARE = 0.25
WORK_SIZE, WORK_PRODUCTS = 512, 20

Function = Callable[..., Array]


def probe_device(device: JaxDevice, precision: Precision) -> list[Probe]:
    """Return all probes of the selected device for a run in ``precision``; one that raises has failed."""
    return [
        _probe("matmul", "run", lambda: probe_matmul(precision)),
        _probe("attention", "run", lambda: probe_attention(precision)),
        _probe("synchronize", "timing", lambda: probe_synchronize(device)),
    ]


def _probe(name: str, refuses: Literal["run", "timing"], probe: Callable[[], Probe]) -> Probe:
    try:
        return probe()
    except Exception as error:  # a driver may raise anything
        first_line = str(error).strip().partition("\n")[0]
        return Probe(name, False, f"it raised {type(error).__name__}: {first_line}", refuses)


# --- results --------------------------------------------------------------------------------------------------------


def probe_matmul(precision: Precision) -> Probe:
    """Test whether a linear layer and its gradients have the type ``precision``, and are as exact as it should be.

    Beside a half precision, float32 is measured too; it does not decide.
    """
    x, weight, gradient = _random((256, 768), (256, 768), (256, 256))
    exact = [x @ weight.T, gradient @ weight, gradient.T @ x]
    errors = {}
    for name in dict.fromkeys((precision, "float32")):
        dtype = DTYPES[name]
        found = _with_gradients(lambda x, weight, dtype=dtype: linear(x, weight, None, dtype), gradient, x, weight)
        if found[0].dtype != dtype:
            return Probe("matmul", False, f"products in {precision} have the type {found[0].dtype}")
        errors[name] = _worst_error(found, exact)
    return _verdict("matmul", errors, precision, errors[precision])


def probe_attention(precision: Precision) -> Probe:
    """Test whether attention and its gradients agree with the definition, in the three forms that the model uses.

    They are ``full``, ``causal``, and ``masked``: the last block's one query of each row, with a mask for each.
    """
    last_seen = np.array([LENGTH // 2, LENGTH - 1]).reshape(2, 1, 1, 1)
    masks = {
        "full": None,
        "causal": np.tril(np.ones((LENGTH, LENGTH), bool)),
        "masked": np.arange(LENGTH) <= last_seen,
    }
    dtype, errors = DTYPES[precision], {}
    for form, mask in masks.items():
        queries = 1 if form == "masked" else LENGTH
        q, k, v, gradient = _random((2, queries, 4, 64), (2, LENGTH, 4, 64), (2, LENGTH, 4, 64), (2, queries, 256))
        visible = None if mask is None else jnp.asarray(mask)

        def in_type(q: Array, k: Array, v: Array, visible: Array | None = visible) -> Array:
            return attention(q.astype(dtype), k.astype(dtype), v.astype(dtype), visible)

        exact = _exact_attention(q, k, v, mask, gradient)
        errors[form] = _worst_error(_with_gradients(in_type, gradient, q, k, v), exact)
    return _verdict("attention", errors, precision, max(errors.values()))


def _exact_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None, gradient: np.ndarray
) -> list[np.ndarray]:
    """Return attention and its gradients in float64, on the host."""
    scale = q.shape[-1] ** -0.5
    scores = np.einsum("nqhd,nkhd->nhqk", q, k) * scale
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    output = np.einsum("nhqk,nkhd->nqhd", shares, v)
    gradient = gradient.reshape(output.shape)
    of_shares = np.einsum("nqhd,nkhd->nhqk", gradient, v)
    of_scores = shares * (of_shares - (of_shares * shares).sum(axis=-1, keepdims=True)) * scale
    of_q, of_k = np.einsum("nhqk,nkhd->nqhd", of_scores, k), np.einsum("nhqk,nqhd->nkhd", of_scores, q)
    return [output.reshape(*output.shape[:2], -1), of_q, of_k, np.einsum("nhqk,nqhd->nkhd", shares, gradient)]


def _random(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Return float64 arrays of values that float32 has too."""
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape, dtype=np.float32).astype(np.float64) for shape in shapes]


def _with_gradients(function: Function, gradient: np.ndarray, *inputs: np.ndarray) -> list[np.ndarray]:
    """Return what ``function`` gives of the inputs in float32, and its gradients, computed on the device."""

    def all_of(gradient: Array, *inputs: Array) -> tuple[Array, ...]:
        output, backward = jax.vjp(function, *inputs)
        return (output, *backward(gradient.astype(output.dtype)))

    return list(jax.device_get(jax.jit(all_of)(*(array.astype(np.float32) for array in (gradient, *inputs)))))


def _worst_error(results: list[np.ndarray], exact: list[np.ndarray]) -> float:
    errors = [
        float(np.linalg.norm(result.astype(np.float64) - right) / np.linalg.norm(right))
        for result, right in zip(results, exact, strict=True)
    ]
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def _verdict(name: str, errors: Mapping[str, float], precision: Precision, worst: float) -> Probe:
    """Return the probe for these relative errors by part; ``worst`` decides."""
    limit = TOLERANCES[precision]
    detail = f"relative error {worst:.1e}, {precision} allows {limit:.0e}"
    if worst > limit:
        detail += ": the results are wrong, or computed in a shorter format"
    measured = {part: float(f"{error:.4g}") if math.isfinite(error) else None for part, error in errors.items()}
    return Probe(name, worst <= limit, detail, measured={"limit": limit, "relative_error": measured})


# --- waiting --------------------------------------------------------------------------------------------------------


def probe_synchronize(device: JaxDevice) -> Probe:
    """Test whether work is done when ``block_until_ready`` returns: reading its result must then take no extra time.

    A pause of this process at the wrong moment looks the same, but does not repeat: either verdict needs ROUNDS rounds
    that agree.
    """
    matrix = jax.device_put(np.full((WORK_SIZE, WORK_SIZE), 1 / WORK_SIZE, np.float32), device.jax_device())
    product = jax.jit(jnp.matmul)
    product(matrix, matrix).block_until_ready()
    rounds: list[tuple[float, float, float, float]] = []
    while max(count := [sum(_early(seconds) == early for seconds in rounds) for early in (False, True)]) < ROUNDS:
        rounds.append(_round(product, matrix))
    ok = count[False] == ROUNDS
    typical = sorted((seconds for seconds in rounds if _early(seconds) != ok), key=sum)[ROUNDS // 2]
    parts = dict(zip(("launch", "synchronize", "read", "read_again"), (round(s, 6) for s in typical), strict=True))
    launch, waited, read, _ = (f"{1000 * seconds:.1f} ms" for seconds in parts.values())
    detail = f"{launch} to launch, {waited} to wait, {read} to read"
    if not ok:
        detail += ": waiting returns before the work is done, so times measured here mean nothing"
    return Probe("synchronize", ok, detail, "timing", {"rounds": len(rounds), "seconds": parts})


def _round(product: Function, matrix: Array) -> tuple[float, float, float, float]:
    """Return the seconds of launching work, waiting for it, reading its result, and reading it again."""
    times = [time.perf_counter()]
    result = matrix
    for _ in range(WORK_PRODUCTS):
        result = product(result, matrix)
    corner = result[0, 0]
    times.append(time.perf_counter())
    corner.block_until_ready()
    times.append(time.perf_counter())
    for _ in range(2):
        float(np.asarray(jax.device_get(corner + 0)))  # a new value each time: JAX keeps what it has copied
        times.append(time.perf_counter())
    launch, waited, read, again = (after - before for before, after in itertools.pairwise(times))
    return launch, waited, read, again


def _early(seconds: tuple[float, float, float, float]) -> bool:
    """Return whether waiting was over while much of the work was still to be done."""
    launch, waited, read, again = seconds
    return read - again > EARLY_SHARE * (launch + waited + read)
