"""What is asked for: items by name, or those that a suite needs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from clipbench.api import Missing
from clipbench.api.registry import Registry
from clipbench.errors import UsageError, did_you_mean
from clipbench.fetch.catalogue import Catalogue, Item
from clipbench.files.bundled import shipped_suites
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import Plan, default_root, make_plan

Wanted = tuple[list[tuple[Item, Path]], list[Plan]]


def find_wanted(words: Sequence[str], root: Path | None, registry: Registry, catalogue: Catalogue) -> Wanted:
    """Return the items, each with its data root, that ``words`` come to, and the plans of the suites among them.

    A word names an item or a suite; one that is neither is a UsageError. ``root`` None is each suite's own data root.
    """
    place = default_root() if root is None else root.expanduser().absolute()
    plans = [plan for word in words if word not in catalogue for plan in _plans(word, root, registry, catalogue)]
    named = [(catalogue[word], place) for word in words if word in catalogue]
    needed = [(item, plan.root) for plan in plans for item in _items_of(plan, catalogue)]
    return list({(item.name, folder): (item, folder) for item, folder in named + needed}.values()), plans


def still_missing(plans: Sequence[Plan], registry: Registry) -> tuple[Missing, ...]:
    """Return what the cases of these plans lack by now."""
    return tuple(dict.fromkeys(missing for plan in plans for missing in make_plan(plan.case, registry).missing))


def _plans(word: str, root: Path | None, registry: Registry, catalogue: Catalogue) -> list[Plan]:
    """Return the plan of each case of a suite, by its name or file, with ``root`` for its data root where given."""
    try:
        path = find_suite(word)
    except UsageError as error:
        nearest = did_you_mean(word, [*catalogue, *(path.stem for path in shipped_suites())])
        raise UsageError(f"{error}; nor a name that can be fetched (clipbench fetch --list); {nearest}") from error
    overrides = [] if root is None else [f"dataset.root={json.dumps(str(root))}"]
    return [make_plan(case, registry) for case in load_suite(path, overrides).cases]


def _items_of(plan: Plan, catalogue: Catalogue) -> Iterator[Item]:
    """Yield each item that the case cannot do without and that is not there, or that lies there to be checked."""
    needed = {missing.fetch for missing in plan.missing}
    for item in catalogue.values():
        places = [file.place(plan.root) for file in item.files]
        if item.name in needed or plan.vocabulary in places or plan.weights in places:
            yield item
