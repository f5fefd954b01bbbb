"""Reports for the tests to look at, and a loud word when there is no browser to look at them with."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from clipbench.results.result import write_result
from tests.support.browsers import NO_BROWSER
from tests.support.report_results import HOSTILE, failed, make_result


@pytest.fixture(scope="session")
def write_report(tmp_path_factory):
    """``clipbench report`` over some results: the outcome of the command, and the folder that it wrote to.

    With ``pictures``, these lie beside the page. ``store`` writes a result into a folder.
    """

    def write(results, *options, pictures=False, store=write_result):
        folder = tmp_path_factory.mktemp("report")
        (folder / "results").mkdir()
        for result in results:
            store(folder / "results", result)
        out = folder / "out"
        words = [*options, "--png", str(out)] if pictures else options
        return CliRunner().invoke(main, ["report", str(folder / "results"), "--out", str(out), *words]), out

    return write


@pytest.fixture(scope="session")
def results():
    """Twelve results of two cases' devices over three days, one of them six points of recall too low."""
    made = [make_result(index, seed=index % 2, loss=12 if index == 7 else 0) for index in range(10)]
    return [*made, make_result(20, device="Other Card"), make_result(21, device="Other Card")]


@pytest.fixture(scope="session")
def report(write_report, results):
    """The folder of their report."""
    outcome, out = write_report(results, "--title", "Cards & drivers", pictures=True)
    assert outcome.exit_code == 0, outcome.output
    return out


@pytest.fixture(scope="session")
def hostile_report(write_report):
    """The folder of a report in which every text that a user may choose tries to run a script."""
    made = make_result(0, device=HOSTILE)
    first = replace(made.epochs[0], reasons={HOSTILE: HOSTILE})
    config = {**made.config, "name": HOSTILE, HOSTILE: HOSTILE}
    made = replace(made, case=HOSTILE, config=config, epochs=(first, *made.epochs[1:]))
    broken = failed(replace(make_result(1), case=HOSTILE, config=config), HOSTILE)
    outcome, out = write_report([made, broken], "--title", HOSTILE)
    assert outcome.exit_code == 0, outcome.output
    return out


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(report.longrepr)]
    if skipped:
        terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests did not run: {NO_BROWSER}.", red=True, bold=True)
