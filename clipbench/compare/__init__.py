"""Compare: results held against references and baselines.

Python programs call the room itself: ``clipbench.compare("results")`` is ``clipbench.compare.gate.compare_results``.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A package that can be called: Python gives the name ``clipbench.compare`` to it, whatever else would have it."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        from clipbench.compare.gate import compare_results

        return compare_results(*arguments, **named)


sys.modules[__name__].__class__ = _Room
