"""Results that are written, and ``clipbench`` called on them."""

from pathlib import Path

from click.testing import CliRunner

from clipbench.cli import main
from clipbench.results.result import write_result


def stored(result, folder="results"):
    """Write a result; return its path."""
    return str(write_result(Path(folder), result))


def run(*arguments, code=0):
    """Return what ``clipbench ARGUMENTS`` prints; it has to end with ``code``."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output
