"""Results made up for tests of comparing: query ranks on a few hundred images, windows with noise."""

from collections.abc import Mapping
from dataclasses import is_dataclass, replace

import numpy as np

from clipbench.api.data import Fingerprint
from clipbench.api.result import (
    CaseError,
    DatasetUsed,
    EpochMetrics,
    EpochRecord,
    EpochSeconds,
    Metric,
    Metrics,
    QueryRanks,
    Result,
    SourceVersion,
    WeightsUsed,
    Window,
)
from clipbench.compare.bootstrap import hits_of
from clipbench.files import schemas
from clipbench.results.metrics import metrics_of
from clipbench.results.result import result_data
from clipbench.suites.loading import find_suite, load_suite

IMAGES, CAPTIONS = 300, 5
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
    run_id="made-1", seed=0, lost=0.0, slower=0.0, noise=0.02, windows=40, draw=0, losses=(0.5, 0.25), images=IMAGES
):
    """A valid, completed result of the quickstart.

    ``lost`` is the share of queries that miss beyond those that always do, ``slower`` a share of throughput,
    ``noise`` that of a window, drawn from ``draw``.
    """
    random = np.random.default_rng(draw)
    owner = OWNER if images == IMAGES else np.repeat(np.arange(images), CAPTIONS).tolist()
    ranks = QueryRanks(len(losses), missed(images, lost), missed(images * CAPTIONS, lost), owner)
    seconds = 1.0 / (1 - slower) * (1 + noise * random.standard_normal(windows))
    records = tuple(
        record(epoch, loss, hits_of(ranks).recalls(), [Window(10, float(s), 0.0) for s in part])
        for epoch, (loss, part) in enumerate(zip(losses, np.array_split(seconds, len(losses)), strict=True), 1)
    )
    case = load_suite(find_suite("quickstart"), [f"seed={seed}"]).cases[0]
    last = EpochMetrics(len(losses), metrics_of(records[-1]))
    result = Result(
        run_id=run_id,
        suite=case.suite,
        case=case.name,
        reference=case.reference,
        status="completed",
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:01:00Z",
        clipbench=SourceVersion("0.1.0", None, None),
        config=case.to_dict(),
        config_sha256=case.sha256(),
        environment=ENVIRONMENT,
        dataset=DatasetUsed("shapes", split("en_train", images), split("en_val", images)),
        weights=WeightsUsed("random", None),
        model={},
        seed=seed,
        text_truncated=0,
        epochs=records,
        metrics=Metrics(last, last),
        query_ranks=ranks,
        error=None,
    )
    assert not list(schemas.problems("result", result_data(result)))
    return result


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
    taken = sum(window.seconds for window in windows)
    return EpochRecord(
        epoch=epoch,
        steps=10 * len(windows),
        train_loss=loss,
        val_loss=loss,
        learning_rate=1e-3,
        recall=recall,
        samples_per_second=500 * len(windows) / taken if windows else None,
        data_wait=0.0,
        step_seconds=None,
        windows=tuple(windows),
        peak_memory_bytes=None,
        host_memory_bytes=None,
        seconds=EpochSeconds(10.0, 2.0),
        reasons={} if windows else {"samples_per_second": "all steps were warm-up"},
    )
