"""``clipbench retrieve``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.models import TEXT, TEXT_FILES, end, model_options, wanted_of
from clipbench.commands.options import FORMAT, as_json, open_registry, repeatable

PLACE = click.Path(path_type=Path)


@click.command()
@TEXT
@TEXT_FILES
@repeatable("--image", "images", type=PLACE, metavar="PLACE", help="A picture, or a folder of them. Repeatable.")
@repeatable("--index", "indices", type=int, metavar="N", help="Picture N of the split, from 0. Repeatable.")
@click.option("--split", type=click.Choice(["val", "train"]), default="val", help="Split of the dataset to search.")
@repeatable("--pictures", type=PLACE, metavar="PLACE", help="Search these pictures, not the dataset. Repeatable.")
@repeatable("--captions", type=PLACE, metavar="FILE", help="Search these lines, not the dataset. Repeatable.")
@click.option("--top", type=click.IntRange(min=1), default=5, metavar="N", help="How many to show.")
@model_options
@FORMAT
def retrieve(
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    images: tuple[Path, ...],
    indices: tuple[int, ...],
    top: int,
    form: str,
    **rest: Any,  # noqa: ANN401
) -> int:
    """Find pictures for a text, and captions for a picture.

    Searched is a split of the dataset of the suite or run, or what --pictures and --captions name. The captions that
    belong to a picture of the split are marked.

    \b
    Examples:
      clipbench retrieve --text "two dogs play" --model clip-vit-b32
      clipbench retrieve --run RUN_ID --index 0
      clipbench retrieve --pictures photos --text "a red car"
    """
    from clipbench.api.text import printable_data
    from clipbench.prediction.retrieving import Queries, Searched, retrieve
    from clipbench.report.prediction import Working, print_answers

    searched = Searched(*(rest.pop(name) for name in ("split", "pictures", "captions")))
    queries = Queries(texts, files, images, indices)
    found = retrieve(wanted_of(**rest), open_registry(), queries, searched, top, Working())
    if form == "json":
        click.echo(as_json(found))
    else:
        print_answers(printable_data(found))
    return end(found)
