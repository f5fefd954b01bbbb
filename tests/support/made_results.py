"""Results made up for tests of comparing: query ranks on a few hundred images, windows with noise."""

import math
from collections.abc import Mapping
from dataclasses import is_dataclass, replace

import numpy as np

from clipbench.api.data import Fingerprint
from clipbench.api.result import (
    CaseError,
    DatasetUsed,
    EpochRecord,
    EpochSeconds,
    Metric,
    PerQuery,
    QueryRanks,
    Result,
    SourceVersion,
    WeightsUsed,
    Window,
)
from clipbench.compare.statistics.bootstrap import hits_of
from clipbench.files import schemas
from clipbench.results.consistency import disagreements
from clipbench.results.measures.accuracy import accuracy_metrics
from clipbench.results.measures.metrics import summarise
from clipbench.results.measures.recall import recall_metrics
from clipbench.results.measures.timing import measure
from clipbench.results.result import result_data
from clipbench.suites.loading import find_suite, load_suite

IMAGES, CAPTIONS = 300, 5
STEPS, BATCH = 400, 50  # of an epoch, of the quickstart
OWNER = np.repeat(np.arange(IMAGES), CAPTIONS).tolist()
ENVIRONMENT = {
    "os": "Linux",
    "python": "3.11.0",
    "cpu": {"name": "a processor", "cores": 2},
    "device": {"kind": "card", "name": "Card 1", "count": 1, "precision": "float32", "driver": "1.0"},
    "packages": {"torch": "2.4.0"},
    "plugins": {},
    "variables": {},
}


def made_result(
    run_id="made-1",
    seed=0,
    lost=0.0,
    slower=0.0,
    noise=0.02,
    windows=40,
    draw=0,
    losses=(0.5, 0.25),
    epochs=None,
    images=IMAGES,
    stalled=1.0,
):
    """A completed result of the quickstart that agrees with itself.

    ``lost`` is the share of queries that miss beyond those that always do, ``slower`` a share of throughput,
    ``noise`` that of a window, drawn from ``draw``; the first window of every epoch takes ``stalled`` times as long.
    There is an epoch for each of ``losses``; ``epochs`` is the number that the suite asks for, if not as many. Steps
    that have no window are of the warm-up.
    """
    random = np.random.default_rng(draw)
    owner = OWNER if images == IMAGES else np.repeat(np.arange(images), CAPTIONS).tolist()
    ranks = QueryRanks(len(losses), missed(images, lost), missed(images * CAPTIONS, lost), owner)
    seconds = 1.0 / (1 - slower) * (1 + noise * random.standard_normal(windows))
    parts = np.array_split(seconds, len(losses))
    for part in parts:
        part[:1] *= stalled
    records = tuple(
        record(epoch, loss, hits_of(ranks).recalls(), [Window(10, float(s), 0.0) for s in part])
        for epoch, (loss, part) in enumerate(zip(losses, parts, strict=True), 1)
    )
    changes = [f"seed={seed}", f"train.epochs={epochs or len(losses)}", f"timing.warmup_steps={STEPS * len(losses)}"]
    changes += ["eval.evaluations=[retrieval]"]
    case = load_suite(find_suite("quickstart"), changes).cases[0]
    result = Result(
        run_id=run_id,
        suite=case.suite,
        case=case.name,
        reference=case.reference,
        status="completed",
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:05:00Z",
        clipbench=SourceVersion("0.1.0", None, None),
        config=case.to_dict(),
        config_sha256=case.sha256(),
        environment=ENVIRONMENT,
        dataset=DatasetUsed("shapes", replace(split("en_train"), images=STEPS * BATCH), split("en_val", images)),
        weights=WeightsUsed("random", None),
        model={},
        seed=seed,
        text_truncated=0,
        epochs=records,
        metrics=summarise(records, case.train.batch_size),
        query_ranks=ranks,
        error=None,
    )
    assert not list(schemas.problems("result", result_data(result)))
    problems = [] if epochs else list(map(str, disagreements(result)))
    assert not problems, problems
    return result


def agreeing(result):
    """A copy with every figure that follows from ranks and windows as it follows from them."""
    records = [
        replace(r, throughput=t.throughput, data_wait=t.data_wait, step_seconds=t.step_seconds)
        for r, t in ((record, measure(record.windows, BATCH)) for record in result.epochs)
    ]
    ranks = result.query_ranks
    records[-1] = replace(records[-1], recall=recall_metrics(ranks.text, ranks.image))
    return replace(result, epochs=tuple(records), metrics=summarise(records, BATCH))


def classified(result, lost=0.0, classes=10):
    """A copy that has classified its pictures too: one in five is missed, and ``lost`` of all altogether."""
    kept = PerQuery(
        result.metrics.last.epoch,
        {"classification": {"rank": missed(IMAGES, lost), "label": [index % classes for index in range(IMAGES)]}},
    )
    figures = accuracy_metrics(*kept.values["classification"].values())
    metrics = {name: Metric(value, "percent", "higher") for name, value in figures.items()}
    epochs = (*result.epochs[:-1], replace(result.epochs[-1], metrics=metrics))
    return replace(result, epochs=epochs, metrics=summarise(epochs, BATCH), per_query=kept)


def split(name, images=IMAGES):
    return Fingerprint(name, images, images * CAPTIONS, "0" * 64)


def failed(result):
    """The same result, of a case that failed in the end."""
    return replace(result, status="failed", error=CaseError("Error", "it broke\nbadly", 4))


def changed(item, path, value):
    """A copy with another value at a dotted path through dataclasses, mappings and tuples; None for a whole section."""
    part, _, rest = path.partition(".")
    if isinstance(item, tuple) and not hasattr(item, "_fields"):
        return tuple(changed(inner, rest, value) if index == int(part) else inner for index, inner in enumerate(item))
    if isinstance(item, Mapping):
        return {**item, part: changed(item.get(part, {}), rest, value) if rest else value}
    inner = changed(getattr(item, part), rest, value) if rest else value
    return replace(item, **{part: inner}) if is_dataclass(item) else item._replace(**{part: inner})


def with_metric(result, name, **fields):
    """A copy whose last evaluation has ``fields`` of one metric otherwise."""
    last = result.metrics.last
    metric = replace(last.values.get(name, Metric(None, "", "higher")), **fields)
    return replace(result, metrics=replace(result.metrics, last=replace(last, values={**last.values, name: metric})))


def without_metric(result, name):
    """A copy whose last evaluation lacks one metric."""
    last = result.metrics.last
    values = {key: value for key, value in last.values.items() if key != name}
    return replace(result, metrics=replace(result.metrics, last=replace(last, values=values)))


def missed(count, lost):
    """Ranks with one miss at 1 in five queries, and ``lost`` of all missing altogether, evenly spread."""
    ranks = np.where(np.arange(count) % 5 == 0, 3, 0)
    ranks[np.arange(count) * 7919 % count < round(lost * count)] = 20
    return ranks.tolist()


def record(epoch, loss, recall, windows):
    timing = measure(windows, BATCH)
    return EpochRecord(
        epoch=epoch,
        steps=STEPS,
        train_loss=loss,
        val_loss=loss,
        learning_rate=1e-3,
        recall=recall,
        throughput=timing.throughput,
        data_wait=timing.data_wait,
        step_seconds=timing.step_seconds,
        windows=tuple(windows),
        peak_memory_bytes=None,
        host_memory_bytes=None,
        seconds=EpochSeconds(max(40.0, math.ceil(timing.seconds or 0.0)), 2.0),
        reasons={} if windows else {"throughput": "all steps were warm-up"},
    )
