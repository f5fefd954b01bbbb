"""What Python programs call: ``clipbench.run``, ``clipbench.predict`` and ``clipbench.retrieve``."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clipbench.api import UsageError, events, to_plain
from clipbench.api.registry import Registry, load_registry
from clipbench.prediction import predicting, retrieving
from clipbench.prediction.choosing import Wanted
from clipbench.prediction.predicting import Predictions
from clipbench.prediction.retrieving import Answers, Queries, Searched
from clipbench.report.running.progress import make_progress
from clipbench.results.loaded import Paths, Results, as_paths
from clipbench.runs.launch import outer_launch
from clipbench.runs.observers import add_observers
from clipbench.runs.runner import run_suite
from clipbench.suites.loading import find_suite, load_suite

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | Path | Image

Changes = Mapping[str, Any]


class _Silent:
    """An observer that shows nothing: what a run warns of is in its result."""

    def handle(self, event: events.Event) -> None:
        pass

    def close(self) -> None:
        pass


def run(
    suite: str | Path,
    changes: Changes | None = None,
    *,
    cases: Sequence[str] = (),
    out: str | Path = "results",
    restart: bool = False,
    observe: Sequence[str] = (),
    progress: Literal["auto", "plain", "none"] | None = None,
) -> Results:
    """Train and evaluate a suite as ``clipbench run`` does; return its results, which are also written to ``out``.

    ``suite`` is a file, or the name of a suite that ships; ``changes`` are its keys with other values, such as
    ``{"device": "cpu", "train.epochs": 1}``. An unfinished run is resumed, unless ``restart``. ``progress`` shows on
    standard output how it goes. A case that failed is a result too: its ``status`` says so, and its ``error`` why.
    Raises NotReadyError for all that is missing, before anything starts; StoppedError after Ctrl-C.
    """
    if launch := outer_launch():
        raise UsageError(
            f"clipbench.run: {launch.by} has started several ranks; start `-m clipbench run` with it instead"
        )
    chosen = load_suite(find_suite(str(suite)), _as_texts(changes)).select(cases)
    display = _Silent() if progress is None else make_progress(progress)
    outcomes = run_suite(add_observers(chosen, observe), _registry(), Path(out), display, restart)
    return Results(tuple(outcome.result for outcome in outcomes))


def predict(
    pictures: "Picture | Sequence[Picture]",
    texts: Sequence[str],
    *,
    suite: str | Path | None = None,
    run: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    changes: Changes | None = None,
    cases: Sequence[str] = (),
    results: str | Path = "results",
    top: int | None = None,
) -> Predictions:
    """Return the probabilities of ``texts`` for each picture, as ``clipbench predict`` does.

    ``pictures`` are files, folders or images of Pillow. The model is a ``suite``'s, what a ``run`` has learnt (its id
    under ``results``, its result, its folder or a checkpoint), or ``model`` with ``weights``: by default OpenAI's
    ViT-B/16. ``changes`` are keys of the suite with other values, such as ``{"device": "cpu"}``. A picture that cannot
    be read is named in ``problems``, and the rest is done.
    """
    wanted = _wanted(suite, run, model, weights, changes, cases, results)
    return predicting.predict(wanted, _registry(), _several(pictures), texts, top=top)


def retrieve(
    texts: Sequence[str] = (),
    pictures: "Picture | Sequence[Picture]" = (),
    indices: Sequence[int] = (),
    *,
    split: Literal["train", "val"] = "val",
    among_pictures: "Picture | Sequence[Picture]" = (),
    among_captions: Paths = (),
    suite: str | Path | None = None,
    run: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    changes: Changes | None = None,
    cases: Sequence[str] = (),
    results: str | Path = "results",
    top: int = 5,
) -> Answers:
    """Return the best pictures for each text and the best captions for each picture, as ``clipbench retrieve`` does.

    Searched is a ``split`` of the suite's or run's dataset, of which ``indices`` name pictures; or the pictures and the
    files of captions that ``among_pictures`` and ``among_captions`` name. The rest is that of ``predict``.
    """
    wanted = _wanted(suite, run, model, weights, changes, cases, results)
    queries = Queries(texts, (), _several(pictures), indices)
    searched = Searched(split, _several(among_pictures), as_paths(among_captions))
    return retrieving.retrieve(wanted, _registry(), queries, searched, top)


def _wanted(
    suite: str | Path | None,
    run: str | Path | None,
    model: str | None,
    weights: str | Path | None,
    changes: Changes | None,
    cases: Sequence[str],
    results: str | Path,
) -> Wanted:
    suite, run, weights = (None if place is None else str(place) for place in (suite, run, weights))
    return Wanted(suite, run, model, weights, changes=_as_texts(changes), cases=cases, results=Path(results))


def _as_texts(changes: Changes | None) -> list[str]:
    """Return keys and values as the command line has them: JSON is YAML."""
    return [f"{key}={json.dumps(to_plain(value))}" for key, value in (changes or {}).items()]


def _several(pictures: "Picture | Sequence[Picture]") -> "Sequence[Picture]":
    return pictures if isinstance(pictures, Sequence) and not isinstance(pictures, str) else (pictures,)


def _registry() -> Registry:
    """Return every plugin, and warn of each that is broken."""
    registry = load_registry()
    for plugin in registry.broken:
        warnings.warn(f"{plugin} could not be loaded and is left out: {plugin.problem}", stacklevel=3)
    return registry
