"""The tensors of a zip archive that torch.save or torch.jit.save wrote; code in it is neither compiled nor run."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipbench.errors import NotReadyError

Tensor = np.ndarray

# Structure and code of OpenAI's largest model take less than a megabyte.
MAX_BYTES = 64 << 20
MAX_DEPTH = 100

_STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("V2"),  # numpy has no bfloat16
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
# As torch writes a class of an archive's code: name, parameters, buffers.
_CLASS = re.compile(
    r"^class (\w+)\(Module\):\n  __parameters__ = \[([^\]]*)\]\n  __buffers__ = \[([^\]]*)\]", re.MULTILINE
)
_PREFIX = "__torch__"


def is_torchscript(names: Sequence[str]) -> bool:
    """Return whether an archive of files of these names was written by torch.jit.save."""
    return any(name.endswith("/constants.pkl") or "/code/" in name for name in names)


def read_archive(path: Path) -> Any:  # noqa: ANN401 -- whatever was saved
    """Return what was saved, with tensors as arrays: of a module its parameters and buffers by name.

    bfloat16 comes as two opaque bytes each. Raises NotReadyError where the archive is damaged, or asks for anything but
    tensors and plain values.
    """
    kind = "zip"
    try:
        with zipfile.ZipFile(path) as archive:
            kind = "TorchScript" if is_torchscript(archive.namelist()) else "zip"
            content = _Archive(archive).content()
            if kind == "TorchScript" and not isinstance(content, _State):
                raise ValueError(f"it holds a {type(content).__name__}, not a module")
            return content
    except Exception as error:  # damaged zips and pickles raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise NotReadyError(f"{path}: a {kind} archive that cannot be read ({reason})") from error


class _Archive:
    """An open archive; its content is in one folder, named as the file was when it was saved."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive
        names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} files data.pkl in it, expected one")
        self._folder = names[0].removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}
        self._listed: dict[str, frozenset[str]] = {}

    def content(self) -> Any:  # noqa: ANN401
        if self._folder + "byteorder" in self._zip.namelist() and self._text("byteorder").strip() != "little":
            raise ValueError("written on a big-endian machine")
        content = _Unpickler(self._bounded("data.pkl"), self._storage).load()
        return _State(self._tensors(content, "", 0)) if isinstance(content, _Object) else content

    def _tensors(self, module: _Object, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
        if depth > MAX_DEPTH:
            raise ValueError("modules nested too deeply")
        attributes = module.state if isinstance(module.state, dict) else {}
        listed = self._parameters_and_buffers(type(module))
        for name, value in attributes.items():
            if isinstance(value, _Object):
                yield from self._tensors(value, f"{prefix}{name}.", depth + 1)
            # Other tensors, such as a mask, are not part of the state.
            elif isinstance(value, Tensor) and (listed is None or name in listed):
                yield prefix + str(name), value

    def _parameters_and_buffers(self, kind: type[_Object]) -> frozenset[str] | None:
        """Return the names that the code of a class lists, read as text, or None where it lists none."""
        file = f"code/{kind.module.replace('.', '/')}.py"
        if self._folder + file not in self._zip.namelist():
            return None
        if file not in self._listed:
            for name, *lists in _CLASS.findall(self._text(file)):
                self._listed[f"{file}:{name}"] = frozenset(re.findall(r'"([^"]+)"', " ".join(lists)))
            self._listed[file] = frozenset()
        return self._listed.get(f"{file}:{kind.__name__}")

    def _storage(self, dtype: np.dtype[Any], key: str, count: int) -> Tensor:
        if key not in self._storages:
            info = self._zip.getinfo(f"{self._folder}data/{key}")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != count * dtype.itemsize:
                raise ValueError(f"storage {key} has {info.file_size:,} bytes, expected {count * dtype.itemsize:,}")
            content = self._zip.read(info)  # which checks its CRC
            self._storages[key] = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
        return self._storages[key]

    def _bounded(self, name: str) -> bytes:
        info = self._zip.getinfo(self._folder + name)
        if info.file_size > MAX_BYTES:
            raise ValueError(f"{name} has {info.file_size:,} bytes, expected at most {MAX_BYTES:,}")
        return self._zip.read(info)

    def _text(self, name: str) -> str:
        return self._bounded(name).decode()


class _State(dict[str, Tensor]):
    """Parameters and buffers of a module."""


class _Object:
    """Stands for an instance of a class that the archive's code defines: its stored state, with no code run."""

    module = ""
    state: Any = None

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads tensors and plain values only; raises for any other name in the file."""

    def __init__(self, content: bytes, storage: Callable[[np.dtype[Any], str, int], Tensor]) -> None:
        super().__init__(io.BytesIO(content))
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        if module == _PREFIX or module.startswith(_PREFIX + "."):
            return type(name, (_Object,), {"module": module})
        known = _KNOWN.get((module, name))
        if known is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of weights")
        return known

    def persistent_load(self, pid: Any) -> Tensor:  # noqa: ANN401
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return self._storage(dtype, str(key), int(count))


def _tensor(storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: object) -> Tensor:
    if 0 in size:
        return np.empty(tuple(size), storage.dtype)
    # np.ndarray checks that the view lies within the storage.
    strides = tuple(step * storage.itemsize for step in stride)
    view: Tensor = np.ndarray(tuple(size), storage.dtype, storage, offset * storage.itemsize, strides)
    return view


def _same(value: Any, *_: object) -> Any:  # noqa: ANN401
    return value


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _same,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "device"): str,
    **{("torch.jit._pickle", f"build_{kind}list"): list for kind in ("int", "double", "bool", "tensor")},
    ("torch.jit._pickle", "restore_type_tag"): _same,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}
