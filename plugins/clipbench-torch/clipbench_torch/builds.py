"""The installed torch, before it is imported: what it was built for, and that it loads nothing else."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path


def built_without(key: str, name: str) -> str | None:
    """Return that torch is not installed, or was built without ``key`` of its version.py; None where it has it.

    Also None where the file is not as expected: then torch itself must be asked. ``name`` is what users call ``key``.
    """
    spec = find_spec("torch")
    if spec is None:
        return "torch is not installed"
    try:
        text = (Path(spec.origin or "").parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    version, found = (re.search(rf"^{word}\b.*=\s*(.+)$", text, re.MULTILINE) for word in ("__version__", key))
    if found is None or found[1].strip() != "None":
        return None
    installed = version[1].strip().strip("'\"") if version else ""
    return f"torch {installed} was built without {name}: install a build that has it (https://pytorch.org)"


def load_no_extensions() -> None:
    """Keep ``import torch`` from importing vendors' extensions, unless the user has set whether it does.

    A device imports its own extension. One that hangs or crashes must not take the other devices with it.
    """
    os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
