"""A CLIP model in training on one torch device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clipbench.api import LearnerJob, OptimizerConfig, StepReport
from clipbench.clip.config import ClipConfig
from clipbench.errors import NotReadyError
from clipbench_torch.device import DTYPES, TorchDevice
from clipbench_torch.loss import contrastive_loss
from clipbench_torch.model import Clip
from clipbench_torch.weights import load_strictly, read_archive, read_weights

MAX_LOGIT_SCALE = math.log(100)


class TorchLearner:
    """A Learner (see clipbench.api) for any TorchDevice; with several ranks, the process group must be up."""

    def __init__(self, job: LearnerJob) -> None:
        device: TorchDevice = job.device  # type: ignore[assignment]  # the registry pairs devices with their engine
        self._device = device
        device.select(job.world.local_rank)
        self._tuned = dict(device.tune())
        check_autocast(device, job)
        self._place = device.torch_device(job.world.local_rank)
        self._model = build_model(job, self._place)
        self._forward: nn.Module = PairLoss(self._model, job)
        if job.world.size > 1:
            self._forward = DistributedDataParallel(
                self._forward,
                device_ids=None if self._place.index is None else [self._place.index],
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
            )
        # After the move: on some devices moving a module makes new parameters, which the optimiser would not know.
        self._optimizer, self._optimizer_kind = build_optimizer(self._model, job.optimizer, self._place)
        self._scaler = device.grad_scaler(job.precision)
        self._config = job.config
        self._pixel_scale, self._pixel_shift = pixel_normalisation(job.config, self._place)
        self._losses: list[Tensor] = []
        self._ranks = job.world.size
        self._steps = 0

    def train_step(self, pixels: Any, tokens: Any, lr: float) -> None:  # noqa: ANN401
        """Take one optimiser step at rate ``lr`` on uint8 pixels (n, size, size, 3) and token ids (n, context)."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._model.train()
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._forward(self._pixels(pixels), self._tokens(tokens))
        if self._scaler is None:
            loss.backward()
            self._optimizer.step()
        else:
            self._scaler.scale(loss).backward()
            self._scaler.step(self._optimizer)
            self._scaler.update()
        with torch.no_grad():
            self._model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        self._losses.append(loss.detach())
        self._steps += 1

    def drain_steps(self) -> list[StepReport]:
        """Steps since the last call, oldest first, losses the mean over ranks; waits for the device and the ranks."""
        if not self._losses:
            return []
        losses = torch.stack(self._losses)
        self._losses.clear()
        if self._ranks > 1:
            dist.all_reduce(losses)
        return [StepReport(loss) for loss in (losses / self._ranks).tolist()]

    def flops(self) -> float | None:
        """Operations of this rank's training steps so far, by the model's formula."""
        return None

    def not_finite(self) -> str | None:
        """Name of the first parameter with a value that is not finite, or None; waits for the device."""
        for name, parameter in self._model.named_parameters():
            if not bool(torch.isfinite(parameter.detach()).all()):
                return name
        return None

    def encode_images(self, pixels: Any) -> Tensor:  # noqa: ANN401
        """Features (n, embed_dim) of uint8 pixels (n, size, size, 3): float32, not normalised, on the device."""
        self._model.eval()
        with torch.inference_mode():
            return self._model.encode_image(self._pixels(pixels))

    def encode_texts(self, tokens: Any) -> Tensor:  # noqa: ANN401
        """Features (n, embed_dim) of token ids (n, context): float32, not normalised, on the device."""
        self._model.eval()
        with torch.inference_mode():
            return self._model.encode_text(self._tokens(tokens))

    def gather(self, features: Sequence[Tensor]) -> np.ndarray:
        """Batches of features, concatenated on the host: float32 (n, embed_dim)."""
        return torch.cat(list(features)).float().cpu().numpy()

    def logit_scale(self) -> float:
        """The learnt scale, as its logarithm; waits for the device."""
        return float(self._model.logit_scale.detach())

    def save(self, path: Path) -> None:
        """Write model, optimiser and scaler to ``path``; a file that is already there is replaced when it is whole."""
        state = {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict() if self._scaler is not None else {},
            "steps": self._steps,
        }
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what ``save`` wrote; NotReadyError where ``path`` is not that or is of another model."""
        state = read_archive(path, mmap=False)  # the optimiser keeps these tensors, and the file may be replaced
        missing = {"model", "optimizer", "scaler", "steps"} - set(state)
        if missing:
            raise NotReadyError(f"{path}: no checkpoint of a run (it lacks {', '.join(sorted(missing))})")
        load_strictly(self._model, state["model"], path)
        self._optimizer.load_state_dict(state["optimizer"])
        if self._scaler is not None and state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])
        self._steps = state["steps"]

    def synchronize(self) -> None:
        """Return when all work given to the device has been done."""
        self._device.synchronize()

    def describe(self) -> Mapping[str, Any]:
        """What a result records of the compute; waits for the device."""
        described: dict[str, Any] = {
            "parameter_count": sum(parameter.numel() for parameter in self._model.parameters()),
            "attention": "scaled_dot_product_attention",
            "optimizer": f"AdamW, {self._optimizer_kind}",
            "last_block": "pooled token only",
            "text_length": "longest caption of the batch",
            **self._tuned,
        }
        if self._scaler is not None:
            described["scaler_scale"] = float(self._scaler.get_scale())
            described["scaler_skipped_steps"] = self._steps - self._optimizer_steps()
        return described

    def _optimizer_steps(self) -> int:
        """Steps that changed the weights: an optimiser does not count those that the scaler withheld."""
        states = list(self._optimizer.state.values())
        return int(states[0]["step"]) if states else 0

    def _pixels(self, pixels: Any) -> Tensor:  # noqa: ANN401
        """Normalised float32 (n, 3, size, size) on the device; it crosses as uint8, a quarter of the bytes."""
        x = as_tensor(pixels).to(self._place, non_blocking=True)
        # Cast first: arithmetic on uint8 wraps around, and some devices hardly support it.
        return x.to(torch.float32).mul_(self._pixel_scale).sub_(self._pixel_shift).permute(0, 3, 1, 2)

    def _tokens(self, tokens: Any) -> Tensor:  # noqa: ANN401
        """Token ids on the device, cut to the longest caption while still on the host, where that costs no wait."""
        return cut_to_longest(as_tensor(tokens)).to(self._place, non_blocking=True)


class PairLoss(nn.Module):
    """Model and loss as one module, so that DistributedDataParallel sees one forward pass."""

    def __init__(self, model: Clip, job: LearnerJob) -> None:
        super().__init__()
        self.model = model
        self._device = job.device
        self._precision = job.precision
        self._autocast_text = job.autocast_text
        self._loss = job.loss

    def forward(self, pixels: Tensor, tokens: Tensor) -> Tensor:
        """Loss of n pairs, float32. Autocast covers the vision tower and the logits, the text tower only if asked."""
        with self._device.autocast(self._precision) if self._autocast_text else nullcontext():
            texts = self.model.encode_text(tokens)
        with self._device.autocast(self._precision):
            images = self.model.encode_image(pixels)
            return contrastive_loss(images, texts, self.model.logit_scale, self._loss)


def build_model(job: LearnerJob, place: torch.device) -> Clip:
    """The job's model on ``place``, float32: its weights from the job's file, else drawn from its seed.

    What ``job.model.load`` names is called with the config, and gives a module with Clip's members.
    """
    module, _, attribute = job.model.load.partition(":")
    model: Clip = getattr(import_module(module), attribute)(job.config)
    if job.weights is None:
        # On the CPU whatever the device is, so that one seed gives one model everywhere.
        model.initialize(job.seed)
    else:
        load_strictly(model, read_weights(job.weights), job.weights)
    return model.to(place)


def build_optimizer(
    model: nn.Module, config: OptimizerConfig, place: torch.device
) -> tuple[torch.optim.Optimizer, str]:
    """AdamW over the model's parameters, and the name of its fastest implementation that works on ``place``."""
    kind = adamw_implementation(place)
    optimizer = torch.optim.AdamW(
        decay_groups(model, config),
        lr=0.0,
        betas=config.betas,
        eps=config.eps,
        **_adamw_flags(kind),
    )
    return optimizer, kind


def decay_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Parameter groups by weight decay: one group, or a second one without decay for all that is not a matrix."""
    parameters = list(model.parameters())
    if config.decay_norms_and_biases:
        return [{"params": parameters, "weight_decay": config.weight_decay}]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def adamw_implementation(place: torch.device) -> str:
    """Name of the first of "fused", "foreach" and "loop" that takes a correct step on ``place``.

    Tried rather than looked up: a device may be on torch's list of fused devices and still have no such kernel.
    """
    for kind in ("fused", "foreach"):
        parameter = nn.Parameter(torch.ones(4, device=place))
        parameter.grad = torch.ones_like(parameter)
        try:
            torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.0, **_adamw_flags(kind)).step()
        except (RuntimeError, NotImplementedError):
            continue
        # The first step of Adam is the learning rate, whatever the gradient's size.
        if torch.allclose(parameter.detach().cpu(), torch.full((4,), 0.9), atol=1e-4):
            return kind
    return "loop"


def _adamw_flags(kind: str) -> dict[str, Any]:
    return {"fused": True} if kind == "fused" else {"foreach": kind == "foreach"}


def check_autocast(device: TorchDevice, job: LearnerJob) -> None:
    """Refuse a precision that the device does not offer, or under whose name it computes in another one."""
    if job.precision not in device.precisions():
        offered = ", ".join(device.precisions())
        raise NotReadyError(f"device {device.name!r} does not offer precision {job.precision!r}; it offers {offered}")
    ones = torch.ones(8, 8, device=device.torch_device(job.world.local_rank))
    with device.autocast(job.precision):
        got = (ones @ ones).dtype
    if got != DTYPES[job.precision]:
        raise NotReadyError(
            f"device {device.name!r}: a product in precision {job.precision!r} came out as {got}; "
            "its autocast does not work with this version of torch"
        )


def pixel_normalisation(config: ClipConfig, place: torch.device) -> tuple[Tensor, Tensor]:
    """Factor and subtrahend per channel that normalise pixels of 0..255 as the config's mean and std say."""
    mean, std = torch.tensor(config.mean, dtype=torch.float64), torch.tensor(config.std, dtype=torch.float64)
    return (1 / (255 * std)).float().to(place), (mean / std).float().to(place)


def cut_to_longest(tokens: Tensor) -> Tensor:
    """Token ids (n, context) without the columns after the last end token, which is a caption's highest id."""
    return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]


def as_tensor(array: Any) -> Tensor:  # noqa: ANN401 -- the loader's tensors or numpy arrays
    """The array as a tensor on the host, sharing memory where it may be written to."""
    if isinstance(array, Tensor):
        return array
    # torch has no read-only tensors, and warns about arrays that are (those of a memory-mapped cache).
    return torch.from_numpy(array if array.flags.writeable else array.copy())
