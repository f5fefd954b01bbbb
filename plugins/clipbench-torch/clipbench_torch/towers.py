"""Both towers of a CLIP model as one module, with pixels normalised and under a device's autocast."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from clipbench.api import ClipConfig, LearnerJob
from clipbench_torch.device import TorchDevice
from clipbench_torch.model import Clip


class Towers(nn.Module):
    """Features of pairs in one forward pass, as DistributedDataParallel and the compiler need it."""

    def __init__(self, model: Clip, job: LearnerJob, device: TorchDevice, torch_device: torch.device) -> None:
        super().__init__()
        self.model = model
        self._device = device
        self._precision = job.precision
        self._autocast_text = job.autocast_text
        self._pixel_scale, self._pixel_shift = pixel_normalisation(job.config, torch_device)

    def forward(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (n, embed_dim) of uint8 pixels (n, size, size, 3) and of token ids (n, length); logit scale.

        Autocast covers the vision tower, and the text tower only if asked.
        """
        with self._device.autocast(self._precision) if self._autocast_text else nullcontext():
            texts = self.model.encode_text(tokens)
        normalised = self.normalise(pixels)
        with self._device.autocast(self._precision):
            images = self.model.encode_image(normalised)
        # A view: autograd.backward takes a gradient for it as for the other two, which it would not for a parameter.
        return images, texts, self.model.logit_scale.view(())

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return normalised float32 (n, 3, size, size) of uint8 pixels (n, size, size, 3), on the same device."""
        # Cast first: arithmetic on uint8 wraps around, and some devices hardly support it.
        return pixels.to(torch.float32).mul_(self._pixel_scale).sub_(self._pixel_shift).permute(0, 3, 1, 2)


def pixel_normalisation(config: ClipConfig, torch_device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the factor and subtrahend per channel that normalise pixels of 0..255 as the config's mean and std say."""
    mean, std = torch.tensor(config.mean, dtype=torch.float64), torch.tensor(config.std, dtype=torch.float64)
    return (1 / (255 * std)).float().to(torch_device), (mean / std).float().to(torch_device)
