"""The weights that training from scratch starts with: the same numbers for every framework and device."""

import hashlib
import math
from collections.abc import Iterator

import numpy as np

from clipbench.clip.config import ClipConfig

INITIAL_LOGIT_SCALE = math.log(1 / 0.07)


def initial_weights(config: ClipConfig, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each parameter of a CLIP model under OpenAI's name, float32, drawn as openai/CLIP does before training.

    Those of a BERT for the texts have transformers' names and distributions, under ``transformer.``.
    The values depend on ``seed``, the name and the shape alone: not on the other parameters, nor on their order.
    ``logit_scale`` has shape (). One parameter is in memory at a time.
    """
    for name, shape in parameter_shapes(config).items():
        yield name, _drawn(name, shape, config, seed)


def parameter_shapes(config: ClipConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter by OpenAI's name, in the order of openai/CLIP's state dict."""
    text, vision = config.text_width, config.vision_width
    patches = (config.image_size // config.patch_size) ** 2
    is_bert = config.text_tower == "bert"
    return {
        **({} if is_bert else {"positional_embedding": (config.context_length, text)}),
        "text_projection": (text, config.embed_dim),
        "logit_scale": (),
        "visual.class_embedding": (vision,),
        "visual.positional_embedding": (patches + 1, vision),
        "visual.proj": (vision, config.embed_dim),
        "visual.conv1.weight": (vision, 3, config.patch_size, config.patch_size),
        **_norm("visual.ln_pre", vision),
        **_blocks("visual.transformer.resblocks", vision, config.vision_layers),
        **_norm("visual.ln_post", vision),
        **(_bert("transformer", config) if is_bert else _blocks("transformer.resblocks", text, config.text_layers)),
        **({} if is_bert else {"token_embedding.weight": (config.vocab_size, text)}),
        **_norm("ln_final", text),
    }


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _blocks(name: str, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    block: dict[str, tuple[int, ...]] = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        **_norm("ln_1", width),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
        **_norm("ln_2", width),
    }
    return {f"{name}.{layer}.{part}": shape for layer in range(layers) for part, shape in block.items()}


def _bert(name: str, config: ClipConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of transformers' BertModel, in the order of its state dict."""
    width = config.text_width
    positions = config.text_positions or config.context_length
    block = {
        **_layer("attention.self.query", width, width),
        **_layer("attention.self.key", width, width),
        **_layer("attention.self.value", width, width),
        **_layer("attention.output.dense", width, width),
        **_norm("attention.output.LayerNorm", width),
        **_layer("intermediate.dense", width, 4 * width),
        **_layer("output.dense", 4 * width, width),
        **_norm("output.LayerNorm", width),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, width),
        "embeddings.position_embeddings.weight": (positions, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        **_norm("embeddings.LayerNorm", width),
        **{f"encoder.layer.{n}.{part}": shape for n in range(config.text_layers) for part, shape in block.items()},
        **_layer("pooler.dense", width, width),
    }
    return {f"{name}.{part}": shape for part, shape in shapes.items()}


def _layer(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _drawn(name: str, shape: tuple[int, ...], config: ClipConfig, seed: int) -> np.ndarray:
    if name == "logit_scale":
        return np.array(INITIAL_LOGIT_SCALE, dtype=np.float32)
    module, _, part = name.rpartition(".")
    if ".ln_" in f".{module}" or module.endswith("LayerNorm"):
        return np.full(shape, part == "weight", dtype=np.float32)
    if name.endswith(("in_proj_bias", "out_proj.bias")) or (_is_of_bert(name, config) and part == "bias"):
        return np.zeros(shape, dtype=np.float32)
    key = hashlib.sha256(name.encode()).digest()[:16]
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, int.from_bytes(key, "little")])))
    std = _normal_std(name, config)
    if std is not None:
        values = generator.standard_normal(shape, dtype=np.float32)
        values *= np.float32(std)
    else:
        bound = np.float32(_uniform_bound(name, shape))
        values = generator.random(shape, dtype=np.float32)
        values *= 2 * bound
        values -= bound
    return values


def _is_of_bert(name: str, config: ClipConfig) -> bool:
    return config.text_tower == "bert" and name.startswith("transformer.")


def _normal_std(name: str, config: ClipConfig) -> float | None:
    """Return the standard deviation of what openai/CLIP or transformers initialises itself, else None."""
    if _is_of_bert(name, config):
        return 0.02
    if name.startswith("visual."):
        own = ("visual.class_embedding", "visual.positional_embedding", "visual.proj")
        return config.vision_width**-0.5 if name in own else None
    width = config.text_width
    stds = {
        "token_embedding.weight": 0.02,
        "positional_embedding": 0.01,
        "text_projection": width**-0.5,
        "attn.in_proj_weight": width**-0.5,
        "attn.out_proj.weight": width**-0.5 * (2 * config.text_layers) ** -0.5,
        "mlp.c_fc.weight": (2 * width) ** -0.5,
        "mlp.c_proj.weight": width**-0.5 * (2 * config.text_layers) ** -0.5,
    }
    return next((std for ending, std in stds.items() if name.endswith(ending)), None)


def _uniform_bound(name: str, shape: tuple[int, ...]) -> float:
    """Return the bound that torch's constructors use, which openai/CLIP keeps for everything else."""
    if name.endswith("in_proj_weight"):  # Xavier's, of torch's attention
        return math.sqrt(6 / (shape[0] + shape[1]))
    if name.endswith("c_fc.bias"):
        return 1 / math.sqrt(shape[0] // 4)
    if name.endswith("c_proj.bias"):
        return 1 / math.sqrt(4 * shape[0])
    return 1 / math.sqrt(math.prod(shape[1:]))
