"""What weights and the descriptions beside them say of their model, compared with the model that is to have them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.clip.config import ClipConfig
from clipbench.errors import NotReadyError

_LAYER = re.compile(r"(visual\.)?transformer\.(?:resblocks|encoder\.layer)\.(\d+)\.")
_OF_BERT = "transformer.embeddings."


@dataclass(frozen=True)
class Description:
    """Fields of ClipConfig, and the values that ``source`` gives for them, of whatever type."""

    source: str
    values: Mapping[str, Any]


def check_fit(
    path: Path, model: str, config: ClipConfig, models: Mapping[str, ClipConfig], descriptions: Iterable[Description]
) -> None:
    """Raise NotReadyError that names both values of what differs from ``model``, and the model that would fit.

    ``config`` is what the suite has made of the config of ``model``; ``models`` are all of the engine's. A text
    activation that the suite chose itself is left alone: the published runs have another than their weights.
    """
    own = models.get(model, config)
    chosen = config.text_activation != own.text_activation
    values: dict[str, Any] = {}
    differing: dict[str, Any] = {}
    problems = []
    for description in descriptions:
        described = {k: value for k, value in description.values.items() if not (chosen and k == "text_activation")}
        different = _differing(described, config)
        if different:
            problems.append(f"{description.source} {_listed(different)}, but the model has {_own(different, config)}.")
        values |= described
        differing |= different
    if problems:
        remedy = _remedy(values, differing, model, models)
        raise NotReadyError(f"{path} does not fit model {model}. {' '.join(problems)} {remedy}")


def describe_tensors(state: Mapping[str, Any], config: ClipConfig) -> Description:
    """Return the sizes that follow from the shapes of tensors under OpenAI's names; heads and activation do not."""
    values: dict[str, Any] = {}

    def read(name: str, **fields: int) -> tuple[int, ...]:
        shape = tuple(state[name].shape) if name in state else ()
        if len(shape) <= max(fields.values()):
            return ()
        values.update({field: shape[axis] for field, axis in fields.items()})
        return shape

    read("visual.conv1.weight", vision_width=0, patch_size=3)
    read("visual.proj", embed_dim=1)
    read("token_embedding.weight", vocab_size=0, text_width=1)
    read(f"{_OF_BERT}word_embeddings.weight", vocab_size=0, text_width=1)
    read(f"{_OF_BERT}position_embeddings.weight", text_positions=0)
    if any(name.startswith(("token_embedding.", _OF_BERT)) for name in state):
        values["text_tower"] = "bert" if any(name.startswith(_OF_BERT) for name in state) else "clip"
    positions = read("visual.positional_embedding", vision_width=1)
    read("positional_embedding", context_length=0)
    if positions and values.get("patch_size"):
        patch, grid = values["patch_size"], math.isqrt(max(positions[0] - 1, 0))
        # A rest of the picture that fills no patch is cut off, and leaves no trace in the shapes.
        values["image_size"] = config.image_size if config.image_size // patch == grid else grid * patch
    for tower, prefix in (("vision", "visual."), ("text", None)):
        layers = {found[2] for found in map(_LAYER.match, state) if found and found[1] == prefix}
        if layers:
            values[f"{tower}_layers"] = len(layers)
    return Description("Its tensors are of", values)


def _differing(values: Mapping[str, Any], config: ClipConfig) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not _equal(value, getattr(config, name))}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _own(names: Iterable[str], config: ClipConfig) -> str:
    return _listed({name: getattr(config, name) for name in names})


def _remedy(
    values: Mapping[str, Any], differing: Mapping[str, Any], own_name: str, models: Mapping[str, ClipConfig]
) -> str:
    """Return what to do; ``values`` are all that were described, of which those in ``differing`` do not fit."""
    if differing.keys() == {"vocab_size"}:
        return "Name the vocabulary that belongs to these weights with model.vocabulary."
    fitting = [name for name, config in models.items() if not _differing(values, config)]
    if differing.get("text_tower") == "clip":  # and the model's is a BERT
        other = f", or use --set model.name={fitting[0]}" if fitting else ""
        return f"To have its vision tower alone, name a BERT's weights for the texts with model.text_weights{other}."
    if own_name in fitting:  # the tensors, which count last, are of this model
        return "The tensors are of this model and the description is of another: one of the two files is a wrong one."
    if fitting:
        return f"Use --set model.name={fitting[0]}."
    if differing.keys() == {"text_activation"} and differing["text_activation"] in ("quick_gelu", "gelu", "gelu_tanh"):
        return f"Use --set model.text_activation={differing['text_activation']}."
    return "No model of the engine fits; use other weights."


def _equal(value: object, own: object) -> bool:
    if isinstance(own, tuple):
        items = list(value) if isinstance(value, list | tuple) else []
        return len(items) == len(own) and all(map(_equal, items, own))
    if isinstance(own, float):
        return isinstance(value, float | int) and math.isclose(value, own, abs_tol=1e-6)
    return type(value) is type(own) and value == own


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
