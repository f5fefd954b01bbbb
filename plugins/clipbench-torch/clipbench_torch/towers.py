"""Both towers of a CLIP model as one module: pixels normalised, and a device's autocast around it."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from clipbench.api import LearnerJob
from clipbench.clip.config import ClipConfig
from clipbench_torch.model import Clip


class Towers(nn.Module):
    """Features of pairs, so that DistributedDataParallel and the compiler see one forward pass."""

    def __init__(self, model: Clip, job: LearnerJob, place: torch.device) -> None:
        super().__init__()
        self.model = model
        self._device = job.device
        self._precision = job.precision
        self._autocast_text = job.autocast_text
        self._pixel_scale, self._pixel_shift = pixel_normalisation(job.config, place)

    def forward(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (n, embed_dim) of uint8 pixels (n, size, size, 3) and of token ids (n, length); the logit scale.

        Autocast covers the vision tower, and the text tower only if asked.
        """
        with self._device.autocast(self._precision) if self._autocast_text else nullcontext():
            texts = self.model.encode_text(tokens)
        normalised = self.normalise(pixels)
        with self._device.autocast(self._precision):
            images = self.model.encode_image(normalised)
        # A view: of a parameter itself nobody could hand in a gradient as of the other two.
        return images, texts, self.model.logit_scale.view(())

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalised float32 (n, 3, size, size) of uint8 pixels (n, size, size, 3), where they are."""
        # Cast first: arithmetic on uint8 wraps around, and some devices hardly support it.
        return pixels.to(torch.float32).mul_(self._pixel_scale).sub_(self._pixel_shift).permute(0, 3, 1, 2)


def pixel_normalisation(config: ClipConfig, place: torch.device) -> tuple[Tensor, Tensor]:
    """Factor and subtrahend per channel that normalise pixels of 0..255 as the config's mean and std say."""
    mean, std = torch.tensor(config.mean, dtype=torch.float64), torch.tensor(config.std, dtype=torch.float64)
    return (1 / (255 * std)).float().to(place), (mean / std).float().to(place)
