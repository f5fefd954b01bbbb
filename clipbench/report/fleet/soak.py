"""A soak as text: a line for each repetition as it ends, and the summary of every device."""

from typing import Any

from clipbench.api.plain import to_plain
from clipbench.fleet.repetitions import DeviceSummary, Repetition, Soak
from clipbench.report.running.doing import duration, number


def soak_data(soak: Soak) -> dict[str, Any]:
    """Return what ``clipbench soak --format json`` prints."""
    return {**to_plain(soak), "exit_code": int(soak.exit_code)}


def repetition_text(one: Repetition) -> str:
    """Return a line on a repetition that has ended."""
    figures = [] if one.throughput is None else [f"{one.throughput:.1f} pairs/s"]
    figures += [] if one.celsius_peak is None else [f"{one.celsius_peak:.0f} °C"]
    figures += _throttled(one.throttled_seconds)
    figures += [one.message.splitlines()[0]] if one.message else []
    line = f"[{one.seconds:7.1f} s] device {one.device}, repetition {one.number} {one.status}"
    return ": ".join([line, *filter(None, [", ".join(figures)])])


def soak_text(soak: Soak) -> str:
    """Return the summary of every device, then what came of the soak."""
    count = sum(one.completed for one in soak.devices)
    lines = [f"{soak.case} on {soak.device} ({soak.device_name}) for {duration(soak.seconds)}:"]
    lines += [_device(summary) for summary in soak.devices]
    lines += [
        f"device {one.device}, repetition {one.number}: computed something else than most ({one.result})"
        for one in soak.repetitions
        if one.deviates
    ]
    if soak.repeats_its_bits:
        lines.append(f"all {count} repetitions have computed the same, bit for bit")
    elif soak.repeats_its_bits is None:
        lines.append("too few repetitions to be compared with one another")
    verdict = "stopped" if soak.stopped_by is not None and soak.exit_code != 1 else "FAIL" if soak.exit_code else "PASS"
    return "\n".join([*lines, f"{verdict}: {count} completed (exit code {int(soak.exit_code)})"])


def _device(summary: DeviceSummary) -> str:
    parts = [f"{summary.completed} completed"]
    parts += [f"{summary.failed} failed"] if summary.failed else []
    if summary.first is not None:
        speeds = (number(speed, ".1f") for speed in (summary.first, summary.last, summary.median, summary.lowest))
        parts.append("pairs/s: first {}, last {}, median {}, lowest {}".format(*speeds))
    parts += [] if summary.celsius_peak is None else [f"at most {summary.celsius_peak:.0f} °C"]
    return f"device {summary.device}: {', '.join([*parts, *_throttled(summary.throttled_seconds)])}"


def _throttled(seconds: Any) -> list[str]:  # noqa: ANN401
    return [f"{taken:.0f} s throttled ({reason})" for reason, taken in seconds.items() if taken]
