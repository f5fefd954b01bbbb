"""What a fleet costs the machine that plans it, from planning to the report, for 10 to 10,000 nodes.

    python -m benchmarks.fleet [--quick] [--most 10000] [--out benchmarks/results/growth_fleet.json]

Every node has one task, whose result is written by a process of submitit's local executor in place of a training: a
copy of a result of the quickstart, of a run that began a minute after the node before. Each stage runs in a process of
its own, so that its peak of memory is its own. The first look at the results makes their index.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.growth import RESULT, costs, exponent, show
from benchmarks.harness import Record, arguments, in_process, parse
from clipbench import __version__
from clipbench.fleet.records import Submitted, attempt_file
from clipbench.report.reading import tell_of_reading
from clipbench.suites.tasks import find_task

SIZES, QUICK = [10, 100, 1_000, 10_000], [3, 10]
SUITE, CHANGES = "quickstart", ["eval.evaluations=[retrieval]"]  # as the result was made that is copied
MINUTE = timedelta(minutes=1)


@dataclass
class Simulated:
    """A worker that writes the result of each task at once, as a node that has run it would have."""

    folder: Path
    cwd: Path
    tasks: tuple[Submitted, ...]
    is_local: bool
    visible: str | None = None

    def __call__(self) -> int:
        from clipbench.api.plain import to_plain
        from clipbench.files.json_file import write_json
        from clipbench.fleet.records import Attempt
        from clipbench.results.result import from_utc, read_result, to_utc, utc_now, write_result
        from clipbench.suites.loading import find_suite, load_suite

        made = read_result(RESULT)
        first, last = from_utc(made.started), from_utc(made.ended)
        cases = load_suite(find_suite(SUITE), CHANGES).cases
        for number, task in enumerate(self.tasks):
            found = find_task(task.id, cases)
            assert found is not None, task.id
            before = (len(self.tasks) - 1 - number) * MINUTE
            started = first - before
            result = replace(
                made,
                run_id=f"{SUITE}-{started:%Y%m%dT%H%M%SZ}-{number:010x}",
                started=to_utc(started),
                ended=to_utc(last - before),
                task=task.id,
                invocation=task.id,
                config=found.case.to_dict(),
                config_sha256=found.case.sha256(),
                clipbench=replace(made.clipbench, version=__version__),
                environment={**made.environment, "host": {"name": found.node, "machine": None}},
                epochs=tuple(
                    replace(record, per_rank=tuple(replace(rank, host=found.node) for rank in record.per_rank))
                    for record in made.epochs
                ),
            )
            write_result(Path(task.command[-1]), result)
            ended = Attempt("simulated", 1, utc_now(), 1, utc_now(), 0)
            write_json(attempt_file(self.folder, task.id), to_plain(ended))
        return 0


def planned(size: int, out: Path) -> list[Any]:
    """Return the tasks of ``size`` nodes, with what is found of them under ``out``."""
    from clipbench.api.registry import load_registry
    from clipbench.fleet.found import find_results
    from clipbench.fleet.planning import Request, complete, make_tasks

    nodes = [f"node{number:05}" for number in range(size)]
    tasks = make_tasks(Request([SUITE], CHANGES, nodes=nodes))
    return complete(tasks, load_registry(), find_results(out, tell_of_reading))


def plan(size: int, out: str) -> dict[str, float]:
    """Planning, with no results there."""
    with costs() as measured:
        tasks = planned(size, Path(out))
        _ = "\n".join(task.line(Path(out)) for task in tasks)
    assert all(task.result is None for task in tasks)
    return measured


def submit(size: int, out: str) -> dict[str, float]:
    """Giving the tasks to one local job."""
    from clipbench.fleet.submitting import Order
    from clipbench.fleet.submitting import submit as give

    tasks = planned(size, Path(out))
    with costs() as measured:
        give(tasks, Order("local"), Path(out), Simulated)
    return measured


def status(size: int, out: str) -> dict[str, float]:
    """Looking how far they are, when all have ended; the first look reads their results and makes the index."""
    from clipbench.fleet.jobs import look_at

    with costs() as measured:
        jobs = look_at(Path(out), tell_of_reading)
    assert jobs.count("completed") == size, jobs.problems[:3]
    return measured


def collect(size: int, out: str) -> dict[str, float]:
    """Copying every result into one folder."""
    from clipbench.fleet.collecting import collect_into
    from clipbench.fleet.found import find_results

    with costs() as measured, tempfile.TemporaryDirectory(dir=Path(out).parent) as into:
        collected = collect_into(find_results(Path(out), tell_of_reading), Path(into))
    assert collected.copied == size
    return measured


def replan(size: int, out: str) -> dict[str, float]:
    """Planning again, where every task has a result."""
    with costs() as measured:
        tasks = planned(size, Path(out))
    assert all(task.result is not None for task in tasks)
    return measured


def diagnose(size: int, out: str) -> dict[str, float]:
    """Looking for sick nodes."""
    from clipbench.compare.nodes import diagnosis
    from clipbench.results.collecting.collect import survey

    with costs() as measured:
        found = diagnosis.diagnose(survey([Path(out)], tell_of_reading))
    assert len(found.nodes) == size, (len(found.nodes), found.odd, found.problems[:3])
    return measured


def report(size: int, out: str) -> dict[str, float]:
    """Writing the page."""
    from clipbench.compare.gate import Request
    from clipbench.report.page.writing import run_report

    page = Path(out).parent / "page"
    with costs() as measured, redirect_stdout(sys.stderr):
        code = run_report(Request((Path(out),)), page, "A fleet", 200)
    assert code == 0
    return measured


STAGES: dict[str, Callable[[int, str], dict[str, float]]] = {
    "plan": plan, "submit": submit, "first status": status, "status": status, "collect": collect, "replan": replan,
    "diagnose": diagnose, "report": report,
}  # fmt: skip


def wait_for_results(size: int, out: Path) -> None:
    """Return when the job has written every result."""
    while sum(1 for _ in out.glob(".jobs/*/tasks/*.json")) < size:
        time.sleep(0.5)


def main() -> None:
    parser = arguments(__doc__, most=10**9)
    options = parse(parser)
    record = Record("fleet", options)
    sizes = [size for size in (QUICK if options.quick else SIZES) if size <= options.most]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in STAGES}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "results"
            os.environ["CLIPBENCH_CACHE"] = str(Path(folder) / "cache")
            for name, stage in STAGES.items():
                rows[name].append({"size": size, **in_process(stage, size, str(out))})
                if name == "submit":
                    wait_for_results(size, out)
    grown = {name: {"rows": of_stage, "exponent": exponent(of_stage)} for name, of_stage in rows.items()}
    for name, measured in grown.items():
        show(name, measured["rows"], measured["exponent"])
    record.save(growth=grown)


if __name__ == "__main__":
    main()
