"""``clipbench show``."""

from typing import Any

import click

from clipbench.commands.options import FORMAT, as_json, load_chosen, open_registry, suite_options


@click.command()
@suite_options
@FORMAT
def show(form: str, **chosen: Any) -> None:  # noqa: ANN401
    """Show what a suite would do on this machine.

    Prints every value, the number of steps, the learning rate of every epoch, and where data and weights are
    looked for. Nothing is run. SUITE is a YAML file, or the name of a suite that ships with clipbench.

    \b
    Example: clipbench show flickr8k_amp --set train.epochs=5
    """
    from clipbench.api.text import printable_data
    from clipbench.report.plan import plan_data, plans_text
    from clipbench.suites.plan import make_plan

    suite, registry = load_chosen(**chosen), open_registry()
    plans = [make_plan(case, registry) for case in suite.cases]
    click.echo(as_json(plan_data(suite, plans)) if form == "json" else plans_text(printable_data(plans)))
