"""The record of an epoch: the figures of a result, from what the ranks have counted and timed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from clipbench.api.plain import finite
from clipbench.api.result import EpochRecord, EpochSeconds, RankRecord, Telemetry
from clipbench.errors import CaseFailedError
from clipbench.results.measures.timing import measure
from clipbench.results.measures.trace import loss_digests
from clipbench.training.collectives import MemoryPeaks
from clipbench.training.evaluating.evaluation import Evaluated
from clipbench.training.hardware import Hardware
from clipbench.training.state import EpochProgress
from clipbench.training.throughput import slowest_windows

NO_STEPS = "no step was taken after the warm-up"
UNTRAINED = "nothing was trained"
NOT_EVALUATED = "not evaluated after this epoch"


def epoch_record(
    epoch: int,
    progress: EpochProgress,
    learning_rate: float | None,
    evaluation: Evaluated | None,
    memory: Sequence[MemoryPeaks],
    batch_size: int,
    hardware: Hardware,
    telemetry: Telemetry | None = None,
) -> EpochRecord:
    """Return the record of an epoch, 0 for weights as they came; every figure that is None has its reason.

    Throughput is of all ranks over the windows of whichever was slowest; ``memory`` has the peaks of every rank.
    Raises CaseFailedError for an MFU over 1.
    """
    ranks, info = len(hardware.hosts), hardware.info
    windows = slowest_windows(progress.windows_of_ranks)
    timing = measure(windows, batch_size)
    per_second = timing.throughput
    per_card = per_second and per_second / math.ceil(ranks / info.devices_per_card)
    mfu, mfu_reason = _mfu(progress, batch_size, per_second, hardware)
    device_memory, host_memory = (_highest(peaks) for peaks in zip(*memory, strict=True))
    per_rank = _rank_records(progress, memory, batch_size, hardware.hosts)
    record = EpochRecord(
        epoch=epoch,
        steps=progress.steps,
        train_loss=_mean([loss for loss in progress.losses if loss is not None]),
        val_loss=finite(evaluation.loss) if evaluation else None,
        learning_rate=learning_rate,
        recall=evaluation.recall if evaluation else None,
        throughput=per_second,
        data_wait=timing.data_wait,
        step_seconds=timing.step_seconds,
        windows=windows,
        peak_memory_bytes=device_memory,
        host_memory_bytes=host_memory,
        seconds=EpochSeconds(progress.seconds, evaluation.seconds if evaluation else 0.0),
        reasons={},
        throughput_per_device=per_second and per_second / ranks,
        throughput_per_card=per_card if info.devices_per_card > 1 else None,
        mfu=mfu,
        grad_norm=_mean(progress.grad_norms),
        skipped_steps=progress.skipped_steps,
        slowest_rank=_slowest(per_rank),
        per_rank=per_rank if progress.steps else (),
        telemetry=telemetry,
        metrics=evaluation.metrics if evaluation else {},
        loss_digests=loss_digests(progress.losses),
    )
    reasons = _reasons(record, evaluation, mfu_reason, hardware)
    return replace(record, reasons={name: reason for name, reason in reasons.items() if getattr(record, name) is None})


def _reasons(
    record: EpochRecord, evaluation: Evaluated | None, mfu_reason: str, hardware: Hardware
) -> Mapping[str, str]:
    """Return, for every figure that can be None, why it would be."""
    trained = record.steps > 0
    untimed = (hardware.timing_unreliable_reason or NO_STEPS) if trained else UNTRAINED
    no_loss = (evaluation.loss_reason or f"not finite ({evaluation.loss})") if evaluation else NOT_EVALUATED
    return {
        "train_loss": "the gradient scaler withheld every step" if trained else UNTRAINED,
        "learning_rate": UNTRAINED,
        **dict.fromkeys(("throughput", "data_wait", "step_seconds"), untimed),
        "mfu": mfu_reason if trained else UNTRAINED,
        "grad_norm": "the learner does not report it" if trained else UNTRAINED,
        "recall": "the suite does not ask for retrieval" if evaluation else NOT_EVALUATED,
        "val_loss": no_loss,
        "peak_memory_bytes": hardware.info.unknown.get("peak_memory", "the device does not report it"),
        "host_memory_bytes": "the system does not report it",
        "telemetry": hardware.telemetry.absent or "a rank has no meter",
    }


def _rank_records(
    progress: EpochProgress, memory: Sequence[MemoryPeaks], batch_size: int, hosts: Sequence[str]
) -> tuple[RankRecord, ...]:
    windows_of_ranks = progress.windows_of_ranks or [[] for _ in hosts]
    measured = [measure(windows, batch_size) for windows in windows_of_ranks]
    return tuple(
        RankRecord(rank, host, own.seconds, own.data_wait, own.step_seconds, *peaks)
        for rank, (host, own, peaks) in enumerate(zip(hosts, measured, memory, strict=True))
    )


def _slowest(ranks: Sequence[RankRecord]) -> int | None:
    """Return the first rank whose windows took longest in sum; None where nothing was timed."""
    timed = [rank for rank in ranks if rank.seconds]
    return max(timed, key=lambda rank: rank.seconds or 0.0).rank if timed else None


def _mfu(
    progress: EpochProgress, batch_size: int, throughput: float | None, hardware: Hardware
) -> tuple[float | None, str]:
    """Return the FLOP/s that the model's formula counts over the devices' peak, or None with the reason."""
    if hardware.peak_flops is None:
        return None, "the device's peak is not known"
    if not progress.flops:
        return None, "the learner does not count its operations"
    if throughput is None:
        return None, NO_STEPS
    flops_per_pair = progress.flops / (progress.steps * batch_size)
    mfu = flops_per_pair * throughput / (hardware.peak_flops * len(hardware.hosts))
    if mfu > 1:
        raise CaseFailedError(
            f"{mfu:.0%} of the device's peak of {hardware.peak_flops:.3g} FLOP/s: more than is possible; "
            "either the peak that the device plugin gives is wrong, or the device does not wait when it is asked to"
        )
    return mfu, ""


def _highest(peaks: Sequence[int | None]) -> int | None:
    known = [peak for peak in peaks if peak is not None]
    return max(known) if len(known) == len(peaks) else None


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
