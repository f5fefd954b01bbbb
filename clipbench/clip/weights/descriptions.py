"""The descriptions that transformers and open_clip put beside their weights, read as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clipbench.clip.weights.fit import Description
from clipbench.errors import NotReadyError

MAX_BYTES = 1 << 20
MAX_BRACKETS = 500  # what is nested deeper could neither be parsed nor shown
# Values of transformers' CLIPTextConfig and CLIPVisionConfig that their files may leave out.
_TRANSFORMERS_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "text": {
        "hidden_size": 512,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "vocab_size": 49408,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    },
    "vision": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    },
}
_ACTIVATIONS = {
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
# open_clip's own values of what a file may leave out.
_OPEN_CLIP_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "text": {"width": 512, "layers": 12, "heads": 8, "context_length": 77, "vocab_size": 49408},
    "vision": {"width": 768, "layers": 12, "head_width": 64, "image_size": 224, "patch_size": 16},
}
# Further keys, and the values that ask for nothing which this model does not do. Shapes tell of mlp_ratio; the logit
# scale's first value is overwritten; dropped patches concern training from scratch.
_OPEN_CLIP_HARMLESS: Mapping[str, tuple[Any, ...]] = {"pool_type": ("tok", "argmax"), "proj_type": ("linear",)}
_OPEN_CLIP_IGNORED = {"mlp_ratio", "patch_dropout", "custom_text", "init_logit_scale"}
_LAYER_NORM_EPS = 1e-5
_BERT_NORM_EPS = 1e-12


def read_descriptions(path: Path, *, transformers: bool) -> Iterator[Description]:
    """Yield what the files beside the weights ``path`` say of the model.

    transformers' names belong to ``config.json`` and ``preprocessor_config.json``, OpenAI's to
    ``open_clip_config.json``. Raises NotReadyError for a description that cannot be read, or of another kind of model.
    """
    if not transformers:
        if (described := path.with_name("open_clip_config.json")).is_file():
            yield Description(f"{described.name} beside it says", _from_open_clip(described))
        return
    if (described := path.with_name("config.json")).is_file():
        yield Description(f"{described.name} beside it says", _from_transformers(described))
    if (described := path.with_name("preprocessor_config.json")).is_file():
        names = {"image_mean": "mean", "image_std": "std"}
        values = _read(described)
        yield Description(
            f"{described.name} beside it says", {ours: values[name] for name, ours in names.items() if name in values}
        )


def read_bert_description(path: Path) -> Iterator[Description]:
    """Yield what ``config.json`` beside the weights of a BERT says of it; raise NotReadyError as above."""
    if not (described := path.with_name("config.json")).is_file():
        return
    data = _read(described)
    if (kind := data.get("model_type", "bert")) != "bert":
        raise NotReadyError(f"{described}: describes a model of type {kind!r:.60}; expected transformers' 'bert'")
    if (eps := data.get("layer_norm_eps", _BERT_NORM_EPS)) != _BERT_NORM_EPS:
        raise NotReadyError(f"{described}: layer_norm_eps is {eps!r:.60}; the model's BERT has {_BERT_NORM_EPS}")
    values = {
        "text_heads": data.get("num_attention_heads", 12),
        "text_activation": _activation(data.get("hidden_act", "gelu")),
    }
    yield Description(f"{described.name} beside it says", values)


def _from_transformers(path: Path) -> dict[str, Any]:
    data = _read(path)
    if (kind := data.get("model_type")) != "clip":
        raise NotReadyError(f"{path}: describes a model of type {kind!r:.60}; expected transformers' 'clip'")
    values = {"embed_dim": data.get("projection_dim", 512)}
    for tower, defaults in _TRANSFORMERS_DEFAULTS.items():
        # The second is what old files have; it overrides the first.
        said = {**defaults, **_section(data, f"{tower}_config", path), **_section(data, f"{tower}_config_dict", path)}
        if said["layer_norm_eps"] != _LAYER_NORM_EPS:
            raise NotReadyError(
                f"{path}: {tower}_config.layer_norm_eps is {said['layer_norm_eps']!r:.60}; "
                f"the model's layers have {_LAYER_NORM_EPS}"
            )
        values |= {
            f"{tower}_width": said["hidden_size"],
            f"{tower}_layers": said["num_hidden_layers"],
            f"{tower}_heads": said["num_attention_heads"],
            f"{tower}_activation": _activation(said["hidden_act"]),
        }
        if tower == "vision":
            values |= {name: said[name] for name in ("image_size", "patch_size")}
        else:
            values |= {"vocab_size": said["vocab_size"], "context_length": said["max_position_embeddings"]}
    return values


def _activation(name: object) -> object:
    return _ACTIVATIONS.get(name, name) if isinstance(name, str) else name


def _from_open_clip(path: Path) -> dict[str, Any]:
    data = _read(path)
    model = _section(data, "model_cfg", path)
    vision = _open_clip_tower(model, "vision", path)
    text = _open_clip_tower(model, "text", path)
    _refuse_unknown(model, {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}, "model_cfg", path)
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    width, head_width = vision["width"], vision["head_width"]
    divides = all(isinstance(number, int) and number > 0 for number in (width, head_width))
    preprocessing = _section(data, "preprocess_cfg", path)
    return {
        "embed_dim": model.get("embed_dim"),
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "vision_width": width,
        "vision_layers": vision["layers"],
        **({"vision_heads": width // head_width} if divides else {}),
        "vision_activation": activation,
        "text_width": text["width"],
        "text_layers": text["layers"],
        "text_heads": text["heads"],
        "text_activation": activation,
        "vocab_size": text["vocab_size"],
        "context_length": text["context_length"],
        **{name: preprocessing[name] for name in ("mean", "std") if name in preprocessing},
    }


def _open_clip_tower(model: Mapping[str, Any], tower: str, path: Path) -> dict[str, Any]:
    section, defaults = _section(model, f"{tower}_cfg", path), _OPEN_CLIP_DEFAULTS[tower]
    _refuse_unknown(section, set(defaults), f"{tower}_cfg", path)
    return {**defaults, **section}


def _refuse_unknown(section: Mapping[str, Any], known: set[str], name: str, path: Path) -> None:
    """Raise NotReadyError for what asks for another model, such as another text tower or another pooling."""
    for key, value in section.items():
        if key in known | _OPEN_CLIP_IGNORED or not value or value in _OPEN_CLIP_HARMLESS.get(key, ()):
            continue
        raise NotReadyError(f"{path}: {name}.{key:.60} is {value!r:.60}, which OpenAI's model does not have")


def _section(data: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    section = data.get(name) or {}
    if not isinstance(section, dict):
        raise NotReadyError(f"{path}: {name} is {section!r:.60}; expected names and values")
    return section


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a small file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        readable = len(content) <= MAX_BYTES and content.count(b"[") + content.count(b"{") <= MAX_BRACKETS
        data = json.loads(content) if readable else None
    except (OSError, ValueError, RecursionError) as error:
        raise NotReadyError(f"{path}: not JSON ({str(error).splitlines()[0]:.80}); download it again") from None
    if not isinstance(data, dict):
        raise NotReadyError(f"{path}: not a description of a model; expected a small JSON object")
    return data
