"""Weights from a file in any of the usual formats, and strict loading of them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clipbench.api import ClipConfig, LearnerJob, ModelSpec, NotReadyError
from clipbench_torch.model import empty_model
from clipbench_torch.torchscript import read_torchscript
from clipbench_torch.weight_check import check_fit, describe_tensors
from clipbench_torch.weight_descriptions import read_descriptions
from clipbench_torch.weight_names import has_transformers_names, to_openai_names

EXPECTED = "expected a state dict of a CLIP model, under the names of OpenAI, transformers or open_clip"
# What OpenAI's archives carry beside the parameters.
ARCHIVE_EXTRAS = ("input_resolution", "context_length", "vocab_size")
SHOWN = 5


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return parameters by name, on the host, floating types as float32.

    Reads a state dict that torch.save wrote (also one nested under "state_dict" or "model", also with a "module."
    prefix), a safetensors file (also of a run's checkpoint), or OpenAI's TorchScript archive. Nothing is executed.
    Raises NotReadyError where the file is none of these, is incomplete, or is not there.
    """
    path = Path(path)
    state = _read_safetensors(path) if _is_safetensors(_head(path)) else read_archive(path)
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise NotReadyError(f"{path}: no state dict in it, but {_outline(state)}; {EXPECTED}")
    return {
        str(name).removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if name not in ARCHIVE_EXTRAS
    }


def read_archive(path: Path, *, mmap: bool = True) -> Any:  # noqa: ANN401 -- whatever was saved
    """Return what torch.save or torch.jit.save wrote to ``path``, on the host, memory-mapped where possible."""
    path = Path(path)
    head = _head(path)
    if not head.startswith(b"PK"):
        return _torch_load(path, mmap=False)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except Exception:  # a damaged list of its files raises anything
        raise NotReadyError(_truncated(path)) from None
    names = [info.filename for info in infos]
    # torch reads tensors where they lie in the file: what is compressed there would be taken for numbers.
    if any("/data/" in info.filename and info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise NotReadyError(
            f"{path}: its tensors are compressed inside the archive, which torch does not read; unpack it with `unzip` "
            "and pack it again without compression: `zip -0 -r NEW.pth FOLDER`"
        )
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return read_torchscript(path)
    return _torch_load(path, mmap=mmap)


def load_weights(model: nn.Module, job: LearnerJob, path: Path) -> None:
    """Copy the weights in ``path`` into the job's ``model``, under whichever names they have there.

    Raises NotReadyError where the file, or the description beside it, is of another model than the job's.
    """
    load_strictly(model, _read_fitting(model.state_dict(), job.model, job.config, path), path)


def check_weights(model: ModelSpec, config: ClipConfig, path: Path) -> None:
    """Raise NotReadyError where ``load_weights`` would; the model is built without its numbers."""
    with torch.device("meta"):
        own = empty_model(model, config).state_dict()
    _check_strictly(own, _read_fitting(own, model, config, path), path)


def load_strictly(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``state`` into ``model``; every name and shape must match and every value be a finite real number.

    Raises NotReadyError that names what does not match, with both shapes.
    """
    own = model.state_dict()
    _check_strictly(own, state, path)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def _read_fitting(own: Mapping[str, Tensor], model: ModelSpec, config: ClipConfig, path: Path) -> dict[str, Tensor]:
    """Return the weights in ``path`` by OpenAI's names, or as they are where they have the names of ``own``."""
    state = read_weights(path)
    transformers = has_transformers_names(state)
    if state.keys() != own.keys():
        state = to_openai_names(state, path)
    descriptions = [*read_descriptions(path, transformers=transformers), describe_tensors(state, config)]
    check_fit(model, config, path, descriptions)
    return state


def _check_strictly(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    both = [name for name in own if name in state]
    usable = [name for name in both if _holds_real_numbers(state[name])]
    problems = [
        *_listed("missing", [f"{name} {tuple(own[name].shape)}" for name in own if name not in state]),
        *_listed("unexpected", [f"{name} {tuple(state[name].shape)}" for name in state if name not in own]),
        *_listed(
            "of another shape",
            [
                f"{name} is {tuple(state[name].shape)}, the model's is {tuple(own[name].shape)}"
                for name in both
                if state[name].shape != own[name].shape
            ],
        ),
        *_listed(
            "of another type than real numbers",
            [f"{name} is {_type_of(state[name])}" for name in both if name not in usable],
        ),
        *_listed("not finite", [name for name in usable if not bool(state[name].isfinite().all())]),
    ]
    if problems:
        raise NotReadyError(f"{path} does not fit the model. " + " ".join(problems) + " Is it another variant?")


def _holds_real_numbers(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _type_of(tensor: Tensor) -> str:
    marks = (tensor.dtype, *([tensor.layout] if tensor.layout != torch.strided else []))
    return " ".join(str(mark).removeprefix("torch.") for mark in marks)


def _torch_load(path: Path, *, mmap: bool) -> Any:  # noqa: ANN401
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read is refused below
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error) or "GLOBAL" in str(error):
            raise NotReadyError(
                f"{path}: it holds Python objects beside tensors, and reading those would run code from the file; "
                "save its state_dict() alone, where you trust it, and use that"
            ) from error
        raise NotReadyError(f"{path}: not a file that torch.save wrote, or damaged; {EXPECTED}") from error
    except EOFError as error:
        raise NotReadyError(_truncated(path)) from error
    except Exception as error:  # damaged files raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise NotReadyError(f"{path}: unreadable ({reason}); {EXPECTED}") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the parameters in a safetensors file, also in a run's checkpoint."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise NotReadyError(f"{path}: reading it takes the package safetensors: `pip install safetensors`") from None
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise NotReadyError(_truncated(path) + f" (safetensors: {error})") from error
    except Exception as error:  # a wrong header raises anything
        raise NotReadyError(f"{path}: unreadable ({type(error).__name__}: {error}); {EXPECTED}") from error
    if any(name.startswith("optimizer.") for name in tensors):  # a checkpoint of a run
        return {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    return tensors


def _head(path: Path) -> bytes:
    """Return the first bytes of the file; raise NotReadyError for what are evidently not weights."""
    if not path.is_file():
        raise NotReadyError(f"{path}: no such file; {EXPECTED}")
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise NotReadyError(f"{path}: empty; download it again, {EXPECTED}")
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html", b"<?xml"):
        raise NotReadyError(
            f"{path}: a web page, not weights; the download was answered with a page, get the file itself"
        )
    if head.startswith(b"version https://git-lfs"):
        raise NotReadyError(f"{path}: a git-lfs pointer, not the file it points to; run `git lfs pull`")
    # Neither a pickle nor a zip nor safetensors begins with text only.
    if head.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        start = head[:60].decode("ascii").splitlines()[0]
        raise NotReadyError(f"{path}: text, not weights (it begins with {start!r}); {EXPECTED}")
    return head


def _is_safetensors(head: bytes) -> bool:
    """Return whether ``head`` is the length of a header in eight bytes and then the header, which is JSON."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def _truncated(path: Path) -> str:
    return f"{path}: cut short at {path.stat().st_size:,} bytes or damaged; download it again and compare its sha256"


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}."]


def _outline(state: object) -> str:
    if isinstance(state, Mapping):
        return f"a dictionary with {', '.join(map(str, list(state)[:SHOWN])) or 'nothing'}"
    return f"a {type(state).__name__}"
