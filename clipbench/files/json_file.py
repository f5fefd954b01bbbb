"""JSON on disk: read without NaN, written completely or not at all."""

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from clipbench.api.plain import to_plain
from clipbench.api.text import is_shown
from clipbench.errors import InvalidFileError
from clipbench.files.whole import whole_file

MAX_BYTES = 512_000_000

# What a terminal or a log may take as something else than text; the start of a command of CI servers among it.
_SPECIAL = re.compile(r"[^ -~\n]+|##(?=\[|vso\[|teamcity\[)")


class JsonError(Exception):
    """A file is not valid JSON; the message says why, without the file's name."""


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Return one JSON document; raise JsonError for anything else, NaN, Infinity and repeated keys included."""
    return parse_json(_read_text(path))


def parse_json(text: str) -> Any:  # noqa: ANN401
    """Return the JSON document that ``text`` is; raise JsonError as ``read_json`` does."""
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_refuse_constant, object_pairs_hook=refuse_repeats)
    except json.JSONDecodeError as error:
        raise JsonError(f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except ValueError as error:  # an integer of thousands of digits
        raise JsonError(f"not valid JSON: {error}") from None
    except RecursionError:
        raise JsonError("not valid JSON: nested too deeply") from None


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise JsonError("not a file" if path.is_dir() else "not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise JsonError(f"larger than {MAX_BYTES:,} bytes")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise JsonError(f"cannot be read: {error.strerror}") from None


def json_files(folder: Path) -> list[Path]:
    """Return the ``*.json`` of a folder that are not hidden, whatever the case of their ending; none without it.

    Raises InvalidFileError for a folder that cannot be read.
    """
    try:
        paths = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise InvalidFileError(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(path for path in paths if path.suffix.lower() == ".json" and not path.name.startswith("."))


def write_json(path: Path, data: object) -> None:
    """Write plain data as JSON: readers see the whole file or none."""
    text = json_text(data) + "\n"
    with whole_file(path) as file:
        file.write(text.encode())


def json_text(data: object) -> str:
    """Return data as JSON for files, terminals and logs: what is not shown is there in JSON's own escapes.

    What is no plain data, such as a dataclass, is there as ``to_plain`` has it.
    """
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False, default=to_plain)
    return _SPECIAL.sub(lambda match: _escaped(match[0]), text)


def _escaped(run: str) -> str:
    if run == "##":
        return "#\\u0023"
    return run if run.isprintable() else "".join(c if is_shown(c) else json.dumps(c)[1:-1] for c in run)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError(f"not a finite number: {text[:20]}")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"not valid JSON: {name} is not a number of JSON")


def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the keys and values of a JSON object; raise JsonError for a key that is given twice."""
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        raise JsonError(f"key '{next(name for name in names if names.count(name) > 1)}' is given twice")
    return data
