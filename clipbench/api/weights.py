"""What an engine needs to read weights of a CLIP model, whoever wrote them, beside its own tensors."""

from clipbench.clip.weights.archive import is_torchscript, read_archive
from clipbench.clip.weights.bert import text_tower_weights
from clipbench.clip.weights.descriptions import read_bert_description, read_descriptions
from clipbench.clip.weights.file import (
    EXPECTED,
    check_names,
    first_bytes,
    is_safetensors,
    parameters_in,
    read_safetensors,
    truncated,
)
from clipbench.clip.weights.fit import Description, check_fit, describe_tensors
from clipbench.clip.weights.names import has_transformers_names, to_openai_names

__all__ = [
    "EXPECTED",
    "Description",
    "check_fit",
    "check_names",
    "describe_tensors",
    "first_bytes",
    "has_transformers_names",
    "is_safetensors",
    "is_torchscript",
    "parameters_in",
    "read_archive",
    "read_bert_description",
    "read_descriptions",
    "read_safetensors",
    "text_tower_weights",
    "to_openai_names",
    "truncated",
]
