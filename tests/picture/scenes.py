"""Scenes at full size, as a camera would see them: real pictures, light, lenses, grain, and what goes wrong."""

from collections.abc import Callable
from functools import cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation
from scipy import ndimage
from skimage import data

WIDTH, HEIGHT = 1920, 1080

Picture = npt.NDArray[np.uint8]
"""Height x width x 3, RGB."""

BASES = (
    "astronaut",
    "chelsea",
    "coffee",
    "rocket",
    "motorcycle",
    "camera",
    "brick",
    "grass",
    "gravel",
    "immunohistochemistry",
    "hubble_deep_field",
    "coins",
)


@cache
def _whole(name: str) -> Picture:
    pictures: Any = data
    found = pictures.stereo_motorcycle()[0] if name == "motorcycle" else getattr(pictures, name)()
    return np.ascontiguousarray(np.asarray(found)[..., :3] if found.ndim == 3 else np.stack([found] * 3, axis=-1))


def view(name: str, random: np.random.Generator) -> Picture:
    """A part of a picture of scikit-image's, as it is or smaller, mirrored until it fills the frame; no grain yet.

    It is never made larger: it has a camera's own sharpness.
    """
    picture = _whole(name)
    ratio = random.uniform(0.7, 1.0)
    if random.integers(2):
        rows, columns = (max(2, round(side * ratio)) for side in picture.shape[:2])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        picture = (
            frame.reformat(columns, rows, interpolation=Interpolation.LANCZOS).to_ndarray().astype(np.uint8, copy=False)
        )
    down, right = (
        _mirrored(length, side, random) for length, side in zip((HEIGHT, WIDTH), picture.shape, strict=False)
    )
    return np.ascontiguousarray(picture[down][:, right])


def _mirrored(length: int, side: int, random: np.random.Generator) -> npt.NDArray[np.intp]:
    places = (np.arange(length) + random.integers(2 * side)) % (2 * side)
    return np.where(places >= side, 2 * side - 1 - places, places)


@cache
def _grain() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((HEIGHT + 256, WIDTH + 256), np.float32)


def grain(picture: Picture, sigma: float, random: np.random.Generator) -> Picture:
    """Sensor noise of so many levels, another one at each call."""
    down, right = random.integers(0, 256, 2)
    noise = _grain()[down : down + HEIGHT, right : right + WIDTH] * np.float32(sigma)
    if random.integers(2):
        noise = noise[::-1, ::-1]
    return _levels(picture + noise[..., None])


def snow(picture: Picture, random: np.random.Generator) -> Picture:
    """Strong noise over a picture that is hardly there."""
    return grain(_levels(picture * 0.3 + 80.0), float(random.uniform(45, 90)), random)


def blurred(picture: Picture, random: np.random.Generator) -> Picture:
    """Out of focus."""
    sigma = float(random.uniform(5, 12))
    small = ndimage.gaussian_filter(picture[::2, ::2], (sigma / 2, sigma / 2, 0), truncate=3.0)
    return _levels(ndimage.zoom(small, (2, 2, 1), order=1, grid_mode=True, mode="nearest"))


def tinted(picture: Picture, random: np.random.Generator) -> Picture:
    """One colour over everything: a channel is weak or lost, or the white balance is far off."""
    gains = np.array([(0.25, 1.0, 0.3), (1.0, 0.3, 0.9), (1.3, 0.8, 0.2), (0.3, 0.7, 1.4), (0.3, 1.0, 1.0)])
    return _levels(picture * gains[random.integers(len(gains))] + 12.0)


def dark(picture: Picture, random: np.random.Generator) -> Picture:
    """The iris is shut, or the light is out."""
    return _levels(picture * float(random.uniform(0.03, 0.13)))


def bright(picture: Picture, random: np.random.Generator) -> Picture:
    """Overexposed."""
    return _levels(picture * float(random.uniform(3.0, 5.0)) + 110.0)


def covered(picture: Picture, random: np.random.Generator) -> Picture:
    """Something stands in front of the lens: too near to be sharp."""
    rows, columns = np.mgrid[0:HEIGHT:8, 0:WIDTH:8].astype(np.float32)
    turn = random.uniform(0, 2 * np.pi)
    along = (columns / WIDTH - 0.5) * np.cos(turn) + (rows / HEIGHT - 0.5) * np.sin(turn)
    edge = np.quantile(along, random.uniform(0.82, 0.98))
    share = 1 / (1 + np.exp((along - edge) * 40))
    shade = float(random.uniform(50, 190)) + 25 * along
    colour = shade[..., None] * np.array([1.0, random.uniform(0.9, 1.0), random.uniform(0.85, 1.0)])
    share, colour = np.kron(share, np.ones((8, 8)))[..., None], np.kron(colour, np.ones((8, 8, 1)))
    return _levels(picture * (1 - share) + colour * share)


def striped(picture: Picture, random: np.random.Generator) -> Picture:
    """Interference: light and dark lines over everything, as mains hum and bad cables make them."""
    period, height = random.uniform(6, 50), random.uniform(35, 60)
    upright = bool(random.integers(2))
    line = np.arange(WIDTH if upright else HEIGHT)
    wave = height * np.sign(np.sin(2 * np.pi * line / period + random.uniform(0, 6)))
    return _levels(picture * 0.7 + 35 + (wave[None, :, None] if upright else wave[:, None, None]))


def slate(picture: Picture, random: np.random.Generator) -> Picture:
    """What a recorder shows where there is no signal: one colour and a caption."""
    del picture
    colours = np.array([(0, 0, 255), (0, 0, 170), (60, 60, 60), (40, 40, 40), (128, 128, 128), (20, 40, 110)])
    found = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    found[:] = colours[random.integers(len(colours))]
    if random.integers(3):
        caption(found, int(random.integers(300, 900)), int(random.integers(300, 700)), random)
    return found


def caption(picture: Picture, left: int, top: int, random: np.random.Generator) -> None:
    """White figures, as on-screen displays have them."""
    for number in range(10):
        cells = random.integers(0, 2, (7, 5), dtype=np.uint8) * 255
        figure = np.kron(cells, np.ones((5, 5), np.uint8))
        at = left + 32 * number
        place = picture[top : top + 35, at : at + 25]
        place[figure[: place.shape[0], : place.shape[1]] > 0] = 255


def night(picture: Picture, random: np.random.Generator) -> Picture:
    """A street at night: dark, with lamps and what they light."""
    rows, columns = np.mgrid[0:HEIGHT:8, 0:WIDTH:8].astype(np.float32)
    light = np.full(rows.shape, 0.06, np.float32)
    for _ in range(int(random.integers(4, 9))):
        y, x = random.uniform(0.1, 0.9) * HEIGHT, random.uniform(0.05, 0.95) * WIDTH
        distance = np.hypot(rows - y, columns - x)
        light += 0.5 * np.exp(-((distance / random.uniform(150, 320)) ** 2)) + 1.6 * np.exp(-((distance / 26) ** 2))
    lit = np.kron(light, np.ones((8, 8), np.float32))[..., None]
    glow = np.clip(lit - 0.9, 0, None) * 255
    return _levels(picture * lit * np.array([1.0, 0.95, 0.85]) + glow)


def infrared(picture: Picture, random: np.random.Generator) -> Picture:
    """Night vision: no colour, bright in the middle, dark around it."""
    rows, columns = np.mgrid[0:HEIGHT:8, 0:WIDTH:8].astype(np.float32)
    distance = np.hypot((rows - HEIGHT / 2) / HEIGHT, (columns - WIDTH / 2) / WIDTH)
    fall = np.kron(np.exp(-((distance / random.uniform(0.4, 0.6)) ** 2)), np.ones((8, 8)))
    return _levels((picture.mean(axis=2) * fall)[..., None].repeat(3, axis=2))


def sky(picture: Picture, random: np.random.Generator) -> Picture:
    """The upper part is plain sky."""
    found = picture.copy()
    rows = int(HEIGHT * random.uniform(0.25, 0.5))
    fade = np.linspace(0, 40, rows)[:, None, None]
    found[:rows] = _levels(np.array([150.0, 185.0, 220.0]) + fade)
    return found


def daylight(picture: Picture, random: np.random.Generator) -> Picture:
    """Somewhat more light, or less."""
    return _levels(picture * float(random.uniform(0.6, 1.2)))


def softened(picture: Picture, random: np.random.Generator) -> Picture:
    """A cheap lens, or a smaller picture scaled up: not sharp, not blurred."""
    found: Picture = ndimage.gaussian_filter(picture, (random.uniform(0.6, 1.3),) * 2 + (0,), truncate=2.5)
    return found


def _levels(values: npt.NDArray[Any]) -> Picture:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


Fault = Callable[[Picture, np.random.Generator], Picture]

FAULTS: dict[str, Fault] = {
    "snow": snow,
    "blur": blurred,
    "cast": tinted,
    "dark": dark,
    "bright": bright,
    "covered": covered,
    "stripes": striped,
    "uniform": slate,
}
HEALTHY: dict[str, Fault] = {
    "daylight": daylight,
    "soft": softened,
    "sky": sky,
    "night": night,
    "infrared": infrared,
}
