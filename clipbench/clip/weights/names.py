"""Parameter names of transformers and of open_clip's newer models, turned into OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipbench.errors import NotReadyError

Arrays = Mapping[str, Any]  # tensors of any framework with ``ndim``, ``shape`` and ``T``
Join = Callable[[Sequence[Any]], Any]

_TOWERS = {"text": "", "vision": "visual."}
_OUTSIDE_BLOCKS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",  # so spelled
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
# Layers there, matrices to multiply by here.
_TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
_BLOCK = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_IN_BLOCKS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def has_transformers_names(names: Iterable[str]) -> bool:
    """Return whether these are parameters of transformers' CLIPModel."""
    return any(name.startswith(("text_model.", "vision_model.")) for name in names)


def to_openai_names(state: Arrays, path: Path, join: Join) -> dict[str, Any]:
    """Return ``state`` under OpenAI's names; what is not known keeps its name, for strict loading to refuse.

    ``join`` concatenates tensors along their first axis.

    Counted positions are left out. From transformers: query, key and value are joined in this order, projections
    transposed. From open_clip: the text tower loses its prefix ``text.``. Raises NotReadyError where two tensors would
    get one name.
    """
    pairs = _from_transformers(state, join) if has_transformers_names(state) else _from_open_clip(state)
    renamed: dict[str, Any] = {}
    for name, tensor in pairs:
        if name in renamed:
            raise NotReadyError(f"{path}: two tensors in it are both {name!r} by OpenAI's names; expected one")
        renamed[name] = tensor
    return renamed


def _from_open_clip(state: Arrays) -> Iterator[tuple[str, Any]]:
    for name, tensor in state.items():
        if not name.endswith(".position_ids"):
            yield name.removeprefix("text."), tensor


def _from_transformers(state: Arrays, join: Join) -> Iterator[tuple[str, Any]]:
    for name, tensor in state.items():
        block = _BLOCK.fullmatch(name)
        if name.endswith(".position_ids"):
            continue
        if name in _TRANSPOSED and tensor.ndim == 2:
            yield _TRANSPOSED[name], tensor.T
        elif block and block[3] in _QKV:
            yield from _joined(state, block, join)
        elif block and block[3] in _IN_BLOCKS:
            yield f"{_TOWERS[block[1]]}transformer.resblocks.{block[2]}.{_IN_BLOCKS[block[3]]}.{block[4]}", tensor
        else:
            yield _OUTSIDE_BLOCKS.get(name, name), tensor


def _joined(state: Arrays, block: re.Match[str], join: Join) -> Iterator[tuple[str, Any]]:
    """Yield query, key and value as one tensor when it is the query's turn; each alone where they do not belong."""
    tower, layer, part, kind = block.groups()
    names = [f"{tower}_model.encoder.layers.{layer}.{name}.{kind}" for name in _QKV]
    tensors = [state[name] for name in names if name in state]
    if len(tensors) < len(names) or tensors[0].ndim == 0 or len({tensor.shape for tensor in tensors}) > 1:
        yield block[0], state[block[0]]
    elif part == _QKV[0]:
        yield f"{_TOWERS[tower]}transformer.resblocks.{layer}.attn.in_proj_{kind}", join(tensors)
