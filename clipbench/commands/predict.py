"""``clipbench predict``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.models import TEXT, TEXT_FILES, end, model_options, wanted_of
from clipbench.commands.options import FORMAT, as_json, open_registry


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@TEXT
@TEXT_FILES
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N most probable texts.  [default: all]")
@model_options
@FORMAT
def predict(
    pictures: tuple[Path, ...],
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    top: int | None,
    form: str,
    **model: Any,  # noqa: ANN401
) -> int:
    """Say how probable texts are for pictures.

    PICTURES are files, or folders that are searched for them. The probabilities of a picture are the softmax, over the
    texts, of the model's scale times the cosine: they add up to 1.

    Without --suite and --run, the model is OpenAI's ViT-B/16 with its published weights, or the one that --model names.

    \b
    Examples:
      clipbench predict photo.jpg --text "a dog" --text "a cat" --text "a car"
      clipbench predict photos --texts names.txt --top 5 --run results/RUN_ID.json
    """
    from clipbench.api.text import printable_data
    from clipbench.prediction.predicting import predict
    from clipbench.report.prediction import Working, print_predictions

    found = predict(wanted_of(**model), open_registry(), pictures, texts, files, top, Working())
    if form == "json":
        click.echo(as_json(found))
    else:
        print_predictions(printable_data(found))
    return end(found)
