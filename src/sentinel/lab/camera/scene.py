"""What the lab's cameras see: a brick wall, colour bars, a clock whose hand goes round once a clip, its time, a ball.

Picture diagnosis finds nothing wrong with it: it has texture and a sensor's grain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

WIDTH: Final = 640
HEIGHT: Final = 360
RATE: Final = 25
"""Pictures a second."""
SECONDS: Final = 13
"""Length of the clip, which is played round and round: long enough, and prime, so that looks at usual intervals see
other pictures for a while."""

Picture = npt.NDArray[np.uint8]

LIVE: Final = "scene"
FROZEN: Final = "frozen"
BLACK: Final = "black"
NO_SIGNAL: Final = "no-signal"
SNOW: Final = "snow"

_BARS: Final = ((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191))
_WHITE, _DARK, _AMBER = (235, 235, 235), (24, 28, 36), (255, 176, 32)
_BRICK: Final = (112, 96, 84)
_MORTAR: Final = (168, 164, 158)
_GRAIN: Final = 2.0
"""Standard deviation in levels of what the sensor adds."""

# Which of the seven segments a figure lights: top, upper left, upper right, middle, lower left, lower right, bottom.
_FIGURES: Final = {
    "0": "1110111", "1": "0010010", "2": "1011101", "3": "1011011", "4": "0111010",
    "5": "1101011", "6": "1101111", "7": "1010010", "8": "1111111", "9": "1111011",
}  # fmt: skip
_SEGMENTS: Final = (
    (0, 0, 5, 1), (0, 0, 1, 5), (4, 0, 5, 5), (0, 4, 5, 5), (0, 4, 1, 9), (4, 4, 5, 9), (0, 8, 5, 9),
)  # fmt: skip


def pictures(name: str = LIVE) -> Iterator[Picture]:
    """The pictures of one clip in their order: height x width x 3, RGB; a second of them where nothing moves."""
    if name == LIVE:
        yield from _live()
    elif name == SNOW:
        yield from _snow()
    else:
        still = {FROZEN: next(_live()), BLACK: _plain((0, 0, 0)), NO_SIGNAL: _plain((0, 0, 200))}[name]
        for _ in range(RATE):
            yield still


def length(name: str) -> int:
    """How many ``pictures`` gives."""
    return RATE * (SECONDS if name in (LIVE, SNOW) else 1)


def _snow() -> Iterator[Picture]:
    random = np.random.default_rng(2026)
    for _ in range(length(SNOW)):
        yield np.repeat(random.integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8), 3, 2)


def _plain(colour: tuple[int, int, int]) -> Picture:
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = colour
    return picture


def _live() -> Iterator[Picture]:
    ground = _ground()
    random = np.random.default_rng(2025)
    grain = np.rint(random.standard_normal((2 * HEIGHT, 2 * WIDTH, 1), np.float32) * _GRAIN).astype(np.int16)
    for number in range(length(LIVE)):
        picture = ground.copy()
        share = number / (RATE * SECONDS)
        _hand(picture, share)
        _ball(picture, share)
        _time(picture, number / RATE)
        row, column = random.integers(0, (HEIGHT, WIDTH))
        yield np.clip(picture + grain[row : row + HEIGHT, column : column + WIDTH], 0, 255).astype(np.uint8)


def _ground() -> Picture:
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    courses, along = rows // 18, columns + rows // 18 % 2 * 24
    picture[:] = np.where(((rows % 18 < 2) | (along % 48 < 2))[..., None], _MORTAR, _BRICK)
    random = np.random.default_rng(18)
    tones = random.integers(-24, 25, (HEIGHT // 18 + 1, WIDTH // 48 + 2))[courses, along // 48]
    rough = random.integers(-9, 10, (HEIGHT // 3, WIDTH // 3 + 1)).repeat(3, 0).repeat(3, 1)[:, :WIDTH]
    picture[:] = np.clip(picture + (tones + rough)[..., None], 0, 255)
    for number, colour in enumerate(_BARS):
        picture[:90, number * WIDTH // 7 : (number + 1) * WIDTH // 7] = colour
    distance = np.hypot(rows - 225, columns - 150)
    picture[distance <= 96] = _DARK
    picture[(distance > 96) & (distance < 102)] = _WHITE
    angle = np.arctan2(rows - 225, columns - 150)
    marks = np.abs((angle / (np.pi / 6)) - np.round(angle / (np.pi / 6))) < 0.05
    picture[marks & (distance > 82) & (distance < 96)] = _WHITE
    return picture


def _hand(picture: Picture, share: float) -> None:
    face, down, right = _around(picture, 225, 150, 80)
    turn = share * 2 * np.pi
    along = right * np.sin(turn) - down * np.cos(turn)
    across = right * np.cos(turn) + down * np.sin(turn)
    face[(along > -12) & (along < 78) & (np.abs(across) < 3)] = _AMBER


def _ball(picture: Picture, share: float) -> None:
    column = round(320 + 270 * abs(2 * share - 1))
    row = round(320 - 60 * abs(np.sin(share * 4 * np.pi)))
    place, down, right = _around(picture, row, column, 16)
    place[np.hypot(down, right) < 16] = _WHITE


def _around(picture: Picture, row: int, column: int, reach: int) -> tuple[Picture, Any, Any]:
    """The part of a picture around a point, and how far down and right of the point each of its pixels is."""
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return picture[row - reach : row + reach + 1, column - reach : column + reach + 1], down, right


def _time(picture: Picture, seconds: float) -> None:
    left, top, unit = 320, 130, 9
    for figure in f"{int(seconds):02}.{int(seconds * 100) % 100:02}":
        if figure == ".":
            picture[top + 8 * unit : top + 9 * unit, left : left + unit] = _AMBER
            left += 2 * unit
            continue
        for lit, (x0, y0, x1, y1) in zip(_FIGURES[figure], _SEGMENTS, strict=True):
            if lit == "1":
                picture[top + y0 * unit : top + y1 * unit, left + x0 * unit : left + x1 * unit] = _AMBER
        left += 6 * unit + unit // 2
