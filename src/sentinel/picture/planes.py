"""A decoded frame as numpy arrays: a small picture of all of it, and its luma pixel by pixel.

Levels are 0 for black to 255 for white whatever the frame's range and depth; chroma is -128 to 127 around grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation

WIDTH: Final = 320
"""Pixels across the small picture, at most; it is never larger than the frame."""
LONGEST: Final = 2_048
"""Pixels down the small picture, at most."""

Levels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rectangle = Sequence[float]


@dataclass(frozen=True, slots=True)
class Planes:
    """``small``: luma, height x width; ``blue``, ``red``: chroma at half that size; ``luma``: the frame's, unscaled.

    ``luma`` may be limited to 16 to 235 or have up to 16 bits; ``scale`` and ``black`` make levels of it:
    ``(luma - black) * scale``.
    """

    small: Levels
    blue: Floats
    red: Floats
    luma: npt.NDArray[Any]
    scale: float
    black: float


def planes_of(frame: av.VideoFrame) -> Planes:
    """Scale the frame down, each pixel the mean of those that it stands for, and look at its own luma.

    Raises:
        MemoryError: there is no room for it.
    """
    width = min(WIDTH, frame.width)
    height = max(1, min(LONGEST, round(frame.height * width / frame.width)))
    small = frame.reformat(width, height, "yuv420p", interpolation=Interpolation.AREA, dst_color_range=ColorRange.JPEG)
    y, u, v = (_plane(small, number) for number in range(3))
    blue, red = (plane.astype(np.float32) - np.float32(128) for plane in (u, v))
    full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    luma, bits = _luma(frame)
    top = float((1 << bits) - 1)
    black, white = (0.0, top) if full else (16.0 * (1 << bits - 8), 235.0 * (1 << bits - 8))
    return Planes(y, blue, red, luma, 255.0 / (white - black), black)


def seen(shape: tuple[int, ...], masks: Sequence[Rectangle], region: Rectangle | None) -> Mask | None:
    """Which pixels of an array of that shape are looked at; None for all."""
    if not masks and region is None:
        return None
    found = np.ones(shape, np.bool_) if region is None else np.zeros(shape, np.bool_)
    if region is not None:
        found[_area(shape, region)] = True
    for mask in masks:
        found[_area(shape, mask)] = False
    return found


def _area(shape: tuple[int, ...], rectangle: Rectangle) -> tuple[slice, slice]:
    x, y, width, height = rectangle
    # Outwards: what is half under a caption is under it.
    top, bottom = int(y * shape[0]), int(np.ceil((y + height) * shape[0] - 1e-6))
    left, right = int(x * shape[1]), int(np.ceil((x + width) * shape[1] - 1e-6))
    return slice(top, bottom), slice(left, right)


def _luma(frame: av.VideoFrame) -> tuple[npt.NDArray[Any], int]:
    layout = frame.format
    bits = layout.components[0].bits
    plain = not layout.is_rgb and not layout.has_palette and not layout.is_bit_stream and not layout.is_big_endian
    if not plain or layout.components[0].plane != 0 or (not layout.is_planar and len(layout.components) > 1):
        return _plane(frame.reformat(format="gray"), 0), 8
    return (_plane(frame, 0), bits) if bits == 8 else (_plane(frame, 0, 2).view(np.dtype("<u2")), bits)


def _plane(frame: av.VideoFrame, number: int, each: int = 1) -> Levels:
    plane = frame.planes[number]
    length = plane.line_size * plane.height
    rows: Levels = np.frombuffer(plane, np.uint8, length).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]  # av's stubs do not know that a plane is a buffer
    return rows[:, : plane.width * each]
