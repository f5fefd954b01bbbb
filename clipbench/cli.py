"""The command line: its group, and the one place where errors become exit codes."""

import errno
from importlib import import_module
from typing import NoReturn

import click

from clipbench import __version__
from clipbench.errors import ClipbenchError, ExitCode

COMMANDS = (
    "baseline",
    "compare",
    "conform",
    "doctor",
    "fetch",
    "list",
    "report",
    "run",
    "runs",
    "show",
    "trend",
    "validate",
)


class Main(click.Group):
    """Imports a command when it is needed, and turns errors into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, which the module of that name defines."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"clipbench.commands.{name}"), name)
        return command

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run the command, and exit with the code that it returns or its error stands for."""
        try:
            ctx.exit(super().invoke(ctx) or ExitCode.PASS)
        except ClipbenchError as error:
            click.echo(f"clipbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of the output has closed it; click ends quietly
                raise
            where = f"{str(error.filename)[:200]}: " if error.filename else ""
            click.echo(f"clipbench: {where}{error.strerror or error}", err=True)
            ctx.exit(ExitCode.USAGE if error.errno == errno.ENAMETOOLONG else ExitCode.NOT_READY)
        except KeyboardInterrupt:
            click.echo("clipbench: interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="clipbench")
def main() -> None:
    """Does this device train CLIP correctly, and how fast?

    \b
    Exit codes: 0 pass, 1 a gate failed, 2 usage or configuration,
    3 not comparable or a refused file, 4 a case failed or is missing,
    5 the machine is not ready, 130 interrupted, 143 terminated.

    \b
    Example: clipbench run quickstart
    """
