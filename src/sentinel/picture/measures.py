"""What is measured of one picture: numbers between 0 and 1 that say nothing of good or bad.

A measure that means nothing for a picture is left out: nobody can say whether a black picture is blurred.  The order
is: black as a whole, white as a whole, uniform; what comes later is measured of pictures that are none of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sentinel.picture.planes import Floats, Levels, Mask, Planes

BLACK: Final = 0.1
"""A picture whose peak is below this is black as a whole, where it has no colour either."""
UNLIT: Final = 0.04
"""And one whose mean is below this: a caption is no light."""
COLOURLESS: Final = 0.08
"""Mean distance from grey below which a picture has no colour: blue is as dark as black to look at its luma."""
WHITE: Final = 0.97
"""A picture of which this share is next to white is white as a whole."""
UNIFORM: Final = 0.95
"""A picture of which this share has one colour is uniform: its edges are those of a caption."""
COVERED: Final = 0.65
"""A picture of which this share is featureless has too few edges of its own."""
TEST_CARD: Final = 0.3
"""A picture of which this share is in the colours of a test card is one: bars are no stripes, and cover nothing."""
SNOW: Final = 0.1
"""A picture whose grain is as strong as this has no edges that could be told from it."""

_ALIKE = 4
"""Levels by which pixels of one colour may differ."""
_BLOCK = 8
"""Pixels of the small picture across a block that is featureless or not."""
_FLAT = 2.0
"""Mean difference of neighbouring pixels below which a block is featureless, in levels."""
_CONTRAST = 18.0
"""Levels between the darkest and the brightest of a patch that has an edge to look at."""
_STRONG = 40.0
"""Levels of chroma from which a colour is a strong one: the bars of a card have 60 and more."""
_PLAIN = 0.02
"""Share of the picture that one plain colour takes, at least."""
_HUES = 4
"""Of the six hues of colour bars, how many must be there."""
_VEIL = 24
"""Levels of stray light over all, at most: more is a scene's own."""
_STEPS = 1.5
"""Levels of a slope that quantisation makes."""
_EXTREME = 1.4
"""The steepest slope that grain makes in a patch, to its standard deviation."""
_FAINT = 9.0
"""Variance in levels that is no contrast."""

Patches = npt.NDArray[np.float32]
"""Patch, row, column: levels of luma, unscaled."""


def brightness(levels: Levels, looked_at: Mask | None) -> dict[str, float]:
    """Mean, peak and share next to white, of the small luma."""
    counts = np.bincount((levels if looked_at is None else levels[looked_at]).ravel(), minlength=256)
    total = max(1, int(counts.sum()))
    reach = np.cumsum(counts[::-1])
    peak = 255 - int(np.searchsorted(reach, 0.005 * total))
    return {
        "picture_luma_mean_ratio": float(counts @ np.arange(256)) / total / 255,
        "picture_luma_peak_ratio": peak / 255,
        "picture_bright_ratio": int(counts[240:].sum()) / total,
    }


def uniformity(planes: Planes, looked_at: Mask | None) -> float:
    """Share of the picture that has its most frequent colour, within a few levels."""
    luma, blue, red, keep = _sampled(planes, looked_at)
    alike = np.ones(luma.shape, np.bool_)
    for plane in (luma, blue, red):
        values = plane.astype(np.int16) + 128
        counts = np.bincount((values if keep is None else values[keep]).ravel(), minlength=400)
        near = np.convolve(counts, np.ones(2 * _ALIKE + 1, np.int64), "same")
        alike &= np.abs(values - int(np.argmax(near))) <= _ALIKE
    return float((alike if keep is None else alike[keep]).mean()) if keep is None or keep.any() else 0.0


def test_card(planes: Planes, looked_at: Mask | None) -> float:
    """Share of the picture in plain strong colours of at least four of the hues of colour bars; else 0.

    A colour is a cell of eight levels of luma and chroma: what has texture or shade is in many, and in none of them
    enough.
    """
    luma, blue, red, keep = _sampled(planes, looked_at)
    strong = np.hypot(blue, red) > _STRONG
    total = luma.size
    if keep is not None:
        strong &= keep
        total = max(1, int(keep.sum()))
    levels = luma[strong].astype(np.intp) >> 3
    across, down = ((plane[strong] + 128).astype(np.intp) >> 3 for plane in (blue, red))
    cells = levels << 10 | across << 5 | down
    counts = np.bincount(cells, minlength=1 << 15)
    plain = counts[cells] >= _PLAIN * total
    # Red, yellow, green, cyan, blue and magenta are about sixty degrees apart, the first at about 110.
    angle = np.degrees(np.arctan2(red[strong][plain], blue[strong][plain]))
    shares = np.bincount(((angle + 280) % 360 // 60).astype(np.intp), minlength=6) / total
    return float(shares.sum()) if (shares >= _PLAIN).sum() >= _HUES else 0.0


def cast(planes: Planes, looked_at: Mask | None) -> float | None:
    """Colour, relative to light, of what should be grey; None where all is dark or white.

    That is what is nearest to grey, and what is brightest: a scene has something grey in it, and light is mostly
    white, unless all colours have moved.  The geometric mean of both; a lost channel gives about 0.4.
    """
    luma, blue, red, keep = _sampled(planes, looked_at)
    medium = (luma > 40) & (luma < 240)
    if keep is not None:
        medium &= keep
    if medium.mean() < 0.05:
        return None
    veil = min(_VEIL, int(np.percentile(luma if keep is None else luma[keep], 1)))  # stray light has no colour
    light = luma[medium].astype(np.float32) - np.float32(veil)
    tints = (np.hypot(blue[medium], red[medium]) / light).astype(np.float32)
    brightest = tints[light >= _ranked(light, 0.9)]
    return float(np.sqrt(_ranked(tints, 0.1) * _ranked(brightest, 0.25)))


def _sampled(planes: Planes, looked_at: Mask | None) -> tuple[Levels, Floats, Floats, Mask | None]:
    """Every fourth pixel of the small luma, with the chroma at the same place, and whether it is looked at."""
    blue, red = planes.blue[::2, ::2], planes.red[::2, ::2]
    rows, columns = blue.shape
    keep = None if looked_at is None else looked_at[::4, ::4][:rows, :columns]
    return planes.small[::4, ::4][:rows, :columns], blue, red, keep


def _ranked(values: npt.NDArray[np.float32], share: float) -> float:
    place = min(len(values) - 1, int(len(values) * share))
    return float(np.partition(values, place)[place])


def colour(planes: Planes) -> float:
    """Mean distance of all colours from grey."""
    return float(np.hypot(planes.blue[::2, ::2], planes.red[::2, ::2]).mean()) / 255


def coverage(levels: Levels, looked_at: Mask | None) -> float:
    """Share of featureless blocks that are neither dark nor next to white."""
    levels = levels[::2]  # every other row will do
    looked_at = None if looked_at is None else looked_at[::2]
    rows, columns = levels.shape[0] * 2 // _BLOCK, levels.shape[1] // _BLOCK
    if not rows or not columns:
        return 0.0
    cut = levels[: rows * _BLOCK // 2, : columns * _BLOCK].astype(np.int16)
    steps = np.zeros(cut.shape, np.int16)
    steps[:, 1:] = np.abs(np.diff(cut, axis=1))
    steps[1:] += np.abs(np.diff(cut, axis=0))
    flat = _blocks(steps, rows, columns) < _FLAT
    level = _blocks(cut, rows, columns)
    featureless = flat & (level > 20) & (level < 240)
    if looked_at is None:
        return float(featureless.mean())
    kept = _blocks(looked_at[: rows * _BLOCK // 2, : columns * _BLOCK], rows, columns) > 0.5
    return float(featureless[kept].mean()) if kept.any() else 0.0


def _blocks(values: npt.NDArray[Any], rows: int, columns: int) -> Floats:
    means: Floats = values.reshape(rows, _BLOCK // 2, columns, _BLOCK).mean(axis=(1, 3), dtype=np.float32)
    return means


def noise(patches: Patches) -> float:
    """Standard deviation of the grain, from the quarter of the patches that have least of it (Immerkaer, 1996)."""
    patches = patches[::3]
    rows = patches[:, :-2] - 2 * patches[:, 1:-1] + patches[:, 2:]
    grain = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    each = np.abs(grain).mean(axis=(1, 2)) * float(np.sqrt(np.pi / 2)) / 6
    return float(np.percentile(each, 25)) / 255


def sharpness(patches: Patches, grain: float) -> float | None:
    """The steepest slope of edges, to a pixel, as a share of their height; None where the picture has no edges.

    An edge that a lens has blurred by a standard deviation of s pixels has 0.4 / s.
    """
    height = patches.max(axis=(1, 2)) - patches.min(axis=(1, 2))
    edges = int((height > _CONTRAST).sum())
    if edges < max(3, len(patches) // 20):
        return None
    highest = np.argsort(height)[-max(3, edges // 2) :]  # grain matters least there
    patches, height = patches[highest], height[highest]
    softened = (patches[:, :-2] + 2 * patches[:, 1:-1] + patches[:, 2:]) / 4  # takes half of the grain away
    across = np.abs(softened[:, :, 2:] - softened[:, :, :-2]) / 2
    softened = (patches[:, :, :-2] + 2 * patches[:, :, 1:-1] + patches[:, :, 2:]) / 4
    down = np.abs(softened[:, 2:] - softened[:, :-2]) / 2
    slope = np.maximum(across, down).max(axis=(1, 2)) - np.float32(_STEPS + _EXTREME * grain * 255)
    return max(0.0, float(np.percentile(slope / height, 75)))


def stripes(planes: Planes) -> float | None:
    """How well one pattern explains the fine contrast of every line: of whole rows, or of whole columns.

    The share of a line's variance that goes when the mean of all lines is taken from it, band by band; what all
    but the worst reach counts.  Stripes are all over the picture, a horizon or a row of things is
    not.  Some twenty pixels along each line are looked at.
    """
    shares = []
    for lines in (planes.luma[:, :: _step(planes.luma.shape[1])], planes.luma[:: _step(planes.luma.shape[0])].T):
        window = max(5, len(lines) // 48) | 1
        bands = len(lines) // (2 * window)
        if bands < 3 or lines.shape[1] < 16:
            continue
        levels = lines[: bands * 2 * window].astype(np.float32)
        fine = (_high(levels, window) * np.float32(planes.scale)).reshape(bands, 2 * window, -1)
        pattern = fine.mean(axis=2)
        own = np.square(fine).sum(axis=1)
        goes = 2 * np.matmul(pattern[:, None], fine)[:, 0] - np.square(pattern).sum(axis=1)[:, None]
        shares.append(max(0.0, float(np.percentile(goes / (own + _FAINT * 2 * window), 15))))
    return max(shares, default=None)


def _step(size: int) -> int:
    return max(1, min(90, size // 20))


def _high(lines: Floats, window: int) -> Floats:
    """Lines without what is wider than the window: the mean of so many neighbours, of the outermost at the ends."""
    half = window // 2
    lines = lines - lines[0]  # sums stay small: float32 is exact enough
    sums = np.empty((len(lines) + 1, lines.shape[1]), np.float32)
    sums[0] = 0
    np.cumsum(lines, axis=0, out=sums[1:])
    lines[half : len(lines) - half] -= (sums[window:] - sums[:-window]) / np.float32(window)
    lines[:half] -= sums[window] / np.float32(window)
    lines[len(lines) - half :] -= (sums[-1] - sums[-1 - window]) / np.float32(window)
    return lines
