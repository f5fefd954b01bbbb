"""The command line: its group, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
from typing import Any

import click

from clipbench import __version__
from clipbench.commands.judging import baseline, compare, report, trend
from clipbench.commands.looking import list_, validate
from clipbench.commands.running import doctor, run, runs, show
from clipbench.errors import ClipbenchError, ExitCode


class Main(click.Group):
    """The one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except ClipbenchError as error:
            click.echo(f"clipbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has left, which click ends quietly
                raise
            where = f"{str(error.filename)[:200]}: " if error.filename else ""
            click.echo(f"clipbench: {where}{error.strerror or error}", err=True)
            ctx.exit(ExitCode.USAGE if error.errno == errno.ENAMETOOLONG else ExitCode.NOT_READY)
        except KeyboardInterrupt:
            click.echo("clipbench: interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clipbench")
def main() -> None:
    """Does this device train CLIP correctly, and how fast?

    \b
    Exit codes: 0 pass, 1 a gate failed, 2 usage or configuration,
    3 not comparable or a refused file, 4 a case failed or is missing,
    5 the machine is not ready, 130 interrupted.
    """


for command in (doctor, run, runs, show, compare, baseline, trend, report, list_, validate):
    main.add_command(command)
