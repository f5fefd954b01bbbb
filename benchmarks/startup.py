"""Start-up: `--help` and `list` beside a bare import of click, and the time from a command to its first step.

    python -m benchmarks.startup [--quick] [--out benchmarks/results/startup.json]

The first step is the quickstart's on the processor; its data is generated before, where it is not in the cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Record, arguments, in_turns, parse, ratio, show_table, times_data
from clipbench.api.events import StepsTrained
from clipbench.results.events import EventReader

CLIPBENCH = [sys.executable, "-m", "clipbench"]
COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "clipbench --help": [*CLIPBENCH, "--help"],
    "clipbench list": [*CLIPBENCH, "list"],
}
TWO_STEPS = ["--max-steps", "2", "--set", "timing.warmup_steps=0", "--set", "timing.window_steps=1"]


def first_step() -> float:
    """Return seconds from the command to the end of the quickstart's first training step."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = subprocess.Popen(
            [*CLIPBENCH, "run", "quickstart", "--device", "cpu", "--progress", "none", *TWO_STEPS],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        taken = None
        while run.poll() is None:
            logs = Path(folder).glob("results/.work/*/events.jsonl")
            if any(isinstance(event, StepsTrained) for log in logs for event in EventReader(log).new()):
                taken = time.perf_counter() - begun
                break
            time.sleep(0.01)
        run.wait()
        if taken is None:
            raise SystemExit(f"the quickstart took no step: exit code {run.returncode}")
        return taken


def main() -> None:
    options = parse(arguments(__doc__))
    record = Record("startup", options)
    taken = in_turns(
        {
            name: lambda command=command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for name, command in COMMANDS.items()
        },
        2 if options.quick else 9,
    )
    if not options.quick:
        first_step()  # unmeasured, as the commands' first run is
    first = sorted(first_step() for _ in range(1 if options.quick else 3))
    ratios = {name: ratio(times, taken["import click"]) for name, times in taken.items()}
    rows = []
    for name, times in taken.items():
        low, high = times.to_dict()["wall_seconds_quartiles"]
        rows.append([name, f"{times.seconds:.3f}", f"{low:.3f} to {high:.3f}", f"{ratios[name]['wall']:.2f}"])
    middle = first[len(first) // 2]
    rows.append(["quickstart, command to first step", f"{middle:.2f}", f"{first[0]:.2f} to {first[-1]:.2f}", ""])
    show_table(("what", "seconds", "quartiles", "x import click"), rows)
    del ratios["import click"]
    record.save(commands=times_data(taken), ratios=ratios, first_step_seconds=first)


if __name__ == "__main__":
    main()
