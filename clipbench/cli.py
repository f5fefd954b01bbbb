"""The command line: its group, and the one place where errors become exit codes."""

import errno
import io
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from clipbench import __version__
from clipbench.errors import ClipbenchError, ExitCode

NARROWEST = 20
COMMANDS = (
    "baseline",
    "compare",
    "conform",
    "diagnose",
    "doctor",
    "export",
    "fetch",
    "jobs",
    "list",
    "plan",
    "predict",
    "report",
    "retrieve",
    "run",
    "runs",
    "show",
    "soak",
    "submit",
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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command's name."""
        with errors_as_exit_codes(ctx):
            make_output_sure()
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run the command, and exit with the code that it returns or its error stands for."""
        with errors_as_exit_codes(ctx):
            code = super().invoke(ctx) or ExitCode.PASS
            sys.stdout.flush()
            ctx.exit(code)


@contextmanager
def errors_as_exit_codes(ctx: click.Context) -> Iterator[None]:
    """Turn whatever the block raises into a message and an exit code."""
    try:
        yield
    except click.exceptions.Exit:
        raise
    except click.ClickException as error:
        # It repeats the argument that was wrong; and exit code 1, of some of them, is for gates alone.
        raise click.UsageError(_printable(error.format_message()), getattr(error, "ctx", None)) from None
    except ClipbenchError as error:
        say(str(error))
        ctx.exit(error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:
            _end_output()
            ctx.exit(ExitCode.OUTPUT_CLOSED)
        where = f"{str(error.filename)[:200]}: " if error.filename else ""
        say(f"{where}{error.strerror or error}")
        ctx.exit(ExitCode.USAGE if error.errno == errno.ENAMETOOLONG else ExitCode.NOT_READY)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        ctx.exit(ExitCode.INTERRUPTED)
    except BaseException as error:  # of a plugin that ends the process, too
        about = f"this is a bug in clipbench or a plugin ({type(error).__name__}); please report it"
        say(f"{traceback.format_exc()}\n{about}")
        ctx.exit(ExitCode.BUG)


def say(message: str) -> None:
    """Print an error for a person, on standard error."""
    click.echo(_printable(f"clipbench: {message}"), err=True)


def _printable(message: str) -> str:
    from clipbench.api.text import printable  # not needed where nothing is wrong

    return printable(message, lines=True)


# --- where output goes ----------------------------------------------------------------------------------------------


def make_output_sure() -> None:
    """Let no terminal, pipe or variable keep a command from ending as it should: what it found out would be lost.

    A closed output becomes the null device; what an encoding lacks, an escape; a width of a few columns, the usual one.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 -- until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    width = os.environ.get("COLUMNS", "")
    if width and not (width.isdecimal() and int(width) >= NARROWEST):
        del os.environ["COLUMNS"]


def _end_output() -> None:
    """Send nowhere what the interpreter will still write when it ends: the reader of the output has gone."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="clipbench")
def main() -> None:
    """Does this device train CLIP correctly, and how fast?

    \b
    Exit codes: 0 pass, 1 a gate failed, 2 usage or configuration,
    3 not comparable or a refused file, 4 a case failed or is missing,
    5 the machine is not ready, 70 a bug, 130 interrupted,
    141 the reader of the output has closed it, 143 terminated.

    \b
    Example: clipbench run quickstart
    """
