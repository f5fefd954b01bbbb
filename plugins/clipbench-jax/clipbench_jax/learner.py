"""A CLIP model in training on one JAX device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from clipbench.api import (
    LearnerJob,
    LearnerState,
    StepReport,
    UsageError,
    initial_weights,
    training_flops,
)
from clipbench_jax.device import JaxDevice
from clipbench_jax.group import mesh_of, replicated, shared
from clipbench_jax.parameters import all_finite, count, names_in, stacked
from clipbench_jax.programs import Programs, caption_lengths, keep_programs, longest_caption, padded_length, programs_of
from clipbench_jax.state import read_state, restored
from clipbench_jax.step_log import StepLog
from clipbench_jax.training import Recipe, initial_state
from clipbench_jax.weights import load_weights


class JaxLearner:
    """A Learner (see clipbench.api) for any JaxDevice."""

    def __init__(self, job: LearnerJob) -> None:
        if job.compile is not None:
            raise UsageError(f"train.compile: {job.compile}: engine jax compiles every step; leave train.compile out")
        device: JaxDevice = job.device  # type: ignore[assignment]  # the registry pairs devices with their engine
        self._job, self._device = job, device.jax_device()
        keep_programs(job.cache)
        recipe = Recipe.of(job)
        self._state = initial_state(self._load(), recipe)
        self._mesh = mesh_of(device) if job.world.size > 1 else None
        self._programs = programs_of(recipe, self._device, self._mesh)
        self._unscaled = self._put(np.float32(1))
        self._finite = jax.jit(all_finite)
        self._log = StepLog()
        self._lengths = caption_lengths(job.config.context_length, job.world.size)
        self._flops, self._steps = 0, 0
        self._compiled_for: set[tuple[int, ...]] = set()
        self._eval_rows: dict[Programs, int] = {}

    def train_step(self, pixels: Any, tokens: Any, lr: float) -> None:  # noqa: ANN401
        """Take one optimiser step at rate ``lr`` on uint8 pixels (n, size, size, 3) and token ids (n, context)."""
        parts = self._in_parts(pixels), self._in_parts(tokens)
        length, scaler = padded_length(np.asarray(tokens), self._lengths), self._state.scaler
        scale = self._unscaled if scaler is None else scaler.scale
        loss, gradients = self._loss_and_gradients(scale, *parts, length)
        self._state, scalars = self._programs.update(self._state, loss, gradients, np.float32(lr))
        self._log.add(scalars)
        self._count_flops(parts[1])
        self._steps += 1

    def drain_steps(self) -> list[StepReport]:
        """Return the steps since the last call, losses the mean over ranks; waits for the device."""
        return self._log.drain()

    def flops(self) -> float | None:
        """Return the operations of this rank's steps so far, by ``training_flops``."""
        return float(self._flops)

    def not_finite(self) -> str | None:
        """Return the name of the first parameter that has a value that is not finite, or None; waits for the device."""
        for stack, finite in jax.device_get(self._finite(self._state.params)).items():
            for name, row, _ in names_in(stack, finite.shape):
                if not finite[() if row is None else row]:
                    return name
        return None

    def encode_images(self, pixels: Any) -> Array:  # noqa: ANN401
        """Return features (n, embed_dim) of uint8 pixels (n, size, size, 3): float32, not normalised, on the device."""
        return self._encode(self._programs.images, np.asarray(pixels))

    def encode_texts(self, tokens: Any) -> Array:  # noqa: ANN401
        """Return features (n, embed_dim) of token ids (n, context): float32, not normalised, on the device."""
        return self._encode(self._programs.texts, tokens[:, : padded_length(tokens, self._lengths)])

    def gather(self, features: Sequence[Array]) -> np.ndarray:
        """Return batches of features, concatenated on the host: float32 (n, embed_dim)."""
        return np.concatenate(jax.device_get(list(features)))

    def logit_scale(self) -> float:
        """Return the learnt scale, as its logarithm; waits for the device."""
        return float(self._state.params["logit_scale"])

    def state(self) -> LearnerState:
        """Return weights, optimiser and scaler as they are after the last step; read before the next one."""
        return read_state(self._state, self._steps)

    def restore(self, state: LearnerState | None) -> None:
        """Resume from ``state``; ranks but the first give None. Raises NotReadyError for another model's state."""
        self._state, self._steps = restored(state, self._state, self._put, self._job.world.size)

    def synchronize(self) -> None:
        """Return when all work given to the device has been done."""
        jax.block_until_ready(self._state)

    def describe(self) -> Mapping[str, Any]:
        """Return what a result records of the compute; waits for the device."""
        described: dict[str, Any] = {
            "parameter_count": count(self._state.params),
            "attention": "math",
            "last_block": "pooled token only",
            "text_length": f"padded to {' or '.join(map(str, self._lengths))}",
            **self._job.tuning,
            "optimizer": "AdamW, optax",
            "compile_seconds": round(self._programs.seconds, 3),
        }
        if (scaler := self._state.scaler) is not None:
            described["scaler_scale"] = float(scaler.scale)
            described["scaler_skipped_steps"] = int(scaler.withheld)
        return described

    def _load(self) -> dict[str, Array]:
        job = self._job
        weights = (
            load_weights(job.model, job.config, job.weights)
            if job.weights
            else dict(initial_weights(job.config, job.seed))
        )
        return {name: self._put(array) for name, array in stacked(weights).items()}

    def _put(self, array: np.ndarray) -> Array:
        # A copy: a loader may write its next batch into the same memory.
        return jax.device_put(array, self._device, may_alias=False)

    def _in_parts(self, batch: Any) -> np.ndarray:  # noqa: ANN401 -- of the loader, or numpy's
        """Return a batch as (micro-batches, n, ...)."""
        array = np.asarray(batch)
        return array.reshape(self._job.accumulate, -1, *array.shape[1:])

    def _loss_and_gradients(
        self, scale: Array, pixels: np.ndarray, tokens: np.ndarray, length: int
    ) -> tuple[Array, dict[str, Array]]:
        """Return both of this batch, averaged over the ranks; before the first, compile for all caption lengths."""
        whole: Callable[[Array], Array] = _same
        place: Callable[[np.ndarray], Array] = self._put
        if self._mesh is not None:
            whole, place = partial(replicated, self._mesh), partial(shared, self._mesh)
        params, scale, pixels = jax.tree.map(whole, self._state.params), whole(scale), place(pixels)
        lengths = [length]
        if tokens.shape not in self._compiled_for:
            self._compiled_for.add(tokens.shape)
            lengths = [*self._lengths, length]
        for columns in lengths:
            batch = place(np.ascontiguousarray(tokens[:, :, :columns]))
            program = self._programs.gradients.compiled(params, scale, pixels, batch)
        found: tuple[Array, dict[str, Array]] = program(params, scale, pixels, batch)
        return found if self._mesh is None else jax.tree.map(lambda array: array.addressable_data(0), found)

    def _encode(self, programs: Programs, batch: np.ndarray) -> Array:
        """Return features of a batch, padded to as many rows as the largest before it: a last one is smaller."""
        n = len(batch)
        rows = self._eval_rows[programs] = max(n, self._eval_rows.get(programs, 0))
        padded = np.concatenate([batch, np.repeat(batch[:1], rows - n, axis=0)]) if rows > n else batch
        features = programs(self._state.params, self._put(padded))
        return features if rows == n else features[:n]

    def _count_flops(self, tokens: np.ndarray) -> None:
        parts, rows, _ = tokens.shape
        world_size = 1 if self._job.loss.negatives == "local" else self._job.world.size
        negatives = world_size * (parts * rows if self._job.loss.negatives == "batch" else rows)
        products = 1 if world_size == 1 else 2
        for part in tokens:
            self._flops += training_flops(self._job.config, rows, longest_caption(part), negatives, products)


def _same(array: Array) -> Array:
    return array
