"""``clipbench soak``."""

import re
from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import FORMAT, OUT, as_json, changes_of, load_chosen, open_registry, suite_options
from clipbench.errors import UsageError

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


@click.command()
@suite_options
@click.option("--for", "length", metavar="TIME", required=True, help="How long, such as 2h, 90m, 1h30m or 45s.")
@OUT
@FORMAT
def soak(length: str, out: Path, form: str, **chosen: Any) -> int:  # noqa: ANN401
    """Run one case again and again on every device.

    All devices of this machine work at once, each in processes of its own, and each repetition leaves a result under
    --out. Throughput, temperature and throttling are followed over time. Exit code 1 says that a repetition has failed,
    or has computed something else than the others. Ctrl-C ends it in order, with the summary.

    \b
    Example: clipbench soak quickstart --for 2h
    """
    from clipbench.api.text import printable, printable_data
    from clipbench.fleet.repetitions import Repetition
    from clipbench.fleet.soaking import soak as run
    from clipbench.report.fleet.soak import repetition_text, soak_data, soak_text

    seconds = _seconds(length)
    suite = load_chosen(**chosen)
    if suite.task is not None:
        raise UsageError(f"--case {suite.task}: is the id of one task; a soak takes the name of a case")
    if len(suite.cases) != 1:
        names = "\n  ".join(case.name for case in suite.cases)
        raise UsageError(f"{suite.path}: a soak repeats one case; choose one with --case:\n  {names}")

    def tell(repetition: Repetition) -> None:
        click.echo(printable(repetition_text(repetition)), err=form == "json")

    (case,) = suite.cases
    short = {key: chosen[key] for key in ("engine", "device", "seed")} | {"train.max_steps": chosen["max_steps"]}
    changes = changes_of(chosen["overrides"], short)
    done = run(chosen["suite"], changes, case, open_registry(), out, seconds, tell)
    click.echo(as_json(soak_data(done)) if form == "json" else soak_text(printable_data(done)))
    return done.exit_code


def _seconds(text: str) -> float:
    parts = re.findall(r"(\d{1,6})([hms])", text)
    seconds = sum(int(count) * UNITS[unit] for count, unit in parts)
    if "".join(map("".join, parts)) != text or not seconds:
        raise UsageError(f"--for {text}: expected hours, minutes or seconds, such as 2h, 90m, 1h30m or 45s")
    return seconds
