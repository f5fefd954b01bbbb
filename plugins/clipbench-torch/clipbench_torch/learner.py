"""A CLIP model in training on one torch device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clipbench.api import LearnerJob, LearnerState, NotReadyError, StepReport, training_flops
from clipbench_torch.allocation import give_back_freed_memory, keep_freed_memory
from clipbench_torch.attention import AttentionBackend, always_sdpa
from clipbench_torch.bert import Bert, BertAttention
from clipbench_torch.compiling import compile_lengths, compile_towers, padded_length, with_any_length
from clipbench_torch.device import DTYPES, TorchDevice
from clipbench_torch.inputs import LENGTH_STEP, as_tensor, cut_to_length
from clipbench_torch.loss import contrastive_loss
from clipbench_torch.micro_batches import Pairs, add_gradients, add_gradients_of_whole, rows_of
from clipbench_torch.model import Attention, Clip, Transformer, empty_model
from clipbench_torch.optimizer import build_optimizer, gradient_norm, steps_taken
from clipbench_torch.state import read_state, restore_state
from clipbench_torch.step_log import StepLog
from clipbench_torch.towers import Towers
from clipbench_torch.weights import load_weights

MAX_LOGIT_SCALE = math.log(100)


class TorchLearner:
    """A Learner (see clipbench.api) for any TorchDevice; with several ranks, the process group must exist."""

    def __init__(self, job: LearnerJob) -> None:
        device: TorchDevice = job.device  # type: ignore[assignment]  # the registry pairs devices with their engine
        self._job, self._device = job, device
        self._torch_device = device.torch_device
        device.seed(job.seed + job.world.rank)
        freed_memory = "kept" if keep_freed_memory() else "the system's choice"
        self._model = build_model(job, self._torch_device)
        # A compiler has attention of its own.
        self._attention_backend = device.attention_backend if job.compile is None else always_sdpa
        set_attention_backend(self._model, self._attention_backend)
        self._towers = Towers(self._model, job, device, self._torch_device)
        if job.compile is not None:
            compile_towers(self._towers, job, device, self._torch_device)
        self._parallel: nn.Module = self._towers
        if job.world.size > 1:
            self._parallel = DistributedDataParallel(
                self._towers,
                device_ids=None if self._torch_device.index is None else [self._torch_device.index],
                gradient_as_bucket_view=True,
            )
        # After the move: on some devices moving a module makes new parameters, which the optimiser would not know.
        self._optimizer, implementation = build_optimizer(self._model, job.optimizer, self._torch_device)
        self._described = {"freed_memory": freed_memory, **job.tuning, "optimizer": f"AdamW, {implementation}"}
        self._scaler = device.grad_scaler(job.precision)
        self._log = StepLog(job.world.size)
        self._one = torch.ones((), device=self._torch_device)
        self._flops, self._counts_flops = 0, isinstance(self._model, Clip)
        self._text_length: Callable[[Tensor], int] = getattr(self._model, "text_length", Clip.text_length)
        self._compiled_sizes: set[int] = set()
        self._steps = 0

    def train_step(self, pixels: Any, tokens: Any, lr: float) -> None:  # noqa: ANN401
        """Take one optimiser step at rate ``lr`` on uint8 pixels (n, size, size, 3) and token ids (n, context)."""
        pixels, tokens = as_tensor(pixels), as_tensor(tokens)
        rows = rows_of(len(pixels), self._job.accumulate)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._model.train()
        if self._job.compile is not None:
            self._begin_compiled_step(pixels[rows[0]])
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._add_gradients([(self._on_device(pixels[part]), self._tokens(tokens[part])) for part in rows])
        norm = gradient_norm(list(self._model.parameters()))
        if self._scaler is None:
            self._optimizer.step()
            self._log.add(loss, norm, None)
        else:
            # Before the scaler's step, in which fused optimisers divide the gradients and the scale may change.
            norm = norm / self._scaler.scale(self._one)
            self._log.begin(steps_taken(self._optimizer))
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self._log.add(loss, norm, steps_taken(self._optimizer))
        with torch.no_grad():
            self._model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        self._count_flops(tokens, rows)
        self._steps += 1

    def drain_steps(self) -> list[StepReport]:
        """Return the steps since the last call, losses the mean over ranks; waits for the device and the ranks."""
        return self._log.drain()

    def flops(self) -> float | None:
        """Return the operations of this rank's steps so far, by ``training_flops``; None for models of other kinds."""
        return float(self._flops) if self._counts_flops else None

    def not_finite(self) -> str | None:
        """Return the name of the first parameter that has a value that is not finite, or None; waits for the device."""
        parameters = dict(self._model.named_parameters())
        # One wait for all of them.
        finite = torch.stack([torch.isfinite(parameter.detach()).all() for parameter in parameters.values()]).tolist()
        return next((name for name, ok in zip(parameters, finite, strict=True) if not ok), None)

    def encode_images(self, pixels: Any) -> Tensor:  # noqa: ANN401
        """Return features (n, embed_dim) of uint8 pixels (n, size, size, 3): float32, not normalised, on the device."""
        self._begin_evaluation()
        with torch.inference_mode():
            return self._model.encode_image(self._towers.normalise(self._on_device(as_tensor(pixels))))

    def encode_texts(self, tokens: Any) -> Tensor:  # noqa: ANN401
        """Return features (n, embed_dim) of token ids (n, context): float32, not normalised, on the device."""
        self._begin_evaluation()
        with torch.inference_mode():
            tokens = as_tensor(tokens)
            return self._model.encode_text(self._on_device(cut_to_length(tokens, self._text_length(tokens))))

    def gather(self, features: Sequence[Tensor]) -> np.ndarray:
        """Return batches of features, concatenated on the host: float32 (n, embed_dim)."""
        return torch.cat(list(features)).float().cpu().numpy()

    def logit_scale(self) -> float:
        """Return the learnt scale, as its logarithm; waits for the device."""
        return float(self._model.logit_scale.detach())

    def state(self) -> LearnerState:
        """Return weights, optimiser and scaler as they are after the last step; read before the next one."""
        return read_state(self._model, self._optimizer, self._scaler, self._steps)

    def restore(self, state: LearnerState | None) -> None:
        """Resume from ``state``; ranks but the first give None. Raises NotReadyError for another model's state."""
        self._steps = restore_state(
            self._model, self._optimizer, self._scaler, state, self._torch_device, self._job.world.size
        )

    def synchronize(self) -> None:
        """Return when all work given to the device has been done."""
        self._device.synchronize()

    def describe(self) -> Mapping[str, Any]:
        """Return what a result records of the compute; waits for the device."""
        described: dict[str, Any] = {
            "parameter_count": sum(parameter.numel() for parameter in self._model.parameters()),
            "attention": self._attention_backend(DTYPES[self._job.precision]),
            "last_block": "pooled token only",
            "text_length": f"longest caption of the batch, in steps of {LENGTH_STEP}",
            **self._described,
        }
        if self._scaler is not None:
            described["scaler_scale"] = float(self._scaler.get_scale())
            described["scaler_skipped_steps"] = self._steps - int(steps_taken(self._optimizer))
        return described

    def _add_gradients(self, parts: Sequence[Pairs]) -> Tensor:
        """Add the batch's gradient, multiplied by the scaler's scale, to ``grad``; return the loss, unscaled."""
        scale = self._scaler.scale if self._scaler is not None else _unscaled
        whole = self._job.loss.negatives == "batch" and len(parts) > 1
        return (add_gradients_of_whole if whole else add_gradients)(self._parallel, parts, self._loss, scale)

    def _loss(self, images: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
        with self._device.autocast(self._job.precision):
            return contrastive_loss(images, texts, logit_scale, self._job.loss)

    def _begin_evaluation(self) -> None:
        if self._model.training:
            self._model.eval()
            # An evaluation's activations take the memory of gradients and of the steps' own, not more beside it.
            self._optimizer.zero_grad(set_to_none=True)
            give_back_freed_memory()

    def _begin_compiled_step(self, pixels: Tensor) -> None:
        """Compile the towers for all caption lengths before the first step with this number of pairs."""
        if len(pixels) not in self._compiled_sizes:
            self._compiled_sizes.add(len(pixels))
            compile_lengths(self._towers, self._on_device(pixels), self._job.config)
        torch.compiler.cudagraph_mark_step_begin()

    def _on_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._torch_device, non_blocking=True)

    def _tokens(self, tokens: Tensor) -> Tensor:
        """Return token ids on the device, cut to the longest caption on the host, where that waits for nothing."""
        length = self._text_length(tokens)
        if self._job.compile is None:
            return self._on_device(cut_to_length(tokens, length))
        return with_any_length(self._on_device(tokens[:, : padded_length(length, tokens.shape[1])]))

    def _count_flops(self, tokens: Tensor, rows: Sequence[slice]) -> None:
        world_size = 1 if self._job.loss.negatives == "local" else self._job.world.size
        pairs = rows[0].stop
        negatives = world_size * (len(tokens) if self._job.loss.negatives == "batch" else pairs)
        products = 1 if world_size == 1 else 2
        for part in rows:
            self._flops += training_flops(self._job.config, pairs, self._text_length(tokens[part]), negatives, products)


def _unscaled(loss: Tensor) -> Tensor:
    return loss


def build_model(job: LearnerJob, torch_device: torch.device) -> Clip:
    """Return the job's model on ``torch_device``, float32, with weights from the job's files or drawn from its seed."""
    model = empty_model(job.model, job.config)
    if job.weights is None or job.text_weights is not None:
        # On the CPU whatever the device is, so that one seed gives one model everywhere.
        model.initialize(job.seed)
    load_weights(model, job)
    if job.grad_checkpointing:
        checkpoint_activations(model, job.model.name)
    return model.to(torch_device)


def set_attention_backend(model: nn.Module, backend: Callable[[torch.dtype], AttentionBackend]) -> None:
    """Have Clip's and BERT's blocks compute attention by the ``backend`` of a type; others stay as they are."""
    for module in model.modules():
        if isinstance(module, (Attention, BertAttention)):
            module.backend = backend


def checkpoint_activations(model: nn.Module, name: str) -> None:
    """Have backward compute the blocks' activations again; raise NotReadyError for a model of other blocks."""
    towers = [module for module in model.modules() if isinstance(module, (Transformer, Bert))]
    if not towers:
        raise NotReadyError(f"train.grad_checkpointing: model {name!r} has no blocks that can be computed again")
    for tower in towers:
        tower.checkpointing = True
