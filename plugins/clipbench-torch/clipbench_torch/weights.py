"""Weights from a file in any of the usual formats, and strict loading of them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clipbench.api import ClipConfig, LearnerJob, ModelSpec, NotReadyError, weights
from clipbench_torch import clipbench_models
from clipbench_torch.model import empty_model


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return parameters by name, on the host, floating types as float32.

    Reads a state dict that torch.save wrote (also one nested under "state_dict" or "model", also with a "module."
    prefix), a safetensors file (also of a run's checkpoint), or OpenAI's TorchScript archive. Nothing is executed.
    Raises NotReadyError where the file is none of these, is incomplete, or is not there.
    """
    path = Path(path)
    is_safetensors = weights.is_safetensors(weights.first_bytes(path))
    content = weights.read_safetensors(path, "torch") if is_safetensors else read_archive(path)
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in weights.parameters_in(content, path, Tensor).items()
    }


def read_archive(path: Path, *, mmap: bool = True) -> Any:  # noqa: ANN401 -- whatever was saved
    """Return what torch.save or torch.jit.save wrote to ``path``, on the host, memory-mapped where possible."""
    path = Path(path)
    if not weights.first_bytes(path).startswith(b"PK"):
        return _torch_load(path, mmap=False)
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except Exception:  # a damaged list of its files raises anything
        raise NotReadyError(weights.truncated(path)) from None
    names = [info.filename for info in infos]
    # torch reads tensors where they lie in the file: what is compressed there would be taken for numbers.
    if any("/data/" in info.filename and info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise NotReadyError(
            f"{path}: its tensors are compressed inside the archive, which torch does not read; unpack it with `unzip` "
            "and pack it again without compression: `zip -0 -r NEW.pth FOLDER`"
        )
    if weights.is_torchscript(names):
        return {name: _tensor(array) for name, array in weights.read_archive(path).items()}
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
    beside = weights.read_descriptions(path, transformers=weights.has_transformers_names(state))
    if state.keys() != own.keys():
        state = weights.to_openai_names(state, path, torch.cat)
    models = {spec.name: spec.config for spec in clipbench_models()} | {model.name: model.config}
    weights.check_fit(path, model.name, config, models, [*beside, weights.describe_tensors(state, config)])
    return state


def _check_strictly(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    both = [name for name in own if name in state]
    usable = [name for name in both if _holds_real_numbers(state[name])]
    unusable = [f"{name} is {_type_of(state[name])}" for name in both if name not in usable]
    infinite = [name for name in usable if not bool(state[name].isfinite().all())]
    weights.check_names(path, _shapes(own), _shapes(state), unusable, infinite)


def _holds_real_numbers(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _type_of(tensor: Tensor) -> str:
    marks = (tensor.dtype, *([tensor.layout] if tensor.layout != torch.strided else []))
    return " ".join(str(mark).removeprefix("torch.") for mark in marks)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype == np.dtype("V2"):  # bfloat16, which numpy has not
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


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
        raise NotReadyError(f"{path}: not a file that torch.save wrote, or damaged; {weights.EXPECTED}") from error
    except EOFError as error:
        raise NotReadyError(weights.truncated(path)) from error
    except Exception as error:  # damaged files raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise NotReadyError(f"{path}: unreadable ({reason}); {weights.EXPECTED}") from error
