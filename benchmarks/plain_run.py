"""A plain program that trains and evaluates a small CLIP: what a run of clipbench is compared with.

    python -m benchmarks.plain_run ROOT VOCABULARY WORKERS STEPS

It does what the recipe's text says and nothing to save memory or time: torch's DataLoader with its default workers,
pixels normalised on the host, 77 tokens always, tokenised at every forward pass, torch's own transformer layers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.plain_transform import eval_pixels, normalised, train_pixels
from clipbench.clip.bpe import BpeTokenizer
from clipbench.clip.captions import clean_caption
from clipbench.clip.config import CLIP_TINY
from clipbench.clip.transforms import draw_augmentation

BATCH, EVAL_BATCH = 32, 128


class Photographs(Dataset):
    """Pictures of an annotation file: normalised pixels, and one caption or all of them."""

    def __init__(self, root: Path, split: str, train: bool) -> None:
        entries = json.loads((root / "datasets" / f"en_{split}.json").read_text())
        self.train = train
        self.paths = [root / "datasets" / entry["image"].replace("\\", "/") for entry in entries]
        self.captions = [[clean_caption(text) for text in entry["caption"]] for entry in entries]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, str]:
        image, draws = Image.open(self.paths[index]), np.random.default_rng()
        if self.train:
            pixels = train_pixels(image, draw_augmentation(draws, *image.size), CLIP_TINY.image_size)
        else:
            pixels = eval_pixels(image, CLIP_TINY.image_size)
        return normalised(pixels, CLIP_TINY), self.captions[index][int(draws.integers(len(self.captions[index])))]


def blocks(width: int, heads: int, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class PlainClip(nn.Module):
    """CLIP of clip-tiny's size from torch's own layers."""

    def __init__(self, tokenizer: BpeTokenizer) -> None:
        super().__init__()
        c = CLIP_TINY
        self.tokenizer = tokenizer
        self.patches = nn.Conv2d(3, c.vision_width, c.patch_size, c.patch_size, bias=False)
        self.first = nn.Parameter(torch.randn(1, 1, c.vision_width) * 0.02)
        self.places = nn.Parameter(torch.randn((c.image_size // c.patch_size) ** 2 + 1, c.vision_width) * 0.02)
        self.vision = blocks(c.vision_width, c.vision_heads, c.vision_layers)
        self.words = nn.Embedding(tokenizer.vocab_size, c.text_width)
        self.positions = nn.Parameter(torch.randn(c.context_length, c.text_width) * 0.01)
        self.text = blocks(c.text_width, c.text_heads, c.text_layers)
        self.image_out = nn.Linear(c.vision_width, c.embed_dim, bias=False)
        self.text_out = nn.Linear(c.text_width, c.embed_dim, bias=False)
        self.scale = nn.Parameter(torch.tensor(2.66))

    def images(self, pixels: Tensor) -> Tensor:
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], dim=1) + self.places
        return F.normalize(self.image_out(self.vision(x)[:, 0]), dim=-1)

    def texts(self, captions: list[str]) -> Tensor:
        tokens = torch.from_numpy(self.tokenizer.encode(captions))
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        x = self.text(self.words(tokens) + self.positions, mask, is_causal=True)
        return F.normalize(self.text_out(x[torch.arange(len(x)), tokens.argmax(dim=1)]), dim=-1)


def train(model: PlainClip, data: Photographs, workers: int, steps: int) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.01)
    loader = DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=workers)
    for _, (pixels, captions) in zip(range(steps), loader, strict=False):
        optimizer.zero_grad()
        scores = model.scale.exp() * model.images(pixels) @ model.texts(list(captions)).t()
        targets = torch.arange(len(scores))
        (F.cross_entropy(scores, targets) + F.cross_entropy(scores.t(), targets)).backward()
        optimizer.step()
    return optimizer


@torch.no_grad()
def evaluate(model: PlainClip, data: Photographs, workers: int) -> Tensor:
    model.eval()
    images = torch.cat([model.images(pixels) for pixels, _ in DataLoader(data, EVAL_BATCH, num_workers=workers)])
    texts = [text for captions in data.captions for text in captions]
    parts = [model.texts(texts[start : start + EVAL_BATCH]) for start in range(0, len(texts), EVAL_BATCH)]
    scores = images @ torch.cat(parts).t()
    return scores.argsort(dim=1, descending=True)[:, 0]


def main(root: str, vocabulary: str, workers: str, steps: str) -> None:
    model = PlainClip(BpeTokenizer(vocabulary))
    optimizer = train(model, Photographs(Path(root), "train", True), int(workers), int(steps))
    evaluate(model, Photographs(Path(root), "val", False), int(workers))
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, Path(folder) / "checkpoint.pth")


if __name__ == "__main__":
    main(*sys.argv[1:])
