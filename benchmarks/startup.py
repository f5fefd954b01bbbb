"""Start-up: `--help` and `list` beside a bare import of click, and the time from a command to its first step.

python -m benchmarks.startup [--quick] [--out benchmarks/results/startup.json]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Record, Times, arguments, in_turns, ratio

CLIPBENCH = [sys.executable, "-m", "clipbench"]
COMMANDS = {
    "import click": [sys.executable, "-c", "import click"],
    "clipbench --help": [*CLIPBENCH, "--help"],
    "clipbench list": [*CLIPBENCH, "list"],
}
TWO_STEPS = ["--max-steps", "2", "--set", "timing.warmup_steps=0", "--set", "timing.window_steps=1"]


def first_step() -> float:
    """Seconds from the command to the end of the quickstart's first training step, its data being cached."""
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
            events = Path(folder).glob("results/.work/*/events.jsonl")
            if any('"event": "step"' in file.read_text(encoding="utf-8") for file in events):
                taken = time.perf_counter() - begun
                break
            time.sleep(0.01)
        run.wait()
        if taken is None:
            raise SystemExit(f"the quickstart took no step: exit code {run.returncode}")
        return taken


def main() -> None:
    options = arguments(__doc__).parse_args()
    record, console = Record("startup", options), Console()
    rounds = 2 if options.quick else 9
    runs = {
        name: lambda command=command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name, command in COMMANDS.items()
    }
    taken: dict[str, Times] = in_turns(runs, rounds)
    first = sorted(first_step() for _ in range(1 if options.quick else 3))
    table = Table("what", "seconds", "quartiles", "x import click")
    for name, times in taken.items():
        told = times.to_dict()
        low, high = told["wall_seconds_quartiles"]
        against = ratio(times, taken["import click"])["wall"]
        table.add_row(name, f"{told['wall_seconds']:.3f}", f"{low:.3f} to {high:.3f}", f"{against:.2f}")
    middle = first[len(first) // 2]
    table.add_row("quickstart, command to first step", f"{middle:.2f}", f"{first[0]:.2f} to {first[-1]:.2f}", "")
    console.print(table)
    record.save(
        commands={name: times.to_dict() for name, times in taken.items()},
        ratios={name: ratio(taken[name], taken["import click"]) for name in list(COMMANDS)[1:]},
        first_step_seconds=first,
    )


if __name__ == "__main__":
    main()
