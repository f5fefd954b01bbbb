"""Folders of weights as transformers and open_clip write them, with random values and small sizes."""

import json
from dataclasses import replace

import torch
from safetensors.torch import save_file

from clipbench_torch.model import Clip
from tests.support.torch_jobs import SMALL

# open_clip counts heads by their width: here two heads of 16.
CONFIG = replace(SMALL, vision_heads=2, text_heads=2)
ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}


def filled(config=CONFIG, seed=3):
    """A model with random values everywhere, biases included."""
    model = Clip(config)
    model.initialize(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model


def transformers_config(config=CONFIG):
    """transformers' configuration of a model of these sizes."""
    from transformers import CLIPConfig

    def tower(side):
        width = getattr(config, f"{side}_width")
        return {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": getattr(config, f"{side}_layers"),
            "num_attention_heads": getattr(config, f"{side}_heads"),
            "hidden_act": ACTIVATIONS[getattr(config, f"{side}_activation")],
            "projection_dim": config.embed_dim,
        }

    return CLIPConfig(
        projection_dim=config.embed_dim,
        vision_config={**tower("vision"), "image_size": config.image_size, "patch_size": config.patch_size},
        text_config={
            **tower("text"),
            "vocab_size": config.vocab_size,
            "max_position_embeddings": config.context_length,
            "eos_token_id": config.vocab_size - 1,
            "bos_token_id": 0,
            "pad_token_id": 1,
        },
    )


def save_transformers(folder, config=CONFIG, form="safetensors"):
    """Save transformers' own CLIPModel with random values; return it."""
    from transformers import CLIPModel

    torch.manual_seed(5)
    model = CLIPModel(transformers_config(config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    if form == "bin":  # as versions before 4.35 wrote it, counted positions included
        (folder / "model.safetensors").unlink()
        positions = {
            "text_model.embeddings.position_ids": torch.arange(config.context_length)[None],
            "vision_model.embeddings.position_ids": torch.arange((config.image_size // config.patch_size) ** 2 + 1),
        }
        torch.save({**model.state_dict(), **positions}, folder / "pytorch_model.bin")
    return model


def open_clip_description(config=CONFIG):
    """What open_clip_config.json holds for these sizes and activations."""
    return {
        "model_cfg": {
            "embed_dim": config.embed_dim,
            "quick_gelu": config.vision_activation == "quick_gelu",
            "vision_cfg": {
                "image_size": config.image_size,
                "layers": config.vision_layers,
                "width": config.vision_width,
                "head_width": config.vision_width // config.vision_heads,
                "patch_size": config.patch_size,
            },
            "text_cfg": {
                "context_length": config.context_length,
                "vocab_size": config.vocab_size,
                "width": config.text_width,
                "heads": config.text_heads,
                "layers": config.text_layers,
            },
        },
        "preprocess_cfg": {"mean": list(config.mean), "std": list(config.std)},
    }


def save_open_clip(folder, config=CONFIG, nested=False, form="safetensors"):
    """Save a model as open_clip does, ``nested`` with the text tower under ``text.``; return it."""
    model = filled(config)
    state = {
        f"text.{name}" if nested and not name.startswith("visual.") and name != "logit_scale" else name: tensor
        for name, tensor in model.state_dict().items()
    }
    if form == "bin":
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(state, folder / "open_clip_model.safetensors", {"format": "pt"})
    (folder / "open_clip_config.json").write_text(json.dumps(open_clip_description(config)))
    return model
