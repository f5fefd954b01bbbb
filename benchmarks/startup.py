"""Start-up: `--help` and `list` beside a bare import of click, and the time from a command to its first step.

    python -m benchmarks.startup [--quick] [--out benchmarks/results/startup.json]
    python -m benchmarks.startup --before CHECKOUT [--out benchmarks/results/startup_turns.json]

The first step is the quickstart's on the processor; its data is generated before, where it is not in the cache, and so
are Python's compiled files. The processor's time is that of all processes up to the first step: it holds on a busy
machine too. Linux only. With --before, the first step of another checkout is measured in turns with this one's.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import (
    Record,
    Times,
    arguments,
    both_clocks,
    in_turns,
    parse,
    process_tree,
    ratio,
    show_table,
    times_data,
)

HERE = Path(__file__).resolve().parents[1]
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


def first_step(checkout: Path) -> tuple[float, float]:
    """Return the seconds from the command to the end of the quickstart's first step: on the wall, of all processes."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["PYTHONPATH"] = os.pathsep.join(map(str, [checkout, *sorted((checkout / "plugins").iterdir())]))
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
            # As text: the events of another checkout may have other fields.
            if any('["StepsTrained"' in log.read_text(encoding="utf-8") for log in logs):
                taken = time.perf_counter() - begun, sum(map(cpu_seconds, process_tree(run.pid)))
                break
            time.sleep(0.01)
        run.wait()
        if taken is None:
            raise SystemExit(f"the quickstart took no step: exit code {run.returncode}")
        return taken


def compare(before: Path, rounds: int) -> dict[str, Times]:
    """Return the times of the first step in another checkout and in this one, in turns."""
    checkouts = {"before": before.resolve(), "now": HERE}
    taken = {name: Times([], []) for name in checkouts}
    for turn in range(rounds + 1):
        for name in list(checkouts) if turn % 2 == 0 else list(checkouts)[::-1]:
            wall, cpu = first_step(checkouts[name])
            if turn:  # the first is unmeasured
                taken[name].wall.append(wall)
                taken[name].cpu.append(cpu)
    return taken


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, whose first step is measured in turns")
    options = parse(parser)
    record = Record("startup", options)
    if options.before is not None:
        turns = compare(options.before, 1 if options.quick else 3)
        faster = ratio(turns["before"], turns["now"])
        rows = [[name, f"{times.seconds:.2f}", f"{times.cpu_seconds:.2f}"] for name, times in turns.items()]
        show_table(("checkout", "wall", "processor"), [*rows, ["x faster", *both_clocks(faster)]])
        record.save(first_step=times_data(turns), ratio=faster)
        return
    taken = in_turns(
        {
            name: lambda command=command: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for name, command in COMMANDS.items()
        },
        2 if options.quick else 9,
    )
    if not options.quick:
        first_step(HERE)  # unmeasured, as the commands' first run is
    steps = [first_step(HERE) for _ in range(1 if options.quick else 5)]
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
