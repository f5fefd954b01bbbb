"""A rank's share of a batch, computed in several parts whose gradients add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clipbench.errors import UsageError

Pairs = tuple[Tensor, Tensor]  # normalised pixels and token ids, on the device
Features = tuple[Tensor, Tensor, Tensor]  # of images and of texts, and the logit scale
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Scale = Callable[[Tensor], Tensor]  # a gradient scaler's, or one that changes nothing


def rows_of(pairs: int, parts: int) -> list[slice]:
    """Rows of each of ``parts`` micro-batches of ``pairs`` pairs; UsageError where they cannot be equally many."""
    if pairs % parts:
        fitting = ", ".join(str(number) for number in range(2, pairs + 1) if pairs % number == 0)
        raise UsageError(
            f"train.accumulate is {parts}, and a rank's share of a batch is {pairs} pairs, which {parts} does not "
            f"divide; {fitting or 'only 1'} would, or another train.batch_size"
        )
    size = pairs // parts
    return [slice(start, start + size) for start in range(0, pairs, size)]


def add_gradients(towers: nn.Module, parts: Sequence[Pairs], loss_of: Loss, scale: Scale) -> Tensor:
    """Add to ``grad`` the gradient of the mean of the parts' losses, each over its own pairs; that mean, detached."""
    losses = []
    for pairs, context in synchronised_last(towers, parts):
        with context:
            loss = loss_of(*towers(*pairs)) / len(parts)
            scale(loss).backward()
        losses.append(loss.detach())
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def add_gradients_of_whole(towers: nn.Module, parts: Sequence[Pairs], loss_of: Loss, scale: Scale) -> Tensor:
    """Add to ``grad`` the gradient of the loss over all parts as one batch; that loss, detached.

    Features are computed twice, with the activations of one part in memory at a time: first without a gradient, for
    the loss and its gradient with respect to features and scale, then with it, to carry that on to the weights
    (GradCache: Gao et al. 2021, arXiv:2101.06983). ``loss_of`` may gather features of other ranks.
    """
    with torch.no_grad():
        # Copies: a compiled module may give the same memory again at its next call.
        computed = [tuple(feature.clone() for feature in towers(*pairs)) for pairs in parts]
    images, texts = (torch.cat([features[side] for features in computed]).requires_grad_() for side in (0, 1))
    logit_scale = computed[0][2].requires_grad_()
    loss = loss_of(images, texts, logit_scale)
    wanted = torch.autograd.grad(scale(loss), (images, texts, logit_scale))
    of_images, of_texts = (gradient.chunk(len(parts)) for gradient in wanted[:2])
    for part, (pairs, context) in enumerate(synchronised_last(towers, parts)):
        with context:
            features: Features = towers(*pairs)
            # A new tensor each time: it becomes the parameter's gradient itself, to which the next part's is added.
            torch.autograd.backward(features, (of_images[part], of_texts[part], wanted[2] / len(parts)))
    return loss.detach()


def synchronised_last(
    towers: nn.Module, parts: Sequence[Pairs]
) -> Iterator[tuple[Pairs, AbstractContextManager[None]]]:
    """Each part, and a context for its passes: ranks average their gradients in the last one alone."""
    for index, pairs in enumerate(parts):
        alone = isinstance(towers, DistributedDataParallel) and index < len(parts) - 1
        yield pairs, towers.no_sync() if alone else nullcontext()
