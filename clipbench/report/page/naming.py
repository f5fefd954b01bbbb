"""What runs are called: by what tells them apart from those that they are shown with."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from clipbench.api.plain import leaves, value_at
from clipbench.api.result import Result
from clipbench.compare.comparability import difference_name
from clipbench.report.judgement.wording import devices
from clipbench.report.page.words import when

# How a trait is said; any other is a key of the configuration, which is said by its last part.
TRAITS = {
    "device": "{}",
    "engine": "{}",
    "precision": "{}",
    "weights": "{}",
    "train.batch_size": "batch {}",
    "seed": "seed {}",
}
MOST_SETTINGS = 3  # keys of the configuration in a name
SHORT_COMMIT = 7
Traits = Mapping[str, str]


def differing_traits(results: Sequence[Result]) -> list[Traits]:
    """Return of each result what it was made with, by trait: those in which the results of its suite differ.

    These are the ones of ``TRAITS``, in their order, then keys of the configuration that count when results are
    compared, or that a matrix has chosen.
    """
    traits = [dict(_traits(result)) for result in results]
    values: dict[str, dict[str, set[str]]] = {}
    for result, own in zip(results, traits, strict=True):
        for key, value in own.items():
            values.setdefault(result.suite, {}).setdefault(key, set()).add(value)
    return [
        {key: value for key, value in own.items() if len(values[result.suite][key]) > 1}
        for result, own in zip(results, traits, strict=True)
    ]


def names(results: Sequence[Result]) -> list[str]:
    """Return what tells each result apart from the others, in words, but for its commit and the time of its start.

    The case's name is there where there are several, or nothing else; two results can come to the same name.
    """
    several = len({case_of(result) for result in results}) > 1
    return [
        _name(case_of(result), traits, several)
        for result, traits in zip(results, differing_traits(results), strict=True)
    ]


def labels(results: Sequence[Result], given: Sequence[str]) -> list[str]:
    """Return the ``given`` names, all different: those that are there twice get commit, start or id until they are."""
    mores: tuple[Callable[[Result], str], ...] = (source_of, lambda one: when(one.started), lambda one: one.run_id)
    for more in mores:
        there: dict[str, set[str]] = {}
        for name, result in zip(given, results, strict=True):
            there.setdefault(name, set()).add(more(result))
        pairs = zip(given, results, strict=True)
        given = [f"{name}, {more(result) or 'no commit'}" if len(there[name]) > 1 else name for name, result in pairs]
    return list(given)


def source_of(result: Result) -> str:
    """Return the commit in short, marked where it had uncommitted changes; nothing for an installed package."""
    commit = (result.clipbench.commit or "")[:SHORT_COMMIT]
    return f"{commit} dirty" if result.clipbench.dirty else commit


def case_of(result: Result) -> str:
    """Return the name of the case without the choices of a matrix."""
    return result.case.partition("@")[0]


def trait_words(key: str, value: str) -> str:
    """Return a trait as a name has it."""
    return TRAITS[key].format(value) if key in TRAITS else f"{key.rpartition('.')[2]} {value}"


def _name(case: str, traits: Traits, several: bool) -> str:
    settings = [key for key in traits if key not in TRAITS][:MOST_SETTINGS]
    words = [trait_words(key, value) for key, value in traits.items() if key in TRAITS or key in settings]
    return ", ".join([case, *words] if several or not words else words)


def _traits(result: Result) -> Iterator[tuple[str, str]]:
    yield "device", devices(result.device_name, result.world_size)
    yield "engine", result.engine or "engine unknown"
    yield "precision", result.precision or "precision unknown"
    yield "weights", str(result.weights and (result.weights.published or result.weights.source))
    yield "train.batch_size", str(value_at(result, "config.train.batch_size", "unknown"))
    yield "seed", str(result.seed)
    chosen = {choice.partition("=")[0] for choice in result.case.partition("@")[2].split(",")}
    for key, value in leaves(result.config):
        if (difference_name(f"config.{key}") or key in chosen) and key not in (*TRAITS, "world_size"):
            yield key, f"{value:g}" if isinstance(value, float) else str(value)
