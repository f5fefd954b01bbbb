"""Tensors by name in one file, in the safetensors format: written one at a time, mapped into memory when read.

The format: eight bytes with the header's length (little-endian), the header in JSON with each tensor's type, shape and
place, then the tensors without gaps (https://github.com/huggingface/safetensors).
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clipbench.api import InvalidFileError, TensorRef
from clipbench.files.json_file import JsonError, refuse_repeats

# The format's names of types, and numpy's. It has no bfloat16: such tensors travel as two opaque bytes each.
FORMAT_NAMES = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64")
NUMPY_NAMES = ("?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "V2", "<f4", "<f8")
DTYPES: Mapping[str, np.dtype[Any]] = dict(zip(FORMAT_NAMES, map(np.dtype, NUMPY_NAMES), strict=True))
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LENGTH_BYTES = 8
ALIGNMENT = 8
MAX_HEADER = 100_000_000  # the format's own limit
DAMAGED = "damaged, or no safetensors file"


def write_tensors(write: Callable[[memoryview], None], tensors: Mapping[str, TensorRef]) -> None:
    """Give the whole file to ``write``, piece by piece, with one tensor at a time in memory.

    Raises ValueError for a tensor whose type or shape is not that of its TensorRef.
    """
    write(memoryview(_header(tensors)))
    for name in _order(tensors):
        ref = tensors[name]
        array = ref.read()
        if array.dtype != ref.dtype or array.shape != ref.shape or not array.flags.c_contiguous:
            raise ValueError(f"tensor {name}: {array.dtype} {array.shape} was read, {ref.dtype} {ref.shape} announced")
        if array.size:
            write(array.reshape(-1).view(np.uint8).data)
        del array  # before the next one is fetched


def file_bytes(tensors: Mapping[str, TensorRef]) -> int:
    """Return the size of the file that ``write_tensors`` makes."""
    return len(_header(tensors)) + sum(map(_tensor_bytes, tensors.values()))


def read_tensors(path: Path) -> dict[str, TensorRef]:
    """Return the tensors of a file in the order in which they were given, mapped into memory: read when needed.

    Raises InvalidFileError where the file is cut short, breaks the format, or has a type that numpy lacks.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if size < LENGTH_BYTES + length:
                raise InvalidFileError(f"{path}: cut short at {size:,} bytes, or no safetensors file")
            if length > MAX_HEADER:
                raise InvalidFileError(f"{path}: {DAMAGED}: a header of {length:,} bytes")
            header = file.read(length)
        data = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror}") from error
    start = LENGTH_BYTES + length
    try:
        entries = _parse(header, size - start)
    except (JsonError, ValueError) as error:
        raise InvalidFileError(f"{path}: {DAMAGED}: {error}") from None
    return {
        name: TensorRef(dtype, shape, partial(_view, data, dtype, shape, start + begin))
        for name, (dtype, shape, begin) in entries.items()
    }


def _view(data: np.ndarray, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> np.ndarray:
    # A file of another program may not be aligned; such tensors are copied.
    view: np.ndarray = np.ndarray(shape, dtype, data.data, offset)
    view.flags.writeable = False
    return view if view.flags.aligned else view.copy()


def _order(tensors: Mapping[str, TensorRef]) -> list[str]:
    """Return the names in the order of their data: largest elements first, so that every tensor is aligned."""
    return sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)


def _tensor_bytes(ref: TensorRef) -> int:
    return math.prod(ref.shape) * ref.dtype.itemsize


def _header(tensors: Mapping[str, TensorRef]) -> bytes:
    begin, entries = 0, dict[str, Any](tensors)  # in the order in which they were given
    for name in _order(tensors):
        ref = tensors[name]
        if ref.dtype not in NAMES:
            raise ValueError(f"tensor {name}: type {ref.dtype} has no place in a safetensors file")
        end = begin + _tensor_bytes(ref)
        entries[name] = {"dtype": NAMES[ref.dtype], "shape": list(ref.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _parse(header: bytes, size: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...], int]]:
    """Return type, shape and first byte of every tensor; raise ValueError unless they fill ``size`` bytes of data."""
    try:
        entries = json.loads(header.decode(), object_pairs_hook=refuse_repeats)
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    if not isinstance(entries, dict):
        raise ValueError("the header is no JSON object")
    entries.pop("__metadata__", None)
    parsed, spans = {}, []
    for name, entry in entries.items():
        dtype, shape, (begin, end) = _entry(name, entry)
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"tensor {name}: {end - begin} bytes do not hold {dtype} {shape}")
        parsed[name] = dtype, shape, begin
        spans.append((begin, end, name))
    reached = 0
    for begin, end, name in sorted(spans):
        if begin != reached:
            raise ValueError(f"tensor {name}: its bytes begin at {begin}, not {reached}")
        reached = end
    if reached != size:
        raise ValueError(f"the tensors take {reached:,} bytes, the file has {size:,} for them")
    return parsed


def _entry(name: str, entry: object) -> tuple[np.dtype[Any], tuple[int, ...], tuple[int, int]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name}: expected dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _whole_numbers(shape) or not _whole_numbers(offsets):
        raise ValueError(f"tensor {name}: a shape and offsets are lists of whole numbers")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"tensor {name}: data_offsets are two numbers, the first not larger")
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"tensor {name}: type {entry['dtype']!r} is not known here")
    return DTYPES[entry["dtype"]], tuple(shape), (offsets[0], offsets[1])


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
