"""The promises of an Evaluation: texts and metrics that depend on nothing but what it is given."""

from __future__ import annotations

import numpy as np

from clipbench.api import Classes, EvaluatedSplit, Measurement, UsageError
from clipbench.api.door import check_returned
from clipbench.api.protocols import Evaluation
from clipbench.conform.checks import Checks, expect
from clipbench.conform.spec_checks import LIGHT_IMPORT, NAME, SPEC, check_json
from clipbench.conform.subject import Subject
from clipbench.errors import PluginError
from clipbench.results.measures.names import UNITS_AND_DIRECTIONS
from clipbench.training.evaluating.evaluation import metrics_of

EVALUATION = Checks(SPEC, LIGHT_IMPORT)
IMAGES, WIDTH = 24, 16
COLOURS = ("red", "green", "blue", "white", "black", "grey")
LABELS = [index % len(COLOURS) for index in range(IMAGES)]
CLASSES = Classes(COLOURS, ("{}", "a {} picture"), LABELS)
CAPTIONS = [f"{text} {COLOURS[label]} square" for label in LABELS for text in ("a", "one small")]
SPLIT = EvaluatedSplit("pictures made up", IMAGES, CAPTIONS, np.repeat(np.arange(IMAGES), 2), CLASSES)


@EVALUATION.add("metrics", "A spec names its metrics, each with unit and direction; none is clipbench's own.")
def _metrics(subject: Subject) -> str:
    metrics = subject.spec.metrics
    expect(metrics, "the spec names no metric")
    for name, (unit, direction) in metrics.items():
        expect(NAME.fullmatch(name.replace("@", "")), f"the metric's name {name!r} has other characters than a spec's")
        expect(unit.strip(), f"{name}: the unit is {unit!r}; expected one, such as percent")
        expect(direction in ("higher", "lower"), f"{name}: the direction is {direction!r}; expected higher or lower")
    if subject.plugin.distribution != "clipbench":
        own = sorted(metrics.keys() & UNITS_AND_DIRECTIONS.keys())
        expect(not own, f"{', '.join(own)}: clipbench itself has a metric of that name")
    return ", ".join(metrics)


@EVALUATION.add("texts", "`texts` gives one text or more, none of them empty, and the same ones every time.")
def _texts(subject: Subject) -> str:
    texts = subject.evaluation.texts(SPLIT)
    good = isinstance(texts, list | tuple) and texts and all(isinstance(text, str) and text.strip() for text in texts)
    expect(good, f"texts() is {str(texts)[:80]}; expected a list of texts")
    expect(list(subject.new_evaluation().texts(SPLIT)) == list(texts), "a second object gives other texts")
    return f"{len(texts)} texts"


@EVALUATION.add("lacking", "`texts` raises UsageError, which names the dataset, where that lacks captions or classes.")
def _lacking(subject: Subject) -> None:
    bare = EvaluatedSplit(SPLIT.dataset, IMAGES, [], np.empty(0, np.int64), None)
    try:
        texts = subject.evaluation.texts(bare)
    except UsageError as error:
        expect(SPLIT.dataset in str(error), f"the error does not name the dataset: {error}")
        return
    expect(texts, "texts() returned none for a dataset without captions and classes")


@EVALUATION.add("measure", "`measure` returns a Measurement with the metrics of the spec, and whole numbers per query.")
def _measure(subject: Subject) -> str:
    found = _measured(subject.evaluation)
    try:
        check_returned("what measure() returned", found, Measurement)
        metrics = metrics_of(subject.spec, found)
    except PluginError as error:
        expect(False, str(error))
    for name, numbers in found.per_query.items():
        whole = isinstance(numbers, list | tuple) and all(type(number) is int for number in numbers)
        expect(whole, f"per_query: {name} is {str(numbers)[:80]}; expected a list of whole numbers")
    check_json("per_query", found.per_query)
    missing = [name for name, metric in metrics.items() if metric.value is None and not found.reasons.get(name)]
    expect(not missing, f"{', '.join(missing)}: no finite number, and reasons does not say why")
    return ", ".join(f"{name} {metric.value}" for name, metric in metrics.items())


@EVALUATION.add("pure", "`measure` depends on its arguments alone, and changes none of them.")
def _pure(subject: Subject) -> None:
    images, texts = _features(subject.evaluation)
    before = images.copy(), texts.copy()
    first = subject.evaluation.measure(SPLIT, images, texts)
    expect(all(map(np.array_equal, before, (images, texts))), "measure() has written into the features")
    for which, evaluation in (("a second call", subject.evaluation), ("a second object", subject.new_evaluation())):
        expect(_measured(evaluation) == first, f"{which} measures otherwise")


@EVALUATION.add("length", "Features of any length measure alike: they come as the model gives them, not normalised.")
def _length(subject: Subject) -> None:
    images, texts = _features(subject.evaluation)
    scale = np.exp2(np.arange(len(images)) % 4).astype(np.float32)[:, None]  # exact in binary
    found, scaled = (subject.evaluation.measure(SPLIT, pixels, texts) for pixels in (images, images * scale))
    for name, value in found.metrics.items():
        other = scaled.metrics[name]
        same = value == other or (value is not None and other is not None and bool(np.isclose(value, other)))
        expect(same, f"{name} is {value}, and {other} where the features of pictures are longer")


def _features(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Return features at random, the same every time: float32 (images, d) and (texts, d)."""
    draws = np.random.default_rng(0)
    sizes = (IMAGES, len(evaluation.texts(SPLIT)))
    images, texts = (draws.standard_normal((size, WIDTH)).astype(np.float32) for size in sizes)
    return images, texts


def _measured(evaluation: Evaluation) -> Measurement:
    return evaluation.measure(SPLIT, *_features(evaluation))
