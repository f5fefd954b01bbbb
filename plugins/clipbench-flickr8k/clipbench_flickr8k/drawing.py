"""Pictures of scenes: two flat shapes on a flat background."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from clipbench_flickr8k.scenes import BACKGROUNDS, COLOURS, GRID, Scene, Thing

# Drawn this much larger and averaged down: Pillow's shapes have hard edges.
OVERSAMPLING = 4
# In shares of the picture's side; the largest shape stays in its cell even with the largest jitter.
RADIUS = {"small": 0.14, "large": 0.215}
JITTER = 0.02

Point = tuple[float, float]


def centre(thing: Thing, rng: random.Random) -> Point:
    """Return the centre (x, y) of an object in shares of the picture's side: that of its cell, moved a little."""
    dx, dy = ((2 * rng.random() - 1) * JITTER for _ in range(2))
    return (thing.column + 0.5) / GRID + dx, (thing.row + 0.5) / GRID + dy


def draw(scene: Scene, size: int, rng: random.Random) -> Image.Image:
    """Return the picture of ``scene``: RGB, ``size`` pixels square; ``rng`` moves the objects a little."""
    big = size * OVERSAMPLING
    picture = Image.new("RGB", (big, big), BACKGROUNDS[scene.background])
    pen = ImageDraw.Draw(picture)
    for thing in (scene.first, scene.second):
        x, y = centre(thing, rng)
        _draw_thing(pen, thing, x * big, y * big, RADIUS[thing.size] * big, BACKGROUNDS[scene.background])
    return picture.reduce(OVERSAMPLING)


def _draw_thing(
    pen: ImageDraw.ImageDraw, thing: Thing, x: float, y: float, r: float, behind: tuple[int, int, int]
) -> None:
    colour = COLOURS[thing.colour]
    if thing.shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif thing.shape == "square":
        half = 0.85 * r
        pen.rectangle((x - half, y - half, x + half, y + half), fill=colour)
    elif thing.shape == "triangle":
        pen.polygon(_polygon(x, y + 0.15 * r, [1.15 * r] * 3), fill=colour)
    elif thing.shape == "star":
        pen.polygon(_polygon(x, y, [1.05 * r, 0.43 * r] * 5), fill=colour)
    elif thing.shape == "cross":
        thin = 0.3 * r
        pen.rectangle((x - r, y - thin, x + r, y + thin), fill=colour)
        pen.rectangle((x - thin, y - r, x + thin, y + r), fill=colour)
    else:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        hole = 0.55 * r
        pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=behind)


def _polygon(x: float, y: float, radii: list[float]) -> list[Point]:
    """Return corners at equal angles around (x, y), the first straight up."""
    step = 2 * math.pi / len(radii)
    return [(x + r * math.sin(i * step), y - r * math.cos(i * step)) for i, r in enumerate(radii)]
