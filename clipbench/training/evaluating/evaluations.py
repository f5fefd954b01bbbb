"""The evaluations that clipbench brings, offered by the hook that plugins have.

Hooks only: what computes is imported when a case needs it, not when plugins are listed.
"""

from __future__ import annotations

from clipbench.api import EvaluationSpec, hookimpl
from clipbench.results.measures.names import ACCURACY_NAMES, RECALL_NAMES, UNITS_AND_DIRECTIONS


@hookimpl
def clipbench_evaluations() -> list[EvaluationSpec]:
    return [
        EvaluationSpec(
            "retrieval",
            "captions for pictures and pictures for captions: R@1, R@5, R@10 and their means",
            "clipbench.training.evaluating.retrieval:Retrieval",
            {name: UNITS_AND_DIRECTIONS[name] for name in RECALL_NAMES},
        ),
        EvaluationSpec(
            "classification",
            "the class of each picture by the names of the classes: acc1, acc5, mean per class",
            "clipbench.training.evaluating.classification:Classification",
            {name: UNITS_AND_DIRECTIONS[name] for name in ACCURACY_NAMES},
        ),
    ]
