"""The histogram of cosines as the path of an SVG, and the similarity matrix as a PNG."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from clipbench.results.retrieved import Histogram

WIDTH, HEIGHT = 400, 120  # of the histogram's plot, in units of its SVG
MOST_STEPS = 80
# Colours of the matrix, from the lowest to the highest: even steps in lightness, and told apart by the colour-blind.
COLOURS = ((20, 12, 60), (40, 60, 140), (30, 120, 150), (60, 180, 120), (180, 220, 70), (255, 250, 190))


@dataclass(frozen=True)
class HistogramDrawing:
    """Outlines of the ``true`` and ``false`` pairs' shares, ``ticks`` (x, words), and the mean cosine of each."""

    true: str
    false: str
    ticks: tuple[tuple[float, str], ...]
    true_mean: float
    false_mean: float
    pairs: tuple[int, int]


def histogram_drawing(histogram: Histogram) -> HistogramDrawing:
    """Return the drawing over the cosines that occur; each outline is of the shares of its own pairs."""
    count = len(histogram.true)
    occurring = [index for index in range(count) if histogram.true[index] or histogram.false[index]] or [count // 2]
    step = math.ceil((occurring[-1] + 1 - occurring[0]) / MOST_STEPS)
    starts = range(occurring[0], occurring[-1] + 1, step)
    shares = [
        [_sum(counts, at, step) / max(1, sum(counts)) for at in starts] for counts in (histogram.true, histogram.false)
    ]
    highest = max(max(side) for side in shares) or 1.0
    true, false = (_outline([share / highest for share in side]) for side in shares)
    low, high = (2 * edge / count - 1 for edge in (starts[0], starts[-1] + step))
    pairs = sum(histogram.true), sum(histogram.false)
    return HistogramDrawing(true, false, _ticks(low, high), _mean(histogram.true), _mean(histogram.false), pairs)


def matrix_png(matrix: Sequence[Sequence[float]]) -> tuple[str, float, float]:
    """Return the matrix as the base64 of a PNG, a pixel for each value, and its lowest and highest value."""
    values = [value for row in matrix for value in row]
    low, high = min(values), max(values)
    image = Image.new("P", (len(matrix[0]), len(matrix)))
    image.putpalette([channel for level in range(256) for channel in _colour(level / 255)])
    image.putdata([round(255 * (value - low) / ((high - low) or 1.0)) for value in values])
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii"), low, high


def _colour(share: float) -> tuple[int, ...]:
    at = share * (len(COLOURS) - 1)
    below = min(int(at), len(COLOURS) - 2)
    pair = zip(COLOURS[below], COLOURS[below + 1], strict=True)
    return tuple(round(one + (other - one) * (at - below)) for one, other in pair)


def _sum(counts: Sequence[int], start: int, step: int) -> int:
    return sum(counts[start : start + step])


def _mean(counts: Sequence[int]) -> float:
    """Return the mean cosine of the pairs that are counted, each taken at the middle of its bin."""
    middles = (2 * (index + 0.5) / len(counts) - 1 for index in range(len(counts)))
    return sum(count * middle for count, middle in zip(counts, middles, strict=True)) / max(1, sum(counts))


def _outline(heights: Sequence[float]) -> str:
    """Return steps of these heights (0..1) as the path of an area."""
    wide = WIDTH / len(heights)
    steps = (f"V{HEIGHT * (1 - height):.1f}H{(at + 1) * wide:.1f}" for at, height in enumerate(heights))
    return f"M0,{HEIGHT}{''.join(steps)}V{HEIGHT}Z"


def _ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return about five round values between ``low`` and ``high``, and where they stand."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough)
    values = [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return tuple((WIDTH * (value - low) / (high - low), f"{value:.2f}".replace("-", "−")) for value in values)
