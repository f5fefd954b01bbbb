"""Many result files read at once, each process being ``python -m clipbench.results.collecting.reading``."""

import gc
import marshal
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from clipbench.api import InvalidFileError
from clipbench.results.collecting.entries import row_of
from clipbench.results.collecting.index import Known, is_sure, stamp_of
from clipbench.results.document import read_document
from clipbench.results.environment import usable_cores
from clipbench.results.result import parse_result

SHARE = 500  # files that a process is started for: a process takes as long to start as a hundred of them to read


def read_rows(paths: Sequence[str], tell: Callable[[int, int], None]) -> Iterator[tuple[str, Known, bool]]:
    """Yield path, what is known of it, and whether that may be remembered, for every path that is a sound result.

    ``tell`` is called with how many files were read, of how many.
    """
    shares = list(_shares(paths))
    cores = usable_cores()
    if len(shares) < 2 or cores < 2:
        for done, path in enumerate(paths, 1):
            if (found := _read(path)) is not None:
                yield path, *found
            tell(done, len(paths))
        return
    done = 0
    with ThreadPoolExecutor(cores) as threads:
        for share, rows in zip(shares, threads.map(_in_process, shares), strict=True):
            done += len(share)
            tell(done, len(paths))
            yield from rows


def _shares(paths: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(paths)
    while share := list(islice(rest, SHARE)):
        yield share


def _in_process(paths: Sequence[str]) -> list[tuple[str, Known, bool]]:
    """Return what another process has read; where it dies, nothing, and its files are read one by one later."""
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, input=marshal.dumps(list(paths)), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        return []
    answer = marshal.loads(done.stdout)
    return [
        (paths[number], Known(stamp, answer["setups"][setup], own), sure)
        for number, stamp, setup, own, sure in answer["rows"]
    ]


def _read(path: str) -> tuple[Known, bool] | None:
    """Return the row of a result and whether it may be remembered; None for what is none, or is refused."""
    try:
        before = os.stat(path)  # noqa: PTH116 -- a Path for each of tens of thousands takes its time
        document = read_document(Path(path))
        if document["kind"] != "clipbench.result":
            return None
        row = row_of(parse_result(document, Path(path)), document)
        after = os.stat(path)  # noqa: PTH116
    except (InvalidFileError, OSError):
        return None  # who reads it by itself says why
    return Known(stamp_of(before), *row), is_sure(before) and stamp_of(before) == stamp_of(after)


def main() -> None:
    """Read the files that a list on standard input names, and write what is known of them, both by ``marshal``."""
    gc.disable()  # JSON has no cycles
    setups: dict[str, int] = {}
    rows = []
    for number, path in enumerate(marshal.load(sys.stdin.buffer)):
        if found := _read(path):
            known, sure = found
            setup = setups.setdefault(known.setup, len(setups))
            rows.append([number, known.stamp, setup, known.own, sure])
    marshal.dump({"setups": list(setups), "rows": rows}, sys.stdout.buffer)


if __name__ == "__main__":
    main()
