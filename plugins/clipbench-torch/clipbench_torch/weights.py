"""Weights from a file in any of the usual formats, and strict loading of them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clipbench.api import ClipConfig, LearnerJob, ModelSpec, NotReadyError, weights
from clipbench_torch import clipbench_models
from clipbench_torch.model import empty_model

# What a file gives where the texts have one of their own, and what that one gives.
VISION = ("visual.", "logit_scale")
TEXTS = "transformer."


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


def load_weights(model: nn.Module, job: LearnerJob) -> None:
    """Copy the weights in the job's files into its ``model``, under whichever names they have there.

    Raises NotReadyError where a file, or the description beside it, is of another model than the job's.
    """
    own = model.state_dict()
    for path, part, state in _read_parts(own, job.model, job.config, job.weights, job.text_weights):
        load_strictly(part, state, path)


def check_weights(model: ModelSpec, config: ClipConfig, path: Path | None, text_path: Path | None = None) -> None:
    """Raise NotReadyError where ``load_weights`` would; the model is built without its numbers."""
    with torch.device("meta"):
        own = empty_model(model, config).state_dict()
    for file, part, state in _read_parts(own, model, config, path, text_path):
        _check_strictly(part, state, file)


def load_strictly(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``state`` into ``own``; every name and shape must match and every value be a finite real number.

    Raises NotReadyError that names what does not match, with both shapes.
    """
    _check_strictly(own, state, path)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def _read_parts(
    own: Mapping[str, Tensor], model: ModelSpec, config: ClipConfig, path: Path | None, text_path: Path | None
) -> Iterator[tuple[Path, Mapping[str, Tensor], Mapping[str, Tensor]]]:
    """Yield each file with the parameters of the model that it is for, and what it has of them.

    With weights for the texts alone, the other file is for the vision tower and the logit scale.
    """
    if path is not None and text_path is None:
        yield path, own, _read_fitting(own, model, config, path)
    elif path is not None:
        part = {name: tensor for name, tensor in own.items() if name.startswith(VISION)}
        yield path, part, _read_fitting(part, model, config, path)
    if text_path is not None:
        part = {name: tensor for name, tensor in own.items() if name.startswith(TEXTS)}
        state = weights.text_tower_weights(read_weights(text_path), text_path)
        beside = weights.read_bert_description(text_path)
        _check_fit(model, config, text_path, [*beside, weights.describe_tensors(state, config)])
        yield text_path, part, state


def _read_fitting(own: Mapping[str, Tensor], model: ModelSpec, config: ClipConfig, path: Path) -> dict[str, Tensor]:
    """Return the weights in ``path`` by OpenAI's names, or as they are where they have the names of ``own``.

    Where ``own`` is a part of the model, that part of them.
    """
    state = read_weights(path)
    beside = weights.read_descriptions(path, transformers=weights.has_transformers_names(state))
    if state.keys() != own.keys():
        state = weights.to_openai_names(state, path, torch.cat)
    if all(name.startswith(VISION) for name in own):
        beside = (replace(one, values=_of_vision(one.values)) for one in beside)
        state = {name: tensor for name, tensor in state.items() if name.startswith(VISION)}
    _check_fit(model, config, path, [*beside, weights.describe_tensors(state, config)])
    return state


def _of_vision(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith(("text_", "vocab_", "context_"))}


def _check_fit(model: ModelSpec, config: ClipConfig, path: Path, described: Sequence[weights.Description]) -> None:
    models = {spec.name: spec.config for spec in clipbench_models()} | {model.name: model.config}
    weights.check_fit(path, model.name, config, models, described)


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
