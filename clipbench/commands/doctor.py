"""``clipbench doctor``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import DEVICE, FORMAT, OUT, SET, as_json, load_chosen, suite_names


@click.command()
@click.argument("suite", default="quickstart", shell_complete=suite_names)
@DEVICE
@SET
@OUT
@FORMAT
def doctor(out: Path, form: str, **chosen: Any) -> int:  # noqa: ANN401
    """Check whether this machine is ready, and fit for timing.

    SUITE is a YAML file, or the name of a suite that ships with clipbench (default: quickstart).

    Checks software, devices and their probes, data, weights, disk, memory, other work and clocks. Each check is one
    line, followed by the next thing to do where something is wrong. No case is run.

    \b
    Example: clipbench doctor flickr8k_amp --device cuda
    """
    from clipbench.api.registry import load_registry
    from clipbench.api.text import printable_data
    from clipbench.doctor.checkup import check_machine
    from clipbench.report.doctor import checkup_data, doctor_text

    checkup = check_machine(load_chosen(**chosen), load_registry(), out)
    click.echo(as_json(checkup_data(checkup)) if form == "json" else doctor_text(printable_data(checkup)))
    return checkup.exit_code
