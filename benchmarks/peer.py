"""The peer: transformers' CLIPModel with a model's own weights, and the steps that people write around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipbench.clip.config import ClipConfig
from clipbench_torch.learner import TorchLearner

RENAMES = [
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.conv1", "vision_model.embeddings.patch_embedding"),
    ("visual.ln_pre", "vision_model.pre_layrnorm"),
    ("visual.ln_post", "vision_model.post_layernorm"),
    ("visual.proj", "visual_projection.weight"),
    ("visual.transformer.resblocks", "vision_model.encoder.layers"),
    ("transformer.resblocks", "text_model.encoder.layers"),
    ("token_embedding", "text_model.embeddings.token_embedding"),
    ("text_projection", "text_projection.weight"),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("ln_final", "text_model.final_layer_norm"),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    (".attn.out_proj.", ".self_attn.out_proj."),
]
ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}


def peer_batch(
    learner: TorchLearner, pixels: np.ndarray, tokens: np.ndarray, place: torch.device
) -> tuple[Tensor, Tensor]:
    """Return a batch as the peer takes it: normalised pixels and int64 token ids, on the device."""
    ready = learner._towers.normalise(torch.from_numpy(pixels).to(place)).contiguous()
    return ready, torch.from_numpy(tokens).long().to(place)


def peer_of(learner: TorchLearner, config: ClipConfig, place: torch.device) -> nn.Module:
    """Return transformers' CLIPModel (SDPA) with a copy of our learner's weights, on the torch device ``place``."""
    return transformers_model(config, {n: t.clone() for n, t in learner._model.state_dict().items()}).to(place)


def transformers_model(config: ClipConfig, state: Mapping[str, Tensor]) -> nn.Module:
    """Return transformers' CLIPModel with the weights ``state``, which it shares, under our names."""
    import transformers

    sides = {
        side: {
            "hidden_size": getattr(config, f"{side}_width"),
            "intermediate_size": 4 * getattr(config, f"{side}_width"),
            "num_hidden_layers": getattr(config, f"{side}_layers"),
            "num_attention_heads": getattr(config, f"{side}_heads"),
            "hidden_act": ACTIVATIONS[getattr(config, f"{side}_activation")],
            "projection_dim": config.embed_dim,
        }
        for side in ("vision", "text")
    }
    sides["vision"] |= {"image_size": config.image_size, "patch_size": config.patch_size}
    sides["text"] |= {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "eos_token_id": config.vocab_size - 1,
    }
    sizes = transformers.CLIPConfig(
        projection_dim=config.embed_dim, vision_config=sides["vision"], text_config=sides["text"]
    )
    with torch.device("meta"):
        model = transformers.CLIPModel(sizes)
    model.load_state_dict(_renamed(state), assign=True, strict=True)
    # Buffers are not in the state: the positions, which are counted.
    for embeddings in (model.vision_model.embeddings, model.text_model.embeddings):
        embeddings.position_ids = torch.arange(embeddings.position_embedding.weight.shape[0])[None]
    return model


class PeerStep:
    """Forward, backward and AdamW on the peer: batches are normalised pixels and all 77 columns of the token ids.

    ``tuned`` pads to the batch's longest caption and takes the fused AdamW, which people can have by asking for it.
    """

    def __init__(self, model: nn.Module, lr: float = 1e-6) -> None:
        self.model = model.train()
        self.device = next(model.parameters()).device.type
        options = {"lr": lr, "weight_decay": 0.01}
        self.plain = torch.optim.AdamW(model.parameters(), **options)
        self.fused = torch.optim.AdamW(model.parameters(), fused=True, **options)

    def __call__(self, pixels: Tensor, tokens: Tensor, precision: str, tuned: bool = False) -> None:
        optimizer = self.fused if tuned else self.plain
        if tuned:
            self._share_moments()
            tokens = tokens[:, : int(tokens.argmax(dim=1).max()) + 1]
        optimizer.zero_grad()
        with torch.autocast(self.device, dtype=getattr(torch, precision), enabled=precision != "float32"):
            images, texts = encode_images(self.model, pixels), encode_texts(self.model, tokens)
            logits = self.model.logit_scale.exp() * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).t()
        targets = torch.arange(len(pixels), device=pixels.device)
        loss = F.cross_entropy(logits.float(), targets) + F.cross_entropy(logits.float().t(), targets)
        loss.backward()
        optimizer.step()

    def _share_moments(self) -> None:
        """Let both optimisers use one set of moments, which saves memory; each counts its own steps."""
        for parameter, state in self.plain.state.items():
            if parameter not in self.fused.state:
                self.fused.state[parameter] = {**state, "step": torch.zeros((), device=parameter.device)}


def with_default_products(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``call`` with torch's own float32 products; our learner may have chosen others for the process."""

    def run(*args: object, **options: object) -> object:
        chosen = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            return call(*args, **options)
        finally:
            torch.set_float32_matmul_precision(chosen)

    return run


def encode_images(model: nn.Module, pixels: Tensor) -> Tensor:
    return model.visual_projection(model.vision_model(pixels).pooler_output)


def encode_texts(model: nn.Module, tokens: Tensor) -> Tensor:
    return model.text_projection(model.text_model(tokens).pooler_output)


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in RENAMES:
            if name.startswith(ours) or ours.startswith("."):
                name = name.replace(ours, theirs, 1)
        if ".attn.in_proj_" in name:
            kind = name.rpartition("_")[2]
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace(f".attn.in_proj_{kind}", f".self_attn.{part}_proj.{kind}")] = piece
        else:
            renamed[name] = tensor.t() if name in ("visual_projection.weight", "text_projection.weight") else tensor
    return renamed
