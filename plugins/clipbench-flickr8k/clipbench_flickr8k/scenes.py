"""Scenes of generated pictures: all combinations of attributes, each with a number."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

# Bright on dark, so that a small model learns places and shapes before colours, within a minute. Far apart from one
# another, so that JPEG does not blur the difference.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 55, 55),
    "green": (40, 215, 70),
    "blue": (70, 120, 255),
    "yellow": (255, 235, 50),
    "purple": (190, 90, 255),
    "orange": (255, 155, 30),
    "pink": (255, 160, 210),
    "cyan": (60, 230, 240),
    "white": (255, 255, 255),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "navy": (0, 10, 90),
    "maroon": (90, 0, 15),
    "olive": (70, 75, 0),
    "teal": (0, 75, 80),
    "grey": (75, 75, 75),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = ("small", "large")
# Cells of a grid of two by two, row by row.
GRID = 2
PLACES = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class Thing:
    """One object in a picture; ``place`` is a cell of the grid, counted row by row."""

    size: str
    colour: str
    shape: str
    place: int

    @property
    def row(self) -> int:
        return self.place // GRID

    @property
    def column(self) -> int:
        return self.place % GRID


@dataclass(frozen=True)
class Scene:
    """All attributes of one picture; the objects differ in colour, and the first one's place comes first."""

    background: str
    first: Thing
    second: Thing


_PAIRS_OF_PLACES = [(a, b) for a in range(GRID * GRID) for b in range(a + 1, GRID * GRID)]
_RADICES = (
    len(BACKGROUNDS),
    len(_PAIRS_OF_PLACES),
    len(SIZES),
    len(COLOURS),
    len(SHAPES),
    len(SIZES),
    len(COLOURS) - 1,
    len(SHAPES),
)
COMBINATIONS = math.prod(_RADICES)


def scene(number: int) -> Scene:
    """Return scene ``number`` of 0 .. COMBINATIONS - 1, from its digits in mixed radix, so that all scenes differ."""
    digits = []
    for radix in _RADICES:
        number, digit = divmod(number, radix)
        digits.append(digit)
    background, places, size1, colour1, shape1, size2, step, shape2 = digits
    colours = tuple(COLOURS)
    place1, place2 = _PAIRS_OF_PLACES[places]
    return Scene(
        background=tuple(BACKGROUNDS)[background],
        first=Thing(SIZES[size1], colours[colour1], SHAPES[shape1], place1),
        second=Thing(SIZES[size2], colours[(colour1 + 1 + step) % len(colours)], SHAPES[shape2], place2),
    )


def draw_numbers(count: int, seed: int) -> list[int]:
    """Return ``count`` different scene numbers in random order, ``count`` being well below COMBINATIONS.

    Only ``Random.random`` is used: the one method whose sequence Python promises to keep for a seed.
    """
    rng = random.Random(seed)
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[int(rng.random() * COMBINATIONS)] = None
    return list(chosen)
