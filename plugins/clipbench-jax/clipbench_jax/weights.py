"""Weights from a file in any of the usual formats, as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from clipbench.api import ClipConfig, ModelSpec, NotReadyError, parameter_shapes, weights
from clipbench_jax import clipbench_models


def load_weights(model: ModelSpec, config: ClipConfig, path: Path) -> dict[str, np.ndarray]:
    """Return the weights in ``path`` under OpenAI's names, float32, whichever names they have there.

    Raises NotReadyError where the file, or the description beside it, is of another model than ``config``.
    """
    state = read_weights(path)
    own = parameter_shapes(config)
    beside = weights.read_descriptions(path, transformers=weights.has_transformers_names(state))
    if state.keys() != own.keys():
        state = weights.to_openai_names(state, path, np.concatenate)
    models = {spec.name: spec.config for spec in clipbench_models()} | {model.name: model.config}
    weights.check_fit(path, model.name, config, models, [*beside, weights.describe_tensors(state, config)])
    unusable = {name: f"{name} is {array.dtype}" for name, array in state.items() if array.dtype != np.float32}
    infinite = [name for name, array in state.items() if name not in unusable and not np.isfinite(array).all()]
    shapes = {name: array.shape for name, array in state.items()}
    weights.check_names(path, own, shapes, [text for name, text in unusable.items() if name in own], infinite)
    return {name: np.asarray(state[name], np.float32, order="C") for name in own}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Return parameters by name, floating types as float32.

    Reads a safetensors file (also of a run's checkpoint), and what torch.save or torch.jit.save wrote in torch's format
    since 1.6. Nothing is executed. Raises NotReadyError where the file is neither, is incomplete, or is not there.
    """
    head = weights.first_bytes(path)
    if weights.is_safetensors(head):
        content: Any = weights.read_safetensors(path, "numpy")
    elif head.startswith(b"PK"):
        content = weights.read_archive(path)
    else:
        raise NotReadyError(
            f"{path}: neither a zip archive nor safetensors: engine jax cannot read what torch.save wrote before 1.6; "
            f"load and save it again with a newer torch. {weights.EXPECTED.capitalize()}"
        )
    return dict(_as_float32(weights.parameters_in(content, path, np.ndarray)))


def _as_float32(state: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in state.items():
        # numpy has no bfloat16: there are two opaque bytes each.
        values = array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array
        yield name, values if values.dtype.kind in "iubc" else values.astype(np.float32)
