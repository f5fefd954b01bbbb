"""Weights of a BERT alone, as transformers writes them, for the text tower of a CLIP model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipbench.errors import NotReadyError

TOWER = "transformer."
_EMBEDDINGS = "embeddings.word_embeddings.weight"
# What files of before 2020 call the parts of a norm, bert-base-chinese's among them.
_OLD_ENDINGS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def text_tower_weights(state: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the parameters of a text tower, under ``transformer.``, in the weights of any of transformers' BERTs.

    The heads that it was trained with, and counted positions, are left out. Raises NotReadyError where ``path`` holds
    no BERT.
    """
    prefix = next((prefix for prefix in (TOWER, "bert.", "") if prefix + _EMBEDDINGS in state), None)
    if prefix is None:
        names = ", ".join(list(state)[:3])
        raise NotReadyError(
            f"{path}: no weights of a BERT: it has no {_EMBEDDINGS} (but {names}, ...); "
            "expected a file of transformers' BertModel, such as that of bert-base-chinese"
        )
    return {
        TOWER + _renamed(name.removeprefix(prefix)): tensor
        for name, tensor in state.items()
        if name.startswith((f"{prefix}embeddings.", f"{prefix}encoder.", f"{prefix}pooler."))
        and not name.endswith(".position_ids")
    }


def _renamed(name: str) -> str:
    for old, new in _OLD_ENDINGS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
