"""A rank's share of a batch, computed in several parts whose gradients add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clipbench.api import UsageError

Pairs = tuple[Tensor, Tensor]  # normalised pixels and token ids, on the device
Features = tuple[Tensor, Tensor, Tensor]  # of images and of texts, and the logit scale
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Scale = Callable[[Tensor], Tensor]  # a gradient scaler's, or one that changes nothing


def rows_of(pairs: int, parts: int) -> list[slice]:
    """Return the rows of each of ``parts`` equal micro-batches; raise UsageError if ``pairs`` cannot be split so."""
    if pairs % parts:
        divisors = ", ".join(str(number) for number in range(2, pairs + 1) if pairs % number == 0)
        raise UsageError(
            f"train.accumulate is {parts}, and a rank's share of a batch is {pairs} pairs, which {parts} does not "
            f"divide; {divisors or 'only 1'} would, or another train.batch_size"
        )
    size = pairs // parts
    return [slice(start, start + size) for start in range(0, pairs, size)]


def add_gradients(towers: nn.Module, parts: Sequence[Pairs], loss_of: Loss, scale: Scale) -> Tensor:
    """Add the gradient of the mean of the parts' losses, each over its own pairs, to ``grad``; return that mean."""
    losses = []
    for pairs, context in synchronised_last(towers, parts):
        with context:
            loss = loss_of(*towers(*pairs)) / len(parts)
            scale(loss).backward()
        losses.append(loss.detach())
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def add_gradients_of_whole(towers: nn.Module, parts: Sequence[Pairs], loss_of: Loss, scale: Scale) -> Tensor:
    """Add the gradient of the loss over all parts as one batch to ``grad``; return that loss.

    Features are computed twice, with the activations of one part in memory at a time: first without a gradient, for
    the loss and its gradient with respect to features and scale, then with it, to propagate that to the weights
    (GradCache: Gao et al. 2021, arXiv:2101.06983). ``loss_of`` may gather features of other ranks.
    """
    with torch.no_grad():
        # Copies: a compiled module may return the same memory at its next call.
        computed = [tuple(feature.clone() for feature in towers(*pairs)) for pairs in parts]
    images, texts = (torch.cat([features[side] for features in computed]).requires_grad_() for side in (0, 1))
    logit_scale = computed[0][2].requires_grad_()
    loss = loss_of(images, texts, logit_scale)
    gradients = torch.autograd.grad(scale(loss), (images, texts, logit_scale))
    of_images, of_texts = (gradient.chunk(len(parts)) for gradient in gradients[:2])
    for part, (pairs, context) in enumerate(synchronised_last(towers, parts)):
        with context:
            features: Features = towers(*pairs)
            # A new tensor each time: it becomes the parameter's gradient itself, to which the next part's is added.
            torch.autograd.backward(features, (of_images[part], of_texts[part], gradients[2] / len(parts)))
    return loss.detach()


def synchronised_last(
    towers: nn.Module, parts: Sequence[Pairs]
) -> Iterator[tuple[Pairs, AbstractContextManager[None]]]:
    """Yield each part with a context for its passes, in which ranks average their gradients for the last part only."""
    for index, pairs in enumerate(parts):
        local_only = isinstance(towers, DistributedDataParallel) and index < len(parts) - 1
        yield pairs, towers.no_sync() if local_only else nullcontext()
