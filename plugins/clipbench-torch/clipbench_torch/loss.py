"""The contrastive loss, over the pairs of one rank or of all ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from clipbench.api import LossConfig


def contrastive_loss(images: Tensor, texts: Tensor, logit_scale: Tensor, config: LossConfig) -> Tensor:
    """Return the cross-entropy of image to text and of text to image, float32 (Radford et al. 2021, figure 3).

    ``images`` and ``texts`` are this rank's features (n, d), not normalised; row i of each belongs to the same pair.
    Logits are exp(``logit_scale``) times the cosine; the product runs in autocast's type where autocast is on.
    With ``negatives`` other than local, every rank takes its own rows against the pairs of all ranks; the mean over
    ranks is then the loss of the whole batch, and averaging the ranks' gradients gives the gradient of that loss.
    """
    images = F.normalize(images.float(), dim=-1)
    texts = F.normalize(texts.float(), dim=-1)
    all_images, all_texts, offset = images, texts, 0
    if config.negatives != "local" and _world_size() > 1:
        all_images, all_texts = _Gather.apply(images), _Gather.apply(texts)
        offset = dist.get_rank() * len(images)
    scale = logit_scale.exp()
    image_to_text = ((scale * images) @ all_texts.t()).float()
    own_only = all_images is images
    text_to_image = image_to_text.t() if own_only else ((scale * texts) @ all_images.t()).float()
    targets = torch.arange(offset, offset + len(images), device=images.device)
    loss = F.cross_entropy(image_to_text, targets) + F.cross_entropy(text_to_image, targets)
    return loss / 2 if config.reduction == "mean" else loss


class _Gather(torch.autograd.Function):
    """Rows of all ranks, in rank order; backward sums every rank's gradient of this rank's rows.

    The sum is an all-reduce of the whole gradient, of which this rank keeps its own rows. A reduce-scatter would move
    less, but not every back end has collectives beyond all-gather and all-reduce.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:  # noqa: ANN401 -- torch's own untyped context
        ctx.rows = len(local)
        shards = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(shards, local.contiguous())
        return torch.cat(shards)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        first = dist.get_rank() * ctx.rows
        return gradient[first : first + ctx.rows]


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
