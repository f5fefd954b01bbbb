"""Start-up: `--help` and `list` beside a bare import of click, and the time from a command to its first step.

    python -m benchmarks.startup [--quick] [--out benchmarks/results/startup.json]

The first step is the quickstart's on the processor; its data is generated before, where it is not in the cache, and so
are Python's compiled files. The processor's time is that of all processes up to the first step: it holds on a busy
machine too. Linux only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Record, arguments, in_turns, parse, process_tree, ratio, show_table, times_data
from clipbench.api.events import StepsTrained
from clipbench.results.events import EventReader

CLIPBENCH = [sys.executable, "-m", "clipbench"]
COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "clipbench --help": [*CLIPBENCH, "--help"],
    "clipbench list": [*CLIPBENCH, "list"],
}
TWO_STEPS = ["--max-steps", "2", "--set", "timing.warmup_steps=0", "--set", "timing.window_steps=1"]


def cpu_seconds(process: int) -> float:
    """Return the processor time of a process and of its children that have ended; 0 where it has ended itself."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def first_step() -> tuple[float, float]:
    """Return the seconds from the command to the end of the quickstart's first step: on the wall, of all processes."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = subprocess.Popen(
            [*CLIPBENCH, "run", "quickstart", "--device", "cpu", "--progress", "none", *TWO_STEPS],
            cwd=folder,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        taken = None
        while run.poll() is None:
            logs = Path(folder).glob("results/.work/*/events.jsonl")
            if any(isinstance(event, StepsTrained) for log in logs for event in EventReader(log).new()):
                taken = time.perf_counter() - begun, sum(map(cpu_seconds, process_tree(run.pid)))
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
    steps = [first_step() for _ in range(1 if options.quick else 5)]
    first, cpu = (sorted(clock) for clock in zip(*steps, strict=True))
    ratios = {name: ratio(times, taken["import click"]) for name, times in taken.items()}
    rows = []
    for name, times in taken.items():
        low, high = times.to_dict()["wall_seconds_quartiles"]
        rows.append([name, f"{times.seconds:.3f}", f"{low:.3f} to {high:.3f}", f"{ratios[name]['wall']:.2f}"])
    for what, times in (("wall", first), ("processor", cpu)):
        middle, span = f"{statistics.median(times):.2f}", f"{times[0]:.2f} to {times[-1]:.2f}"
        rows.append([f"quickstart, command to first step, {what}", middle, span, ""])
    show_table(("what", "seconds", "quartiles", "x import click"), rows)
    del ratios["import click"]
    record.save(commands=times_data(taken), ratios=ratios, first_step_seconds=first, first_step_cpu_seconds=cpu)


if __name__ == "__main__":
    main()
