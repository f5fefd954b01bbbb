"""In words: what a run is doing, how far it is, and what becomes of it where it is stopped."""

from collections.abc import Mapping

from clipbench.api import events
from clipbench.files.disk import size_text

# What is done in a stage, to the subject that it has.
STAGES: Mapping[events.Stage, str] = {
    "data": "looking at the data of {}",
    "framework": "importing {}",
    "weights": "checking the weights",
    "device": "opening device {}",
    "ranks": "waiting for the other ranks",
    "probes": "probing device {}",
    "pictures": "preparing the data of {}",
    "captions": "reading the captions of {}",
    "model": "building the model",
    "numerics": "checking numerics, {}, step",
    "checkpoint": "reading the checkpoint to resume from",
    "first step": "taking the first step",
    "images": "evaluating, images",
    "texts": "evaluating, texts",
    "thumbnails": "keeping small pictures of what was retrieved,",
    "saving": "saving a checkpoint",
}


def doing(event: events.Progress) -> str:
    """Return what the run is doing: ``importing torch``, ``evaluating, images 320 of 1,000``."""
    text = STAGES[event.stage].format(event.subject)
    if event.stage == "model" and event.subject:
        text = f"loading the weights {event.subject}"
    return f"{text} {event.done:,} of {event.total:,}" if event.total else text


def training(event: events.StepsUnderWay, steps_per_epoch: int | None) -> tuple[str, str]:
    """Return position, loss and learning rate, then speed, share of waiting and memory."""
    memory = "-" if event.memory_bytes is None else size_text(event.memory_bytes)
    return (
        f"epoch {event.epoch} step {event.step}/{steps_per_epoch or '?'}  loss {number(event.loss, '.4f')}  "
        f"lr {event.learning_rate:.3g}",
        f"{number(event.throughput, '.1f')} pairs/s  data wait {number(event.data_wait, '.1%')}  memory {memory}"
        + ("" if event.watts is None else f"  {event.watts:.0f} W")
        + ("" if event.celsius is None else f"  {event.celsius:.0f} °C"),
    )


def stop_text(event: events.StopRequested) -> str:
    """Return what will be saved and how long that takes or, where the run is stopped at once, what is lost."""
    lost = _lost(event)
    if event.at_once:
        return f"stopped at once: {lost}"
    return f"stopping: {_way_out(event)}\nCtrl-C again stops at once: {lost}"


def _way_out(event: events.StopRequested) -> str:
    saving = "" if event.save_seconds is None else f" (about {duration(event.save_seconds)})"
    if event.steps_left:
        last = "the step under way" if event.steps_left == 1 else f"at most {event.steps_left} more steps"
        takes = "" if event.step_seconds is None else f" (a step takes about {duration(event.step_seconds)})"
        before = f" with the {_count(event.steps)} before" if event.steps else ""
        return f"finishing {last}{takes}, then saving{before}{saving}"
    if not event.steps:
        return "nothing was trained yet, so that nothing is saved"
    evaluates = event.stage in ("images", "texts", "thumbnails")
    doing_now = "the evaluation under way is given up" if evaluates else "this ends"
    return f"{doing_now}, then all {_count(event.steps)} are saved{saving}"


def _lost(event: events.StopRequested) -> str:
    unsaved = event.steps - event.saved_steps
    if not unsaved:
        return "only the step under way is lost" if event.steps_left else "nothing that was trained is lost"
    since = f"since the checkpoint of step {event.saved_steps:,}" if event.saved_steps else "so far"
    return f"{_count(unsaved)} {since} are lost" if unsaved > 1 else f"the one step {since} is lost"


def _count(steps: int) -> str:
    return f"{steps:,} step{'' if steps == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time as people say it: ``0.2 s``, ``45 s``, ``3 min``."""
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def clock(seconds: float) -> str:
    """Return a time as clocks show it: ``0:01:05``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def number(value: float | None, form: str) -> str:
    """Return a figure in ``form``; a dash for one that is not known."""
    return "-" if value is None else format(value, form)
