"""What a device is tuned to, kept from one run to the next: measuring what is fast takes a part of every start."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api import Device, Engine
from clipbench.api.plain import to_plain
from clipbench.files.cache import cache_folder
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.environment import cpu_name, variables
from clipbench.results.result import utc_now

FOLDER = "tuning"


@dataclass(frozen=True)
class Tuning:
    """What a device was tuned to, and the time (UTC) at which that was decided."""

    tuned_to: Mapping[str, Any]
    decided: str


def tune(engine: Engine, device: Device, of_run: Mapping[str, Any] | None) -> Tuning:
    """Tune ``device`` as before, where that is known: in the unfinished run, or on this machine with this framework.

    ``of_run`` is what the device was tuned to when an unfinished run began. A new decision is kept for later runs.
    """
    path = cache_folder() / FOLDER / f"{_key(engine, device)}.json"
    kept = _read(path)
    earlier = of_run or (kept.tuned_to if kept else None)
    tuned_to = to_plain(device.tune(earlier))  # a copy, which is the result's
    if kept is not None and kept.tuned_to == tuned_to:
        return kept
    tuning = Tuning(tuned_to, utc_now())
    if of_run is None:
        with suppress(OSError):  # it is then decided again at the next start
            write_json(path, to_plain(tuning))
    return tuning


def _key(engine: Engine, device: Device) -> str:
    """Return a file name for all that a decision depends on: device, processor, versions, environment variables."""
    facts = {
        "clipbench": __version__,
        "packages": dict(engine.versions()),
        "device": [device.name, device.info().name],
        "processor": cpu_name(),
        "variables": variables(device.environment_variables()),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path) -> Tuning | None:
    """Return what was kept there; None where nothing was or it is damaged, to be decided anew and written over."""
    try:
        kept = read_json(path) if path.exists() else None
    except (JsonError, OSError):
        return None
    match kept:
        case {"tuned_to": dict() as tuned_to, "decided": str() as decided}:
            return Tuning(tuned_to, decided)
    return None
