"""The meter of a device: the first, by name, that can read its sensors here."""

from clipbench.api.registry import Registry
from clipbench.training.telemetry import Sampler


def start_sampler(registry: Registry, kind: str, local_rank: int) -> Sampler:
    """Return a sampler that reads device ``local_rank`` of this kind; without a meter, it says why there is none."""
    reasons = []
    for spec in registry.meters.specs:
        if kind not in spec.devices:
            continue
        try:
            meter = registry.open_meter(spec.name, kind, local_rank)
            reason = meter.unavailable()
        except Exception as error:  # a driver may raise anything
            cause = error.__cause__ or error
            reason = f"{type(cause).__name__}: {cause}"
        if reason is None:
            sampler = Sampler(meter, spec.name)
            sampler.start()
            return sampler
        reasons.append(f"{spec.name}: {reason}")
    return Sampler(None, absent="; ".join(reasons) or f"no plugin offers a meter for device {kind}")
