"""Results that are written, and ``clipbench`` called on them."""

from pathlib import Path

from click.testing import CliRunner

from clipbench.cli import main
from clipbench.files.json_file import write_json
from clipbench.results.document import digest_of
from clipbench.results.result import write_result


def stored(result, folder="results"):
    """Write a result; return its path."""
    return str(write_result(Path(folder), result))


def signed(document, path):
    """Write a result's document with the digest that it now has, whatever it says; return its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_json(Path(path), {**document, "digest": digest_of(document)})
    return str(path)


def run(*arguments, code=0):
    """Return what ``clipbench ARGUMENTS`` prints; it has to end with ``code``."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output
