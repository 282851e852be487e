"""What a check that fetches a picture can be told of looking at it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sentinel.sdk.protocol import Options

Fraction = Annotated[float, Field(ge=0, le=1)]


def _inside(rectangle: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y, width, height = rectangle
    if width <= 0 or height <= 0 or x + width > 1.000_001 or y + height > 1.000_001:
        raise ValueError("x, y, width, height as fractions of the picture: inside it, and not empty")
    return rectangle


Rectangle = Annotated[tuple[Fraction, Fraction, Fraction, Fraction], AfterValidator(_inside)]
"""x, y, width and height as fractions of the picture's width and height; the origin is its upper left corner."""

Codec = Literal["H.264", "H.265", "MJPEG"]


class PictureOptions(Options):
    """Of any check that gets a picture."""

    masks: tuple[Rectangle, ...] = Field(
        default=(),
        max_length=16,
        description="Parts of the picture that are not looked at (a clock, a caption), each as x, y, width, height in"
        " fractions of it: [[0, 0, 0.4, 0.06]].",
    )
    region: Rectangle | None = Field(
        default=None,
        description="The only part of the picture that is looked at, as x, y, width, height in fractions of it.",
    )
    expected_size: str | None = Field(
        default=None,
        pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$",
        description='Size that the picture should have, "1920x1080": measured as picture_size_ratio.',
    )
    expected_codec: Codec | None = Field(
        default=None, description="Codec that the stream should have: measured as unexpected_codec."
    )


class WatchOptions(PictureOptions):
    """Of a check that gets a stream."""

    watch: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="Seconds for which the stream is watched after its first picture; 0 ends with that picture."
        " Whether a picture stands still is told from one run to the next as well.",
    )
