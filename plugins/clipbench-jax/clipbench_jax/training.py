"""A training step as two pure functions: gradients, over micro-batches and ranks, and AdamW."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from clipbench.api import ClipConfig, LearnerJob, LossConfig, OptimizerConfig, Precision
from clipbench_jax.loss import RANKS, contrastive_loss
from clipbench_jax.model import Compute, encode_image, encode_text
from clipbench_jax.parameters import is_matrix

DTYPES: Mapping[Precision, np.dtype] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(jnp.bfloat16),
}
MAX_LOGIT_SCALE = math.log(100)
# Of the float16 gradient scaler; torch's own has the same.
FIRST_SCALE, GROWTH_STEPS = 2.0**16, 2000

Params = dict[str, Array]


class Scaler(NamedTuple):
    """What multiplies the loss so that float16 gradients do not vanish; steps since it changed, and steps withheld."""

    scale: Array
    steps: Array
    withheld: Array


class TrainState(NamedTuple):
    """All that a step changes; ``scaler`` is None but for float16."""

    params: Params
    adam: optax.ScaleByAdamState
    scaler: Scaler | None


class StepScalars(NamedTuple):
    """What a step reports, left on the device: loss and gradient norm, and whether it was withheld."""

    loss: Array
    norm: Array
    withheld: Array


@dataclass(frozen=True)
class Recipe:
    """All of a job that its programs depend on; ``image`` and ``text`` are how each tower is computed."""

    config: ClipConfig
    optimizer: OptimizerConfig
    loss: LossConfig
    image: Compute
    text: Compute
    ranks: int

    @classmethod
    def of(cls, job: LearnerJob) -> Recipe:
        """Return what the programs of ``job`` depend on."""
        image = Compute(DTYPES[job.precision], job.grad_checkpointing)
        text = image if job.autocast_text else Compute(DTYPES["float32"], job.grad_checkpointing)
        return cls(job.config, job.optimizer, job.loss, image, text, job.world.size)


def initial_state(params: Params, recipe: Recipe) -> TrainState:
    """Return the state before the first step."""
    scaler = None
    if recipe.image.dtype == DTYPES["float16"]:
        scaler = Scaler(jnp.float32(FIRST_SCALE), jnp.int32(0), jnp.int32(0))
    return TrainState(params, _adam(recipe).init(params), scaler)


def make_gradients(recipe: Recipe, mesh: Mesh | None) -> Callable[[Params, Array, Array, Array], tuple[Array, Params]]:
    """Return the function ``(params, scale, pixels, tokens)`` to loss and gradients, both times ``scale``.

    Pixels are uint8 (parts, n, size, size, 3) and tokens int32 (parts, n, length), one part for each micro-batch; with
    a ``mesh`` of ranks, n is of all ranks, and each takes its own share.
    """

    def gradients(params: Params, scale: Array, pixels: Array, tokens: Array) -> tuple[Array, Params]:
        objective = _objective(recipe, scale)
        found = _loss_and_gradients(objective, recipe, params, pixels, tokens)
        return found if mesh is None else lax.pmean(found, RANKS)

    if mesh is None:
        return gradients
    batch = P(None, RANKS)
    return jax.shard_map(gradients, mesh=mesh, in_specs=(P(), P(), batch, batch), out_specs=P(), check_vma=False)


def make_update(recipe: Recipe) -> Callable[[TrainState, Array, Params, Array], tuple[TrainState, StepScalars]]:
    """Return the function ``(state, loss, gradients, lr)`` to the next state and what the step reports."""

    def update(state: TrainState, loss: Array, gradients: Params, lr: Array) -> tuple[TrainState, StepScalars]:
        if state.scaler is not None:
            loss = loss / state.scaler.scale
            gradients = {name: gradient / state.scaler.scale for name, gradient in gradients.items()}
        # As dot products: on processors XLA would write the squares down before it adds them.
        norm = jnp.sqrt(sum(jnp.vdot(gradient, gradient) for gradient in gradients.values()))
        taken = _adamw(recipe, state, gradients, lr)
        if state.scaler is None:
            return TrainState(*taken, None), StepScalars(loss, norm, jnp.bool_(False))
        finite = jnp.isfinite(norm)
        params, adam = jax.tree.map(lambda new, old: jnp.where(finite, new, old), taken, (state.params, state.adam))
        return TrainState(params, adam, _next_scaler(state.scaler, finite)), StepScalars(loss, norm, ~finite)

    return update


def _objective(recipe: Recipe, scale: Array) -> Callable[..., Array]:
    """Return the function of parameters and parts that gives the loss of all parts as one batch, times ``scale``."""

    def features(params: Params, pixels: Array, tokens: Array) -> tuple[Array, Array]:
        images = encode_image(params, pixels, recipe.config, recipe.image)
        return images, encode_text(params, tokens, recipe.config, recipe.text)

    def objective(params: Params, pixels: Array, tokens: Array) -> Array:
        if len(pixels) == 1:
            images, texts = features(params, pixels[0], tokens[0])
        else:
            # Features are computed again for their gradient, with the activations of one part in memory at a time
            # (GradCache: Gao et al. 2021, arXiv:2101.06983).
            again = jax.checkpoint(lambda part: features(params, *part))
            images, texts = (rows.reshape(-1, rows.shape[-1]) for rows in lax.map(again, (pixels, tokens)))
        loss = contrastive_loss(images, texts, params["logit_scale"], recipe.loss, recipe.image.dtype, recipe.ranks)
        return loss * scale

    return objective


def _loss_and_gradients(
    objective: Callable[..., Array], recipe: Recipe, params: Params, pixels: Array, tokens: Array
) -> tuple[Array, Params]:
    """Return loss and gradient: of all parts as one batch, or the mean of the parts', each over its own pairs."""
    gradient_of = jax.value_and_grad(objective)
    parts = len(pixels)
    if parts == 1 or recipe.loss.negatives == "batch":
        return gradient_of(params, pixels, tokens)

    def add(total: tuple[Array, Params], part: tuple[Array, Array]) -> tuple[tuple[Array, Params], None]:
        own = gradient_of(params, *(array[None] for array in part))
        return jax.tree.map(lambda sum_, value: sum_ + value / parts, total, own), None

    zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    (loss, gradients), _ = lax.scan(add, zeros, (pixels, tokens))
    return loss, gradients


def _adam(recipe: Recipe) -> optax.GradientTransformation:
    beta1, beta2 = recipe.optimizer.betas
    return optax.scale_by_adam(b1=beta1, b2=beta2, eps=recipe.optimizer.eps)


def _adamw(recipe: Recipe, state: TrainState, gradients: Params, lr: Array) -> tuple[Params, optax.ScaleByAdamState]:
    """Return parameters and moments after a step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    directions, adam = _adam(recipe).update(gradients, state.adam)
    params = {}
    for name, value in state.params.items():
        decays = recipe.optimizer.decay_norms_and_biases or is_matrix(name, value)
        decay = recipe.optimizer.weight_decay if decays else 0.0
        params[name] = value - lr * (directions[name] + decay * value)
    params["logit_scale"] = params["logit_scale"].clip(0, MAX_LOGIT_SCALE)
    return params, adam


def _next_scaler(scaler: Scaler, finite: Array) -> Scaler:
    """Return the scaler after a step: half the scale after one that was withheld, twice after 2000 that were not."""
    grow = scaler.steps + 1 >= GROWTH_STEPS
    scale = jnp.where(finite, jnp.where(grow, scaler.scale * 2, scaler.scale), scaler.scale / 2)
    steps = jnp.where(finite & ~grow, scaler.steps + 1, 0)
    return Scaler(scale, steps, scaler.withheld + ~finite)
