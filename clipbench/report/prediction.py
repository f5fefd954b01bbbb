"""What a model predicts and retrieves, as tables; and what it is doing meanwhile, on standard error."""

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipbench.api import events
from clipbench.api.text import printable
from clipbench.prediction.encoder import ModelUsed
from clipbench.prediction.predicting import Predictions
from clipbench.prediction.retrieving import Answer, Answers, Hit
from clipbench.report.running.doing import doing

# What takes less than that is not worth a line.
QUIET_SECONDS = 5.0
STAGES = {"images": "encoding pictures", "texts": "encoding texts"}


class Working:
    """Says on standard error what is being done: where it takes long, a line every five seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, event: events.Event) -> None:
        now = time.monotonic()
        match event:
            case events.Notice(text):
                print(printable(text, lines=True), file=sys.stderr, flush=True)
            case events.Progress(stage, _subject, done, total) if now - self._last >= QUIET_SECONDS:
                self._last = now
                words = f"{STAGES[stage]}, {done:,} of {total:,}" if stage in STAGES else doing(event)
                print(printable(words), file=sys.stderr, flush=True)


def print_predictions(found: Predictions) -> None:
    """Print a block for each picture, a row for each text, and what computed them."""
    for prediction in found:
        table = _table("probability", "cosine", prediction.picture)
        for score in prediction.texts:
            table.add_row(f"{score.probability:.2%}", f"{score.cosine:.4f}", Text(score.text))
        _print(table, Text())
    _print(_what_computed(found.model))


def print_answers(found: Answers) -> None:
    """Print a block for each query: what it found, the best first, a picture's own captions marked."""
    for answer in found.answers:
        what = "captions" if answer.kind == "picture" else "pictures"
        table = _table("cosine", f"{what} for {answer.query}")
        for hit in answer.hits:
            table.add_row(f"{hit.cosine:.4f}", _hit(answer, hit))
        _print(table, Text())
    searched = f"searched {found.pictures:,} pictures and {found.captions:,} captions"
    _print(Text(searched, "dim"), _what_computed(found.model))


def _hit(answer: Answer, hit: Hit) -> Text:
    if answer.kind == "text":
        return Text(hit.found).append(f"  {hit.captions[0]}" if hit.captions else "", "dim")
    return Text(hit.found, "bold" if hit.is_own else "").append("  (its own)" if hit.is_own else "")


def _table(*columns: str) -> Table:
    """Return a table of figures, and of texts in the last column."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    *figures, texts = columns
    for name in figures:
        table.add_column(name, justify="right", header_style="dim")
    table.add_column(Text(texts), overflow="fold", header_style="bold")
    return table


def _what_computed(model: ModelUsed) -> Text:
    words = f"{model.name} with {model.weights} on {model.device} ({model.device_name}), {model.precision}"
    return Text(words, "dim", overflow="fold")


def _print(*shown: Table | Text) -> None:
    console = Console(highlight=False)
    for one in shown:
        console.print(one, crop=False)


def left_out(found: Predictions | Answers) -> Sequence[str]:
    """Return a sentence for each thing that was left out or cut, problems first."""
    counts = (
        ("cut", "longer than the model's context and was cut", "longer than the model's context and were cut"),
        ("blank", "blank and was left out", "blank and were left out"),
        ("repeated", "given again and was left out", "given again and were left out"),
    )
    lines = [f"left out: {problem}" for problem in found.problems]
    for field, one, several in counts:
        if count := getattr(found, field):
            lines.append(f"{count:,} {'text is' if count == 1 else 'texts are'} {one if count == 1 else several}")
    if others := getattr(found, "others", 0):
        lines.append(f"{others:,} {'file is' if others == 1 else 'files are'} not called like a picture: left out")
    return lines
