"""Compiled programs: for a few caption lengths only, and kept from run to run."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from clipbench_jax.model import Compute, encode_image, encode_text
from clipbench_jax.training import DTYPES, Recipe, make_gradients, make_update

LENGTHS = (24, 40)  # captions are padded to one of these, or to the whole context
CACHED_SECONDS = 0.3  # programs that compile faster are not worth a file


def caption_lengths(context: int, ranks: int) -> list[int]:
    """Return the numbers of columns that programs are compiled for, shortest first.

    Several ranks have one program together, and none knows how long the others' captions are: so it is the context.
    """
    return [*(length for length in LENGTHS if length < context and ranks == 1), context]


def padded_length(tokens: np.ndarray, lengths: Sequence[int]) -> int:
    """Return the first of ``lengths`` that holds the longest caption of token ids (n, context)."""
    longest = longest_caption(tokens)
    return next(length for length in lengths if length >= longest)


def longest_caption(tokens: np.ndarray) -> int:
    """Return the number of columns up to the last end token, a caption's highest id."""
    return int(tokens.argmax(axis=1).max()) + 1


def keep_programs(cache: Path | None) -> None:
    """Have compiled programs kept in a folder of ``cache``, where the next run finds them; do nothing without one."""
    if cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", CACHED_SECONDS)


class Programs:
    """A function compiled for every shape of its arguments that comes; ``seconds`` is the time that this took.

    Only arguments that are arrays themselves may change their shapes, not those inside a dict or tuple.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 -- those of jax.jit
        self._jitted = jax.jit(function, **options)
        self._compiled: dict[Any, Callable[..., Any]] = {}
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401
        """Return what the function gives."""
        return self.compiled(*arguments)(*arguments)

    def compiled(self, *arguments: Any) -> Callable[..., Any]:  # noqa: ANN401
        """Return the program for arguments of these shapes; they may be ShapeDtypeStructs."""
        shapes = tuple(argument.shape for argument in arguments if hasattr(argument, "shape"))
        if shapes not in self._compiled:
            started = time.perf_counter()
            self._compiled[shapes] = self._jitted.lower(*arguments).compile()
            self.seconds += time.perf_counter() - started
        return self._compiled[shapes]


@dataclass(frozen=True)
class StepPrograms:
    """All that a learner computes; features are float32 whatever the training's precision."""

    gradients: Programs
    update: Programs
    images: Programs
    texts: Programs

    @property
    def seconds(self) -> float:
        """The time that compiling has taken in this process."""
        return sum(programs.seconds for programs in (self.gradients, self.update, self.images, self.texts))


@functools.cache
def programs_of(recipe: Recipe, device: jax.Device, mesh: Mesh | None) -> StepPrograms:
    """Return the programs of a recipe on a device: learners of one process that do the same work share them."""
    encoding = {"config": recipe.config, "compute": Compute(DTYPES["float32"])}
    return StepPrograms(
        Programs(make_gradients(recipe, mesh)),
        Programs(make_update(recipe), donate_argnums=0),
        Programs(functools.partial(encode_image, **encoding)),
        Programs(functools.partial(encode_text, **encoding)),
    )
