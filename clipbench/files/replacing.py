"""Files that a command may replace: its own earlier ones, and no other."""

import os
from collections.abc import Collection
from pathlib import Path

from clipbench.errors import UsageError


def check_replaceable(path: Path, mark: str, inputs: Collection[str], option: str) -> None:
    """Raise UsageError for a file that is one of ``inputs`` (real paths), or whose text does not have ``mark`` in it.

    A file that is not there, or is empty, may be written. ``option`` is what the user wrote.
    """
    if os.path.realpath(path) in inputs:
        raise UsageError(f"{option}: is one of the files that are read; choose another file")
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # writing will say why
        return
    if mark not in text:
        raise UsageError(f"{option}: there is a file of another kind; choose another file, or remove it")
