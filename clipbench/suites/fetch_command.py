"""The one command that gets what cases lack."""

import shlex
from collections.abc import Iterable, Sequence

from clipbench.api.config import Case
from clipbench.files.bundled import shipped_suites
from clipbench.suites.loading import load_suite
from clipbench.suites.plan import ModelPlan, default_root


def fetch_command(plans: Sequence[ModelPlan]) -> str:
    """Return the command that gets the files that the cases lack, as far as it can; empty where it can get none.

    It names the suite where that ships and these cases need the same files as its own, else each thing by its name.
    """
    fetched = [(missing.fetch, plan.root) for plan in plans for missing in plan.missing if missing.fetch]
    if not fetched:
        return ""
    words = list(dict.fromkeys(name for name, _ in fetched))
    if _is_shipped(plans[0].case.suite, [plan.case for plan in plans]):
        words = [plans[0].case.suite]
    root = fetched[0][1]
    if root != default_root():
        words += ["--root", str(root)]
    return f"clipbench fetch {shlex.join(words)}"


def _is_shipped(name: str, cases: Sequence[Case]) -> bool:
    """Return whether ``name`` is a suite that ships, and its cases need the same files as these."""
    path = next((path for path in shipped_suites() if path.stem == name), None)
    return path is not None and _files(load_suite(path).cases) == _files(cases)


def _files(cases: Iterable[Case]) -> set[tuple[str, ...]]:
    models = [(case.dataset.name, case.model) for case in cases]
    return {(name, str(model.weights), str(model.text_weights), str(model.vocabulary)) for name, model in models}
