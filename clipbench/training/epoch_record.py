"""The record of an epoch: the figures of a result, from what the ranks have counted and timed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clipbench.api import EpochRecord, Window
from clipbench.api.plain import finite
from clipbench.api.result import EpochSeconds, RankRecord
from clipbench.errors import CaseFailedError
from clipbench.training.collectives import MemoryPeaks
from clipbench.training.state import EpochProgress
from clipbench.training.throughput import measure, slowest_rank, slowest_windows

if TYPE_CHECKING:
    from clipbench.api import DeviceInfo
    from clipbench.training.evaluation import Evaluation

NO_STEPS = "no step was taken after the warm-up"


@dataclass(frozen=True)
class Hardware:
    """What a run computes on: the device of one rank, and the host of every rank.

    ``peak_flops`` are of one device in the precision in use. ``timing_unreliable_reason`` says why its times cannot be
    trusted, if so.
    """

    info: DeviceInfo
    hosts: tuple[str, ...]
    peak_flops: float | None = None
    timing_unreliable_reason: str | None = None


def trained_record(
    progress: EpochProgress, epoch: int, batch_size: int, learning_rate: float, hardware: Hardware
) -> EpochRecord:
    """Return what the steps of an epoch (from 0) came to; evaluation and memory come with ``completed_record``.

    Throughput is of all ranks over the windows of whichever was slowest. Raises CaseFailedError for an MFU over 1.
    """
    ranks, info = len(hardware.hosts), hardware.info
    windows = slowest_windows(progress.windows_of_ranks)
    throughput = measure(windows, batch_size)
    per_second = throughput.samples_per_second
    per_card = per_second and per_second / math.ceil(ranks / info.devices_per_card)
    mfu, mfu_reason = _mfu(progress, batch_size, per_second, hardware)
    grad_norm = statistics.fmean(progress.grad_norms) if progress.grad_norms else None
    untimed = hardware.timing_unreliable_reason or NO_STEPS
    return EpochRecord(
        epoch=epoch + 1,
        steps=progress.steps,
        train_loss=statistics.fmean(progress.losses) if progress.losses else None,
        val_loss=None,
        learning_rate=learning_rate,
        recall=None,
        samples_per_second=per_second,
        data_wait=throughput.data_wait,
        step_seconds=throughput.step_seconds,
        windows=windows,
        peak_memory_bytes=None,
        host_memory_bytes=None,
        seconds=EpochSeconds(progress.seconds, 0.0),
        reasons=_present(
            train_loss=None if progress.losses else "the gradient scaler withheld every step",
            mfu=mfu_reason,
            grad_norm="the learner does not report it" if grad_norm is None else None,
            **dict.fromkeys(("samples_per_second", "data_wait", "step_seconds"), None if per_second else untimed),
        ),
        samples_per_second_per_device=per_second and per_second / ranks,
        samples_per_second_per_card=per_card if info.devices_per_card > 1 else None,
        mfu=mfu,
        grad_norm=grad_norm,
        skipped_steps=progress.skipped_steps,
        slowest_rank=slowest_rank(progress.windows_of_ranks),
        per_rank=tuple(
            _rank_record(rank, host, progress.windows_of_ranks, batch_size) for rank, host in enumerate(hardware.hosts)
        ),
    )


def untrained_record() -> EpochRecord:
    """Return the record of weights as they came: epoch 0, nothing trained, nothing timed."""
    names = ("train_loss", "learning_rate", "samples_per_second", "data_wait", "step_seconds")
    reasons = dict.fromkeys(names, "nothing was trained")
    nothing = (None,) * 7
    return EpochRecord(0, 0, *nothing, (), None, None, EpochSeconds(0.0, 0.0), reasons)


def completed_record(
    record: EpochRecord, evaluation: Evaluation | None, seconds: float, memory: Sequence[MemoryPeaks]
) -> EpochRecord:
    """Return ``record`` with its evaluation, if any, which took ``seconds``, and the memory peaks of all ranks.

    Every value that is None then has its reason.
    """
    val_loss = finite(evaluation.loss) if evaluation else None
    device, host = (_highest(peaks) for peaks in zip(*memory, strict=True))
    not_evaluated = None if evaluation else "not evaluated after this epoch"
    no_loss = evaluation.loss_reason or f"not finite ({evaluation.loss})" if evaluation else not_evaluated
    return replace(
        record,
        recall=evaluation.recall if evaluation else None,
        val_loss=val_loss,
        seconds=replace(record.seconds, eval=seconds),
        peak_memory_bytes=device,
        host_memory_bytes=host,
        per_rank=tuple(
            replace(entry, peak_memory_bytes=peaks.device, host_memory_bytes=peaks.host)
            for entry, peaks in zip(record.per_rank, memory, strict=False)  # an untrained epoch has no entries
        ),
        reasons={
            **record.reasons,
            **_present(
                recall=not_evaluated,
                val_loss=no_loss if val_loss is None else None,
                peak_memory_bytes="the device does not report it" if device is None else None,
                host_memory_bytes="the system does not report it" if host is None else None,
            ),
        },
    )


def _rank_record(rank: int, host: str, windows_of_ranks: Sequence[Sequence[Window]], batch_size: int) -> RankRecord:
    windows = windows_of_ranks[rank] if windows_of_ranks else ()
    throughput = measure(windows, batch_size)
    seconds = sum(window.seconds for window in windows) if windows else None
    return RankRecord(rank, host, seconds, throughput.data_wait, throughput.step_seconds)


def _mfu(
    progress: EpochProgress, batch_size: int, samples_per_second: float | None, hardware: Hardware
) -> tuple[float | None, str | None]:
    """Return the FLOP/s that the model's formula counts over the devices' peak, or None with the reason."""
    if hardware.peak_flops is None:
        return None, "the device's peak is not known"
    if not progress.flops:
        return None, "the learner does not count its operations"
    if samples_per_second is None:
        return None, NO_STEPS
    flops_per_pair = progress.flops / (progress.steps * batch_size)
    mfu = flops_per_pair * samples_per_second / (hardware.peak_flops * len(hardware.hosts))
    if mfu > 1:
        raise CaseFailedError(
            f"{mfu:.0%} of the device's peak of {hardware.peak_flops:.3g} FLOP/s: more than is possible; "
            "either the peak that the device plugin gives is wrong, or the device does not wait when it is asked to"
        )
    return mfu, None


def _highest(peaks: Sequence[int | None]) -> int | None:
    known = [peak for peak in peaks if peak is not None]
    return max(known) if len(known) == len(peaks) else None


def _present(**reasons: str | None) -> Mapping[str, str]:
    return {name: reason for name, reason in reasons.items() if reason is not None}
