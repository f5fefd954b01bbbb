"""Results as rows of a table: one for each case, epoch or query. Rows come one by one, whatever results come from."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from clipbench.api import EpochRecord, Result, leaves, to_plain, value_at
from clipbench.files.rows_file import Cell, Part, Shared, Table
from clipbench.results.collecting.entries import Entry

Row = dict[str, Cell]
RowKind = Literal["case", "epoch", "query"]
ROW_KINDS: tuple[RowKind, ...] = get_args(RowKind)
Parts = tuple[Part, ...]

# Fields of an epoch that are no columns: lists, why a value is missing, and metrics, which have names of their own.
_NOT_COLUMNS = ("windows", "per_rank", "reasons", "recall", "metrics")


def rows_of(results: Iterable[Result], kind: RowKind) -> Iterator[Row]:
    """Yield the rows of each result in turn: its case, its epochs, or the queries of its last evaluation.

    A column without a value is None. Every row names its run; ``docs/using.md`` lists the columns.
    """
    return ({name: cell for part in parts for name, cell in part.items()} for parts in parts_of(results, kind))


def parts_of(results: Iterable[Result], kind: RowKind) -> Iterator[Parts]:
    """Yield the same rows, each as its parts, of which other rows share some."""
    make = _ROWS[kind]
    for result in results:
        yield from make(result)


class CaseRows(Table):
    """The row of the case of each entry, as ``parts_of`` has it of the whole result; they may be outlines."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[Parts]:
        return self._rows(self._entries)

    def distinct(self) -> Iterator[Parts]:
        """Return a row for each setup with each choice of metrics: no others have columns of their own."""
        return self._rows({(entry.setup, entry.result.metric_names): entry for entry in self._entries}.values())

    def _rows(self, entries: Iterable[Entry]) -> Iterator[Parts]:
        shared: dict[str, tuple[Shared, Shared]] = {}  # by setup
        for entry in entries:
            found = shared.get(entry.setup)
            if found is None:
                found = shared[entry.setup] = _run(entry.result), _setup(entry.result)
            yield _case_row(entry.result, entry.epochs, entry.steps, *found)


def _run(result: Result) -> Shared:
    """Return the columns that rows of every kind have first, after the id of the run."""
    return Shared(
        suite=result.suite,
        case=result.case,
        seed=result.seed,
        engine=result.engine,
        device=_single(value_at(result, "environment.device.kind")),
        device_name=_single(result.device_name),
        precision=result.precision,
        world_size=result.world_size,
    )


def _case(result: Result) -> Iterator[Parts]:
    steps = sum(record.steps for record in result.epochs)
    yield _case_row(result, len(result.epochs), steps, _run(result), _setup(result))


def _case_row(result: Result, epochs: int, steps: int, run: Shared, setup: Shared) -> Parts:
    """Return the run, how it ended with the metrics of its last evaluation, what it was made with."""
    error = result.error
    outcome: Row = {
        "status": result.status,
        "started": result.started,
        "ended": result.ended,
        "invocation": result.invocation,
        "error_type": error.type if error else None,
        "error_message": error.message if error else None,
        "epochs": epochs,
        "steps": steps,
        "evaluated_epoch": result.evaluated_epoch,
        **result.metric_values,
    }
    return {"run_id": result.run_id}, run, outcome, setup


def _setup(result: Result) -> Shared:
    """Return what else runs of one setup have in common: versions, weights, data, configuration."""
    return Shared(
        reference=result.reference,
        clipbench_version=result.clipbench.version,
        commit=result.clipbench.commit,
        dirty=result.clipbench.dirty,
        weights=value_at(result, "weights.source"),
        weights_sha256=value_at(result, "weights.sha256"),
        dataset=value_at(result, "dataset.name"),
        train_sha256=value_at(result, "dataset.train.annotation_sha256"),
        val_sha256=value_at(result, "dataset.val.annotation_sha256"),
        text_truncated=result.text_truncated,
        **{f"config.{path}": _single(value) for path, value in leaves(result.config)},
    )


def _epochs(result: Result) -> Iterator[Parts]:
    """Yield a row for each epoch: every single figure of its record, nested ones by their dotted path."""
    run = Shared(run_id=result.run_id, **_run(result))
    for record in result.epochs:
        metrics = {name: metric.value for name, metric in record.metrics.items()}
        yield run, {**_figures(record), **(record.recall or {}), **metrics}


def _figures(record: EpochRecord) -> Row:
    # Sections without a value have no column of their own name.
    skipped = {*_NOT_COLUMNS, *(name for name in ("step_seconds", "telemetry") if getattr(record, name) is None)}
    plain = {name: to_plain(value) for name, value in vars(record).items() if name not in skipped}
    figures = ((path, value) for path, value in leaves(plain) if ".reasons" not in path)
    return {path: value for path, value in figures if not isinstance(value, (list, Mapping))}


def _queries(result: Result) -> Iterator[Parts]:
    """Yield a row for each query of the last evaluation: by what it was evaluated, its number, what was kept of it.

    Of retrieval: the side, the image that the query belongs to, and the rank, from 0, of the right answer.
    """
    ranks, others = result.query_ranks, result.per_query
    run = Shared(run_id=result.run_id, **_run(result))
    if ranks is not None:
        common = Shared(epoch=ranks.epoch, evaluation="retrieval")
        for query, rank in enumerate(ranks.text):
            yield run, common, {"query": query, "side": "text", "image": query, "rank": rank}
        for query, (rank, image) in enumerate(itertools.zip_longest(ranks.image, ranks.image_of_text)):
            yield run, common, {"query": query, "side": "image", "image": image, "rank": rank}
    if others is None:
        return
    for evaluation, columns in others.values.items():
        common = Shared(epoch=others.epoch, evaluation=evaluation)
        for query, values in enumerate(itertools.zip_longest(*columns.values())):
            yield run, common, {"query": query, **dict(zip(columns, values, strict=True))}


def _single(value: Any) -> Any:  # noqa: ANN401
    """Return a value of a configuration as one cell has it: a list or an empty section as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, Mapping)) else value


_ROWS: Mapping[RowKind, Callable[[Result], Iterator[Parts]]] = {"case": _case, "epoch": _epochs, "query": _queries}
