"""Captions of a scene, in several wordings."""

from __future__ import annotations

import random
from itertools import combinations

from clipbench_flickr8k.scenes import COLOURS, PLACES, Scene, Thing

CAPTIONS_PER_PICTURE = 5

SYNONYMS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little"),
    "large": ("large", "big"),
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "cross": ("cross", "plus"),
    "ring": ("ring", "hoop"),
}
# Share of phrases that name the size; most pictures differ in more than that.
SIZE_NAMED = 0.4

# The objects {one} and {other} are in the cells {here} and {there}; {one} is {relation} {other}.
TEMPLATES = (
    "{one} at the {here} and {other} at the {there} on {background}",
    "{here} {one}, {there} {other}, {background} background",
    "{background} picture, {one} {here}, {other} {there}",
    "on {background}, {one} in the {here} and {other} in the {there}",
    "{one} {here} {relation} {other} {there}",
    "{one} {relation} {other} in the {there} on {background}",
    "{other} at the {there}, {one} {relation} it, {background} background",
)

# Classes of pictures: the two colours, whichever shape has which.
COLOUR_PAIRS = tuple(" and ".join(pair) for pair in combinations(sorted(COLOURS), 2))
CLASS_TEMPLATES = ("{}", "a {} shape", "a {} picture")


def colour_pair(scene: Scene) -> str:
    """Return the name of the class that a picture of ``scene`` is of."""
    return " and ".join(sorted((scene.first.colour, scene.second.colour)))


def captions(scene: Scene, rng: random.Random) -> list[str]:
    """Return five captions of ``scene``, each from a different template.

    Each says the colour and shape of both objects and enough of their places to tell most pictures apart.
    """
    templates = list(TEMPLATES)
    return [
        _caption(templates.pop(int(rng.random() * len(templates))), scene, rng) for _ in range(CAPTIONS_PER_PICTURE)
    ]


def relations(one: Thing, other: Thing) -> tuple[str, ...]:
    """Return how ``one`` stands to ``other``: one relation if they share a row or a column, else two."""
    across = {-1: ("left of",), 0: (), 1: ("right of",)}[_sign(one.column - other.column)]
    down = {-1: ("above",), 0: (), 1: ("below",)}[_sign(one.row - other.row)]
    return across + down


def _sign(x: int) -> int:
    return (x > 0) - (x < 0)


def _caption(template: str, scene: Scene, rng: random.Random) -> str:
    one, other = (scene.first, scene.second) if rng.random() < 0.5 else (scene.second, scene.first)
    return template.format(
        one=_noun_phrase(one, rng),
        other=_noun_phrase(other, rng),
        here=PLACES[one.place],
        there=PLACES[other.place],
        relation=_pick(relations(one, other), rng),
        background=scene.background,
    )


def _noun_phrase(thing: Thing, rng: random.Random) -> str:
    words = [_pick(SYNONYMS.get(word, (word,)), rng) for word in (thing.size, thing.colour, thing.shape)]
    if rng.random() >= SIZE_NAMED:
        del words[0]
    return f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"


def _pick(words: tuple[str, ...], rng: random.Random) -> str:
    return words[int(rng.random() * len(words))]
