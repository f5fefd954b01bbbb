"""Files that a command may replace: its own earlier ones, and no other."""

import os
from collections.abc import Collection
from pathlib import Path

from clipbench.errors import UsageError

_LOOKED_AT = 2**18  # bytes, on either side


def check_replaceable(path: Path, mark: str, inputs: Collection[str], option: str) -> None:
    """Raise UsageError for a file that is one of ``inputs`` (real paths), or whose text does not have ``mark`` in it.

    A file that is not there, or is empty, may be written. Of a large one its beginning and its end are looked at.
    ``option`` is what the user wrote.
    """
    if os.path.realpath(path) in inputs:
        raise UsageError(f"{option}: is one of the files that are read; choose another file")
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            beginning = file.read(_LOOKED_AT)
            file.seek(max(0, path.stat().st_size - _LOOKED_AT))
            text = (beginning + file.read()).decode(errors="replace")
    except OSError:  # writing will say why
        return
    if mark not in text:
        raise UsageError(f"{option}: there is a file of another kind; choose another file, or remove it")
