"""Where weights lie: a file, a model folder, or a model in the local cache of the Hugging Face hub. No network."""

import os
import re
from pathlib import Path

from clipbench.errors import NotReadyError

# What open_clip and transformers call their files, in the order in which they are taken. Where open_clip's file lies
# beside model.safetensors, that may be timm's, which has the vision tower alone.
NAMES = ("open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin", "pytorch_model.bin")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def hub_cache() -> Path:
    """Return the folder of the hub's local cache, as huggingface_hub chooses it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(variable):
            return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser() / "hub"


def hub_name(name: str) -> str | None:
    """Return ``ORG/NAME`` where ``name`` is that, or ``models--ORG--NAME`` as the cache writes it; else None."""
    if name.startswith("models--"):
        name = name.removeprefix("models--").replace("--", "/", 1)
    return name if _HUB_NAME.fullmatch(name) and not name.endswith(SUFFIXES) else None


def cached_model(name: str) -> Path:
    """Return the folder that the model ``ORG/NAME`` has in the hub's local cache."""
    return (hub_cache() / f"models--{name.replace('/', '--')}").absolute()


def find_weight_file(place: Path) -> Path | None:
    """Return ``place`` where it is a file, or the file of weights in the folder ``place``; None where there is none.

    A model of the hub's cache stands for its snapshot of ``main``, or for its only one. Raises NotReadyError where
    there are several, or where the weights are in several files.
    """
    # os.path: a name that is too long for the file system is no file either, and no error.
    if os.path.isfile(place):  # noqa: PTH113
        return place
    if not os.path.isdir(place):  # noqa: PTH112
        return None
    folder = _snapshot(place) if (place / "snapshots").is_dir() else place
    if folder is None:
        return None
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    for name in INDEXES:
        if (folder / name).is_file():
            raise NotReadyError(
                f"{folder}: its weights are split into several files ({name}), which is not read; "
                "join them: save_pretrained(FOLDER, max_shard_size='50GB') of transformers writes one file"
            )
    return None


def find_model_file(place: Path, name: str) -> Path | None:
    """Return ``place`` where it is a file, or ``name`` in the snapshot of a model in the hub's cache; else None."""
    if os.path.isfile(place):  # noqa: PTH113 -- see find_weight_file
        return place
    folder = _snapshot(place) if os.path.isdir(place / "snapshots") else None  # noqa: PTH112
    return folder / name if folder and (folder / name).is_file() else None


def _snapshot(model: Path) -> Path | None:
    """Return the folder of the snapshot to use of a model in the hub's cache."""
    reference = model / "refs" / "main"
    if reference.is_file():
        commit = reference.read_text(encoding="ascii", errors="replace").strip()
        if re.fullmatch(r"\w+", commit) and (model / "snapshots" / commit).is_dir():
            return model / "snapshots" / commit
    snapshots = sorted(path for path in (model / "snapshots").iterdir() if path.is_dir())
    if len(snapshots) > 1:
        names = ", ".join(path.name for path in snapshots)
        raise NotReadyError(f"{model}: several snapshots ({names}), and none of them is main; name the folder of one")
    return snapshots[0] if snapshots else None
