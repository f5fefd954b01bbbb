"""``clipbench report --leaderboard``, from what was asked to the files of the page."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from clipbench.api.plain import value_at
from clipbench.api.text import printable
from clipbench.compare.gate import Request, load
from clipbench.compare.leaderboard import Board, Row, leaderboards
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.files.replacing import check_replaceable
from clipbench.report.extra import check_extra
from clipbench.report.html import GENERATOR, filled, html_environment
from clipbench.report.judgement.headline import comparison_headline
from clipbench.report.judgement.wording import hindrance
from clipbench.report.quantity import amount
from clipbench.results.result import write_result


def run_leaderboard(request: Request, out: Path, title: str, prices: Mapping[str, str]) -> ExitCode:
    """Write ``index.html`` into ``out``, and every result with a row into ``out/results``; return the exit code.

    ``prices`` are shown as they are given, by device. 0: all files could be read; 3: a file was refused; 4: no result
    was compared with a reference, and nothing is written. Raises UsageError where ``out`` has a page of another origin,
    and NotReadyError without the extra ``report``.
    """
    check_extra()
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; expected a folder; it is created where there is none")
    check_replaceable(out / "index.html", GENERATOR, (), f"--out {out}: index.html")
    inputs = load(request)
    boards = leaderboards(request, inputs)
    for problem in inputs.problems:
        print(printable(f"refused: {problem}", lines=True), file=sys.stderr)
    if not boards:
        named = printable(" ".join(map(str, request.paths)))
        print(f"clipbench: no result under {named} was compared with a reference; nothing was written", file=sys.stderr)
        return ExitCode.NOT_COMPARABLE if inputs.problems else ExitCode.CASE_FAILED
    rows = [row for board in boards for row in board.rows]
    _check_prices(prices, rows)
    page = _page(title, boards, prices, inputs.problems)
    try:
        folder = out / "results"
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            write_result(folder, row.result)
        (out / "index.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise NotReadyError(f"{out}: the leaderboard cannot be written ({error.strerror}); make room there") from None
    print(printable(f"leaderboard: {out / 'index.html'}"))
    return ExitCode.NOT_COMPARABLE if inputs.problems else ExitCode.PASS


def _check_prices(prices: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Raise UsageError for a price of a device that has no row."""
    known = sorted({str(row.result.device_name) for row in rows})
    if unknown := sorted(set(prices) - set(known)):
        raise UsageError(f"--price {unknown[0]}: no result is of that device; there are: {', '.join(known)}")


def _page(title: str, boards: Sequence[Board], prices: Mapping[str, str], problems: Sequence[str]) -> str:
    environment = html_environment()
    environment.filters |= {"amount": _amount, "how": how_measured}
    return filled(
        environment,
        "leaderboard/page.html",
        title=title,
        sections=[(f"board{number}", board.case) for number, board in enumerate(boards, 1)],
        boards=boards,
        prices=prices,
        problems=problems,
        headline=comparison_headline,
    )


def _amount(value: float | None, unit: str) -> str:
    return "–" if value is None else amount(value, unit)


def how_measured(row: Row) -> str:
    """Return in a line how a row was measured: software, epochs, what slowed the device down."""
    result = row.result
    packages = value_at(result, "environment.packages", {})
    engine = str(value_at(result, "config.engine", ""))
    parts = [f"{engine} {packages[engine]}" if engine in packages else engine]
    if driver := value_at(result, "environment.device.driver"):
        parts.append(f"driver {driver}")
    parts.append(f"clipbench {result.clipbench.version}")
    trained = [record for record in result.epochs if record.steps]
    parts.append(f"{len(trained)} epochs in {sum(record.seconds.total for record in result.epochs):.0f} s")
    parts += [hindrance(one, alone=True) for one in row.comparison.hindrances]
    return ", ".join(filter(None, parts))
