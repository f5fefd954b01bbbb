"""What the commands share that ask a trained model: options that choose it, texts, and how they end."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipbench.commands.options import CASES, DEVICE, ENGINE, SET, repeatable, suite_names
from clipbench.errors import ExitCode

if TYPE_CHECKING:
    from clipbench.prediction.choosing import Wanted
    from clipbench.prediction.predicting import Predictions
    from clipbench.prediction.retrieving import Answers

FILE = click.Path(path_type=Path)
TEXT = repeatable("--text", "texts", metavar="TEXT", help="A text. Repeatable.")
TEXT_FILES = repeatable("--texts", "files", type=FILE, metavar="FILE", help="A file of texts, one a line. Repeatable.")
MODEL_OPTIONS = (
    click.option(
        "--suite", metavar="SUITE", shell_complete=suite_names, help="Model, weights and dataset of this suite."
    ),
    click.option("--run", metavar="RUN", help="What a run has learnt: its id, its result, its folder or a checkpoint."),
    click.option("--results", type=click.Path(path_type=Path), default=Path("results"), help="Where --run finds ids."),
    click.option("--model", metavar="NAME", help="Model (see clipbench list models)."),
    click.option("--weights", metavar="PLACE", help="Its weights: a file, a folder, or ORG/NAME in the hub's cache."),
    ENGINE,
    DEVICE,
    SET,
    CASES,
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a trained model, which ``wanted_of`` takes."""
    for option in reversed(MODEL_OPTIONS):
        command = option(command)
    return command


def wanted_of(overrides: tuple[str, ...], **chosen: Any) -> "Wanted":  # noqa: ANN401
    """Return what the options say of the model."""
    from clipbench.prediction.choosing import Wanted

    return Wanted(changes=overrides, **chosen)


def end(found: "Predictions | Answers") -> int:
    """Say what was left out; return the exit code: 3 where something could not be read, though the rest was done."""
    from clipbench.api.text import printable
    from clipbench.report.prediction import left_out

    for line in left_out(found):
        click.echo(printable(line), err=True)
    return ExitCode.NOT_COMPARABLE if found.problems else ExitCode.PASS
