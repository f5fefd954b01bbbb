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
from clipbench.report.doing import doing

# What takes less is not worth a line.
QUIET_SECONDS = 2.0
STAGES = {"images": "encoding pictures", "texts": "encoding texts"}


class Working:
    """Says on standard error what is being done: where that takes more than two seconds, a line every two."""

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
    """Print a row for each picture and text, and what computed them."""
    table = _table()
    for name, justify in (("picture", "left"), ("probability", "right"), ("cosine", "right"), ("text", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for prediction in found:
        for place, score in enumerate(prediction.texts):
            name = "" if place else prediction.picture
            share = Text(f"{score.probability:.2%}", "" if place else "bold")
            table.add_row(Text(name), share, f"{score.cosine:.4f}", Text(score.text))
    _print(table, found.model)


def print_answers(found: Answers) -> None:
    """Print a block for each query: what it found, the best first, a picture's own captions marked."""
    for answer in found.answers:
        table = _table()
        table.add_column("cosine", justify="right")
        table.add_column(
            f"{'captions' if answer.kind == 'picture' else 'pictures'} for {answer.query}", overflow="fold"
        )
        for hit in answer.hits:
            table.add_row(f"{hit.cosine:.4f}", _hit(answer, hit))
        Console(highlight=False).print(table, crop=False)
        print()
    _print(Text(f"searched {found.pictures:,} pictures and {found.captions:,} captions", "dim"), found.model)


def _hit(answer: Answer, hit: Hit) -> Text:
    if answer.kind == "text":
        return Text(hit.found).append(f"  {hit.captions[0]}" if hit.captions else "", "dim")
    return Text(hit.found, "bold" if hit.is_own else "").append("  (its own)" if hit.is_own else "")


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _print(shown: Table | Text, model: ModelUsed) -> None:
    where = f"{model.name} with {model.weights} on {model.device} ({model.device_name}), {model.precision}"
    console = Console(highlight=False)
    console.print(shown, crop=False)
    console.print(Text(where, "dim", overflow="fold"))


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
