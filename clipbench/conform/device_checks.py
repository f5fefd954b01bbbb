"""The promises of a Device."""

from __future__ import annotations

from typing import TypeGuard, get_args

from clipbench.api import Device, DeviceInfo, Precision, Probe, finite
from clipbench.api.registry import load_object
from clipbench.conform.checks import BrokenPromiseError, Checks, expect, leave_out
from clipbench.conform.spec_checks import LIGHT_IMPORT, SPEC, check_json, check_lines
from clipbench.conform.subject import Subject
from clipbench.conform.trial import losses_of, make_learner, random_batches, random_pairs, relative_difference, saved

DEVICE = Checks(SPEC, LIGHT_IMPORT)
AGREEMENT = 1e-4  # relative: true float32 gives 1e-6, products in TF32 or bfloat16 1e-3
STEPS = 4


@DEVICE.add("unavailable", "`unavailable` says why the device cannot be used here and what to do about it, or is None.")
def _unavailable(subject: Subject) -> str:
    _ = subject.engine
    device: Device = load_object(subject.spec.load)()
    reasons = [device.unavailable() for _ in range(2)]
    reason = reasons[0]
    expect(reason is None or (isinstance(reason, str) and reason.strip()), f"unavailable() returned {reason!r}")
    expect(reasons[0] == reasons[1], f"unavailable() said {reasons[0]!r}, then {reasons[1]!r}")
    return "available" if reason is None else reason


@DEVICE.add("name", "`name` is the spec's.")
def _name(subject: Subject) -> None:
    expect(subject.device.name == subject.name, f"name is {subject.device.name!r}, the spec's is {subject.name!r}")


@DEVICE.add("info", "`info` gives a DeviceInfo: a name, one device or more, and bytes of memory or None.")
def _info(subject: Subject) -> str:
    info = subject.device.info()
    expect(isinstance(info, DeviceInfo), f"info() returned {info!r}; expected a DeviceInfo")
    expect(isinstance(info.name, str) and info.name.strip(), f"info().name is {info.name!r}")
    for name in ("count", "devices_per_card"):
        expect(_whole(getattr(info, name), least=1), f"info().{name} is {getattr(info, name)!r}; expected 1 or more")
    memory = info.total_memory
    expect(memory is None or _whole(memory, least=1), f"info().total_memory is {memory!r}; expected bytes, or None")
    expect(info.driver is None or isinstance(info.driver, str), f"info().driver is {info.driver!r}; expected a text")
    return f"{info.count} x {info.name}"


@DEVICE.add("select", "`select` may be called again for the same device.")
def _select(subject: Subject) -> None:
    subject.device.select(0)
    subject.device.select(0)


@DEVICE.add("precisions", "`precisions` has float32 and any of float16 and bfloat16, each once.")
def _precisions(subject: Subject) -> str:
    precisions = list(subject.device.precisions())
    unknown = [name for name in precisions if name not in get_args(Precision)]
    expect(not unknown, f"precisions() has {unknown}; known are {', '.join(get_args(Precision))}")
    expect(len(set(precisions)) == len(precisions), f"precisions() names one twice: {precisions}")
    expect("float32" in precisions, f"precisions() is {precisions}: without float32 nothing can be compared")
    return ", ".join(precisions)


@DEVICE.add("precision", "Products in each precision of `precisions` are computed in that precision.")
def _precision(subject: Subject) -> str:
    return _probes(subject, "run")


@DEVICE.add("synchronize", "When `synchronize` returns, all work given to the device has been done.")
def _synchronize(subject: Subject) -> str:
    return _probes(subject, "timing")


@DEVICE.add(
    "tune", "`tune` returns what it turned on, fits JSON, and returns the same again, also given its own answer."
)
def _tune(subject: Subject) -> None:
    device = subject.unselected_device()
    device.select(0)
    first = device.tune()
    check_json("tune()", first)
    second, given = device.tune(), device.tune(dict(first))
    expect(dict(second) == dict(first), f"tune() returned {dict(first)}, then {dict(second)}")
    expect(dict(given) == dict(first), f"tune({dict(first)}) returned {dict(given)}")


@DEVICE.add("seed", "A run takes any seed of 32 bits, and one seed gives one run.")
def _seed(subject: Subject) -> str:
    runs = []
    for seed in (0, 2**32 - 1, 0):
        batches = [random_pairs(subject.model.config)] * STEPS
        runs.append(losses_of(make_learner(subject, seed=seed), batches))
    difference = relative_difference(runs[2], runs[0])
    expect(difference <= AGREEMENT, f"two runs of one seed differ by {difference:.1e} of the loss after {STEPS} steps")
    return "bit for bit" if runs[0] == runs[2] else f"to {difference:.1e} of the loss, not bit for bit"


@DEVICE.add("training", "A model that trains on the device learns: the loss of a fixed batch falls, in each precision.")
def _training(subject: Subject) -> str:
    batch, texts = random_pairs(subject.model.config), []
    for precision in subject.device.precisions():
        losses = losses_of(make_learner(subject, precision=precision), [batch] * 2 * STEPS)
        expect(losses[-1] < losses[0], f"in {precision} the loss went from {losses[0]:.6g} to {losses[-1]:.6g}")
        texts.append(f"{precision} {losses[0]:.4f} to {losses[-1]:.4f}")
    return "; ".join(texts)


@DEVICE.add("agreement", "Losses in float32 agree with those of the engine's trusted device to 1e-4.")
def _agreement(subject: Subject) -> str:
    trusted = subject.registry.trusted_device(subject.engine_name)
    if trusted is None:
        leave_out(f"engine {subject.engine_name} has no trusted device")
    if subject.name == trusted.name:
        leave_out("it is the trusted device itself")
    config = subject.model.config
    losses = losses_of(make_learner(subject), random_batches(config, STEPS))
    host: Device = load_object(trusted.load)()
    host.select(0)
    on_host = make_learner(subject, device=host, tuning=host.tune())
    difference = relative_difference(losses, losses_of(on_host, random_batches(config, STEPS)))
    expect(
        difference <= AGREEMENT, f"losses differ from those of {trusted.name} by {difference:.1e} within {STEPS} steps"
    )
    return f"{difference:.1e} of the loss within {STEPS} steps"


@DEVICE.add(
    "peak-memory", "`peak_memory` counts what training uses and starts anew at `reset_peak_memory`, or is None."
)
def _peak_memory(subject: Subject) -> str:
    device = subject.device
    device.reset_peak_memory()
    before = device.peak_memory()
    if before is None:
        leave_out("the device does not count its memory")
    learner = make_learner(subject)
    losses_of(learner, [random_pairs(subject.model.config)])
    peak = _bytes("peak_memory() after a step", device.peak_memory())
    # Weights, their gradients and two moments of the optimiser, four bytes each.
    least = 16 * int(learner.describe()["parameter_count"])
    expect(peak >= least, f"peak_memory() is {peak:,} after a step; weights, gradients and optimiser take {least:,}")
    total = device.info().total_memory
    expect(total is None or peak <= total, f"peak_memory() is {peak:,}, more than the device has ({total:,})")
    losses_of(learner, [random_pairs(subject.model.config, pairs=8 * 8)])
    larger = _bytes("peak_memory() after more steps", device.peak_memory())
    del learner
    device.reset_peak_memory()
    after = _bytes("peak_memory() after a reset", device.peak_memory())
    expect(after < larger, f"peak_memory() is still {after:,} after a reset; it was {larger:,}")
    return f"{peak:,} bytes in a step"


@DEVICE.add("free-memory", "`free_memory` is at most `info().total_memory`, or None.")
def _free_memory(subject: Subject) -> str:
    free, total = subject.device.free_memory(), subject.device.info().total_memory
    if free is None:
        leave_out("the device does not tell")
    expect(_whole(free, least=1), f"free_memory() is {free!r}; expected bytes")
    expect(total is None or free <= total, f"free_memory() is {free:,}, more than the device has ({total:,})")
    return f"{free:,} bytes"


@DEVICE.add("peak-flops", "`peak_flops` is operations per second, or None.")
def _peak_flops(subject: Subject) -> str:
    peaks = {name: subject.device.peak_flops(name) for name in subject.device.precisions()}
    for name, peak in peaks.items():
        good = peak is None or ((finite(peak) or 0) > 1e6 and not isinstance(peak, bool))
        expect(good, f"peak_flops({name!r}) is {peak!r}; expected operations per second, or None")
    return ", ".join(f"{name} {peak / 1e12:.1f} TFLOP/s" for name, peak in peaks.items() if peak) or "not known"


@DEVICE.add(
    "others", "`others` has a line for each other process on the devices, or is None; it is asked before `select`."
)
def _others(subject: Subject) -> str:
    others = subject.unselected_device().others()
    if others is None:
        leave_out("the device does not tell")
    check_lines("others()", others)
    return f"{len(others)} other processes"


@DEVICE.add("environment-variables", "`environment_variables` has the names of variables.")
def _environment_variables(subject: Subject) -> None:
    names = subject.device.environment_variables()
    check_lines("environment_variables()", names)
    odd = [name for name in names if not name.isidentifier()]
    expect(not odd, f"environment_variables() has {odd}, which are no names of variables")


@DEVICE.add("resume", "A run that is resumed goes on as if it had never stopped.")
def _resume(subject: Subject) -> str:
    return check_resume(subject)


def check_resume(subject: Subject) -> str:
    """Check that a learner restored from a state takes the steps that the first one takes."""
    config = subject.model.config
    first = make_learner(subject)
    losses_of(first, random_batches(config, STEPS))
    state = saved(first)
    resumed = make_learner(subject, seed=1)
    resumed.restore(state)
    unbroken, later = (losses_of(learner, random_batches(config, STEPS, seed=100)) for learner in (first, resumed))
    difference = relative_difference(later, unbroken)
    expect(difference <= 1e-6, f"after {STEPS} steps, the losses of the resumed run differ by {difference:.1e}")
    return "bit for bit" if difference == 0 else f"to {difference:.1e} of the loss, not bit for bit"


def _probes(subject: Subject, refuses: str) -> str:
    """Run the engine's probes in every precision; return what those that refuse the ``run`` or its ``timing`` found."""
    device, texts = subject.device, []
    for precision in device.precisions():
        probes = subject.engine.probe(device, precision)
        expect(all(isinstance(probe, Probe) for probe in probes), f"probe() returned {probes!r}; expected Probes")
        chosen = [probe for probe in probes if probe.refuses == refuses]
        if not chosen:
            leave_out("the engine has no such probe")
        failed = "; ".join(f"{probe.name} in {precision}: {probe.detail}" for probe in chosen if not probe.ok)
        expect(not failed, failed)
        texts.append(f"{precision}: " + ", ".join(probe.name for probe in chosen))
    return "; ".join(texts)


def _bytes(what: str, value: object) -> int:
    if not _whole(value):
        raise BrokenPromiseError(f"{what} is {value!r}; expected bytes")
    return value


def _whole(value: object, least: int = 0) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
