"""What pages need beside clipbench's own requirements: the extra ``report``."""

import importlib.util

from clipbench.errors import NotReadyError

EXTRA = {"jinja2": "Jinja2", "vl_convert": "vl-convert-python"}


def check_extra() -> None:
    """Raise NotReadyError where the extra is not installed."""
    if missing := [name for module, name in EXTRA.items() if importlib.util.find_spec(module) is None]:
        raise NotReadyError(
            f"clipbench report needs {' and '.join(missing)}, which this installation lacks; "
            "install with: pip install 'clipbench[report]'"
        )
