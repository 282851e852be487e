"""A survey of the pictures of one stream: what the last one shows, and for how long it has stood still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from sentinel.picture import measures, stillness
from sentinel.picture.planes import Planes, Rectangle, planes_of, seen

PATCH: Final = 32
"""Pixels of a patch, across and down."""
ACROSS, DOWN = 10, 6
"""Patches over the picture, where it has room for them."""


class Survey:
    """Takes pictures in their order; ``head`` and ``traces`` are those of a request (decoder.py)."""

    def __init__(self, head: Mapping[str, Any], traces: bytes) -> None:
        self._masks: Sequence[Rectangle] = head.get("masks", ())
        self._region: Rectangle | None = head.get("region")
        self._stillness = stillness.Stillness(traces, float(head.get("ago", 0.0)))
        self._seconds = 0.0
        self._last: Planes | None = None
        self._patches: npt.NDArray[Any] = _NONE

    def take(self, frame: av.VideoFrame, seconds: float) -> None:
        """Look at one more picture, ``seconds`` after the first.

        Raises:
            MemoryError: there is no room for it.
        """
        self._last = planes_of(frame)
        self._patches = patches(self._last, self._masks, self._region)
        self._stillness.follow(self._patches, self._last.scale, frame.width, frame.height, seconds)
        self._seconds = seconds

    @property
    def traces(self) -> bytes:
        """For the next survey, whose ``ago`` counts from the last picture of this one."""
        return self._stillness.packed(self._seconds)

    @property
    def values(self) -> dict[str, float]:
        """Of the last picture."""
        planes = self._last
        if planes is None:
            return {}
        levels = (self._patches.astype(np.float32) - np.float32(planes.black)) * np.float32(planes.scale)
        looked_at = seen(planes.small.shape, self._masks, self._region)
        found = measures.brightness(planes.small, looked_at)
        if self._stillness.last is not None:
            found["picture_still_seconds"] = self._stillness.last
        if len(levels):
            found["picture_noise_ratio"] = measures.noise(levels)
        dark = found["picture_luma_peak_ratio"] < measures.BLACK or found["picture_luma_mean_ratio"] < measures.UNLIT
        if (dark and measures.colour(planes) < measures.COLOURLESS) or found["picture_bright_ratio"] > measures.WHITE:
            return found
        found["picture_uniform_ratio"] = measures.uniformity(planes, looked_at)
        if found["picture_uniform_ratio"] > measures.UNIFORM:
            del found["picture_luma_peak_ratio"]  # of one colour: it is neither dark nor lit
            return found
        found["picture_test_card_ratio"] = measures.test_card(planes, looked_at)
        if found["picture_test_card_ratio"] > measures.TEST_CARD:
            return found
        found["picture_covered_ratio"] = measures.coverage(planes.small, looked_at)
        grain = found.get("picture_noise_ratio", measures.SNOW)
        edges = grain < measures.SNOW and found["picture_covered_ratio"] < measures.COVERED
        for name, value in (
            ("picture_cast_ratio", measures.cast(planes, looked_at)),
            ("picture_sharpness_ratio", measures.sharpness(levels, grain) if edges else None),
            ("picture_stripes_ratio", measures.stripes(planes)),
        ):
            if value is not None:
                found[name] = value
        return found


_NONE: npt.NDArray[Any] = np.empty((0, PATCH, PATCH), np.uint8)


def patches(planes: Planes, masks: Sequence[Rectangle], region: Rectangle | None) -> npt.NDArray[Any]:
    """Patches over what is looked at of the unscaled luma; none where the picture is too small for four.

    They are on a grid whose rows are shifted, so that no upright line passes between all of them.
    """
    height, width = planes.luma.shape
    x, y, w, h = region or (0.0, 0.0, 1.0, 1.0)
    left, top, wide, high = int(x * width), int(y * height), int(w * width), int(h * height)
    across, down = min(ACROSS, wide // PATCH), min(DOWN, high // PATCH)
    found = []
    for row in range(down):
        for column in range(across):
            at_x = left + (wide - PATCH) * (down * column + row) // (down * across)
            at_y = top + (high - PATCH) * (2 * row + 1) // (2 * down)
            if not _masked(at_x / width, at_y / height, PATCH / width, PATCH / height, masks):
                found.append(planes.luma[at_y : at_y + PATCH, at_x : at_x + PATCH])
    return np.stack(found) if len(found) >= 4 else _NONE


def _masked(x: float, y: float, width: float, height: float, masks: Sequence[Rectangle]) -> bool:
    return any(x < a + c and a < x + width and y < b + d and b < y + height for a, b, c, d in masks)
