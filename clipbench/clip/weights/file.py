"""A file of weights: what kind it is, and the parameters in what was read from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from clipbench.errors import NotReadyError

EXPECTED = "expected a state dict of a CLIP model, under the names of OpenAI, transformers or open_clip"
# What OpenAI's archives carry beside the parameters.
ARCHIVE_EXTRAS = ("input_resolution", "context_length", "vocab_size")
SHOWN = 5


def parameters_in(content: object, path: Path, tensor: type[Any]) -> dict[str, Any]:
    """Return the parameters by name in what the file ``path`` holds, whose tensors are of the type ``tensor``.

    They may be nested under "state_dict" or "model", have a "module." prefix, or be those of a run's checkpoint. Raises
    NotReadyError where it is no state dict.
    """
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, tensor) for v in content.values()):
        raise NotReadyError(f"{path}: no state dict in it, but {_outline(content)}; {EXPECTED}")
    names = {str(name): value for name, value in content.items()}
    if any(name.startswith("optimizer.") for name in names):  # a checkpoint of a run
        names = {name.removeprefix("model."): value for name, value in names.items() if name.startswith("model.")}
    return {name.removeprefix("module."): value for name, value in names.items() if name not in ARCHIVE_EXTRAS}


def read_safetensors(path: Path, framework: str) -> dict[str, Any]:
    """Return the tensors of a safetensors file as ``framework`` has them: ``numpy`` or ``torch``.

    Raises NotReadyError where the package safetensors is missing, or the file is damaged.
    """
    try:
        from safetensors import SafetensorError

        load_file = import_module(f"safetensors.{framework}").load_file
    except ImportError:
        raise NotReadyError(f"{path}: reading it takes the package safetensors: `pip install safetensors`") from None
    try:
        return load_file(path)  # type: ignore[no-any-return]
    except SafetensorError as error:
        raise NotReadyError(truncated(path) + f" (safetensors: {error})") from error
    except Exception as error:  # a wrong header raises anything
        raise NotReadyError(f"{path}: unreadable ({type(error).__name__}: {error}); {EXPECTED}") from error


Shapes = Mapping[str, tuple[int, ...]]


def check_names(
    path: Path, own: Shapes, found: Shapes, unusable: Sequence[str] = (), infinite: Sequence[str] = ()
) -> None:
    """Raise NotReadyError, with both shapes, unless the names and shapes ``found`` in ``path`` are a model's ``own``.

    ``unusable`` says of which type the tensors are that hold no real numbers; ``infinite`` are the names of those with
    a value that is not finite.
    """
    problems = [
        *_listed("missing", [f"{name} {own[name]}" for name in own if name not in found]),
        *_listed("unexpected", [f"{name} {found[name]}" for name in found if name not in own]),
        *_listed(
            "of another shape",
            [
                f"{name} is {found[name]}, the model's is {own[name]}"
                for name in own
                if name in found and found[name] != own[name]
            ],
        ),
        *_listed("of another type than real numbers", list(unusable)),
        *_listed("not finite", list(infinite)),
    ]
    if problems:
        raise NotReadyError(f"{path} does not fit the model. " + " ".join(problems) + " Is it another variant?")


def first_bytes(path: Path) -> bytes:
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


def is_safetensors(head: bytes) -> bool:
    """Return whether ``head`` is the length of a header in eight bytes and then the header, which is JSON."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def truncated(path: Path) -> str:
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
