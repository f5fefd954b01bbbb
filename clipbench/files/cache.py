"""The user's folder for what can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return it: ``CLIPBENCH_CACHE``, else ``clipbench`` in the user's cache."""
    if chosen := os.environ.get("CLIPBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "clipbench"
