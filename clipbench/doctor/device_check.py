"""A device examined in a process of its own, ``python -m clipbench.examination``: drivers crash, or never answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clipbench.api import Device, Engine
from clipbench.api.registry import load_object, load_registry
from clipbench.errors import UsageError
from clipbench.runs.devices import pick_precision

PATIENCE_SECONDS = 60.0
GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Examination:
    """What one device answered; None where it was not asked or did not say.

    ``engine_problem`` and ``unavailable`` say why it cannot be used. ``info`` is its DeviceInfo, ``free_memory`` in
    bytes, ``others`` what else is done on it. ``probes`` are (precision, Probe) as plain data; ``refused`` says which
    precisions it has not. ``broke_off`` says how its process ended before all was answered.
    """

    engine: str
    device: str
    versions: dict[str, str] | None = None
    engine_problem: str | None = None
    unavailable: str | None = None
    others: tuple[str, ...] | None = None
    info: dict[str, Any] | None = None
    free_memory: int | None = None
    probes: tuple[dict[str, Any], ...] = ()
    refused: tuple[str, ...] = ()
    broke_off: str | None = None

    @property
    def available(self) -> bool:
        return not (self.engine_problem or self.unavailable or self.broke_off)


def examine(engine: str, device: str, precisions: Sequence[str], patience: float = PATIENCE_SECONDS) -> Examination:
    """Ask a device everything, waiting ``patience`` seconds at most; what it had answered by then is kept."""
    with tempfile.TemporaryDirectory(prefix="clipbench-") as folder:
        answers, log = Path(folder) / "answers.jsonl", Path(folder) / "log"
        answers.touch()
        command = [sys.executable, "-m", "clipbench.doctor.device_check", str(answers), engine, device, *precisions]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            try:
                code: int | None = process.wait(patience)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                with suppress(subprocess.TimeoutExpired):  # a driver can hold a process beyond its death
                    process.wait(GRACE_SECONDS)
        lines = answers.read_text(encoding="utf-8").splitlines()
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return _gathered(engine, device, [json.loads(line) for line in lines], code, said, patience)


def _gathered(
    engine: str, device: str, answers: Sequence[dict[str, Any]], code: int | None, said: Sequence[str], patience: float
) -> Examination:
    examination = Examination(engine, device)
    asked = "the engine"
    for answer in answers:
        asked = answer.pop("next", asked)
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in answer.items()}
        for one_of_several in ("probes", "refused"):
            if one_of_several in kept:
                kept[one_of_several] = getattr(examination, one_of_several) + kept[one_of_several]
        examination = replace(examination, **kept)
    if code is None:
        return replace(examination, broke_off=f"no answer within {patience:.0f} s when asked for {asked}")
    if code < 0:
        return replace(examination, broke_off=f"{signal.Signals(-code).name} when asked for {asked}")
    if code > 0:
        last = said[-1] if said else f"exit code {code}"
        return replace(examination, broke_off=f"{last}, when asked for {asked}")
    return examination


# --- in the process of its own --------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    path, engine, device, *precisions = arguments
    with Path(path).open("a", encoding="utf-8") as file:

        def answer(**values: Any) -> None:  # noqa: ANN401
            file.write(json.dumps(values) + "\n")
            file.flush()

        _ask(engine, device, precisions, answer)


def _ask(engine_name: str, device_name: str, precisions: Sequence[str], answer: Callable[..., None]) -> None:
    registry = load_registry()
    engine: Engine = load_object(registry.engines.get(engine_name, "engine").load)()
    if problem := engine.problem():
        answer(engine_problem=problem)
        return
    answer(versions=dict(engine.versions()), next="the device")
    device: Device = load_object(registry.devices.get(device_name, "device").load)()
    if reason := device.unavailable():
        answer(unavailable=reason)
        return
    answer(next="what else is done on it")  # before this process takes its place there
    answer(others=_optional(device, "others"), next="its name and memory")
    device.select(0)
    device.tune()
    answer(info=asdict(device.info()), free_memory=_optional(device, "free_memory"))
    for wanted in precisions:
        try:
            precision = pick_precision(device, wanted)
        except UsageError as error:
            answer(refused=[str(error)])
            continue
        answer(next=f"its probes in {precision}")
        answer(probes=[{"precision": precision, **asdict(probe)} for probe in engine.probe(device, precision, 0)])


def _optional(device: Device, method: str) -> Any:  # noqa: ANN401
    """What ``device.method()`` gives, or None for a device that has no such method."""
    found = getattr(device, method, None)
    return None if found is None else found()


if __name__ == "__main__":
    main(sys.argv[1:])
