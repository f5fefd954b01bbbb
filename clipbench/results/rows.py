"""Results as rows of a table: one for each case, epoch or query. Rows come one by one, whatever results come from."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from clipbench.api import EpochRecord, Result, leaves, to_plain, value_at
from clipbench.results.collecting.entries import Entry

Row = dict[str, str | int | float | bool | None]
RowKind = Literal["case", "epoch", "query"]
ROW_KINDS: tuple[RowKind, ...] = get_args(RowKind)

# Fields of an epoch that are no columns: lists, why a value is missing, and metrics, which have names of their own.
_NOT_COLUMNS = ("windows", "per_rank", "reasons", "recall", "metrics")


def rows_of(results: Iterable[Result], kind: RowKind) -> Iterator[Row]:
    """Yield the rows of each result in turn: its case, its epochs, or the queries of its last evaluation.

    A column without a value is None. Every row names its run; ``docs/using.md`` lists the columns.
    """
    make = _ROWS[kind]
    for result in results:
        yield from make(result)


def case_rows(entries: Iterable[Entry]) -> Iterator[Row]:
    """Yield the row of the case of each entry: what ``rows_of`` yields for the whole result."""
    shared: dict[str, tuple[Row, Row]] = {}  # by setup
    for entry in entries:
        if entry.setup not in shared:
            shared[entry.setup] = _shared(entry.result)
        yield _case_row(entry.result, entry.epochs, entry.steps, shared[entry.setup])


def _run(result: Result) -> Row:
    """Return the columns that rows of every kind begin with."""
    return {
        "run_id": result.run_id,
        "suite": result.suite,
        "case": result.case,
        "seed": result.seed,
        "engine": result.engine,
        "device": _single(value_at(result, "environment.device.kind")),
        "device_name": _single(result.device_name),
        "precision": result.precision,
        "world_size": result.world_size,
    }


def _case(result: Result) -> Iterator[Row]:
    steps = sum(record.steps for record in result.epochs)
    yield _case_row(result, len(result.epochs), steps, _shared(result))


def _case_row(result: Result, epochs: int, steps: int, shared: tuple[Row, Row]) -> Row:
    """Return the run, how it ended, what it used, the metrics of its last evaluation, its configuration."""
    last, error, (head, config) = result.metrics.last, result.error, shared
    return {
        **head,
        "run_id": result.run_id,
        "status": result.status,
        "started": result.started,
        "ended": result.ended,
        "invocation": result.invocation,
        "error_type": error.type if error else None,
        "error_message": error.message if error else None,
        "epochs": epochs,
        "steps": steps,
        "evaluated_epoch": last.epoch if last else None,
        **{name: metric.value for name, metric in (last.values.items() if last else ())},
        **config,
    }


def _shared(result: Result) -> tuple[Row, Row]:
    """Return what runs of one setup have in common: the columns before the metrics, in order, and those after them."""
    own = dict.fromkeys(("status", "started", "ended", "invocation"))
    head: Row = {
        **_run(result),
        **own,
        "reference": result.reference,
        **dict.fromkeys(("error_type", "error_message")),
        "clipbench_version": result.clipbench.version,
        "commit": result.clipbench.commit,
        "dirty": result.clipbench.dirty,
        "weights": value_at(result, "weights.source"),
        "weights_sha256": value_at(result, "weights.sha256"),
        "dataset": value_at(result, "dataset.name"),
        "train_sha256": value_at(result, "dataset.train.annotation_sha256"),
        "val_sha256": value_at(result, "dataset.val.annotation_sha256"),
        "text_truncated": result.text_truncated,
        **dict.fromkeys(("epochs", "steps", "evaluated_epoch")),
    }
    return head, {f"config.{path}": _single(value) for path, value in leaves(result.config)}


def _epochs(result: Result) -> Iterator[Row]:
    """Yield a row for each epoch: every single figure of its record, nested ones by their dotted path."""
    run = _run(result)
    for record in result.epochs:
        metrics = {name: metric.value for name, metric in record.metrics.items()}
        yield {**run, **_figures(record), **(record.recall or {}), **metrics}


def _figures(record: EpochRecord) -> Row:
    # Sections without a value have no column of their own name.
    skipped = {*_NOT_COLUMNS, *(name for name in ("step_seconds", "telemetry") if getattr(record, name) is None)}
    plain = {name: to_plain(value) for name, value in vars(record).items() if name not in skipped}
    figures = ((path, value) for path, value in leaves(plain) if ".reasons" not in path)
    return {path: value for path, value in figures if not isinstance(value, (list, Mapping))}


def _queries(result: Result) -> Iterator[Row]:
    """Yield a row for each query of the last evaluation: by what it was evaluated, its number, what was kept of it.

    Of retrieval: the side, the image that the query belongs to, and the rank, from 0, of the right answer.
    """
    ranks, others, run = result.query_ranks, result.per_query, _run(result)
    if ranks is not None:
        common = {**run, "epoch": ranks.epoch, "evaluation": "retrieval"}
        for query, rank in enumerate(ranks.text):
            yield {**common, "query": query, "side": "text", "image": query, "rank": rank}
        for query, (rank, image) in enumerate(itertools.zip_longest(ranks.image, ranks.image_of_text)):
            yield {**common, "query": query, "side": "image", "image": image, "rank": rank}
    if others is None:
        return
    for evaluation, columns in others.values.items():
        for query, values in enumerate(itertools.zip_longest(*columns.values())):
            kept = dict(zip(columns, values, strict=True))
            yield {**run, "epoch": others.epoch, "evaluation": evaluation, "query": query, **kept}


def _single(value: Any) -> Any:  # noqa: ANN401
    """Return a value of a configuration as one cell has it: a list or an empty section as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, Mapping)) else value


_ROWS: Mapping[RowKind, Callable[[Result], Iterator[Row]]] = {"case": _case, "epoch": _epochs, "query": _queries}
