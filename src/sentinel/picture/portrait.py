"""The frame that convicts: one small JPEG of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Interpolation

WIDTH: Final = 640
"""Pixels across, at most."""
HEIGHT: Final = 640
"""Pixels down, at most."""
MAX_BYTES: Final = 64 * 1024
_QUALITIES: Final = (5, 12, 31)
"""The encoder's scale: 2 is best, 31 is worst; the first that fits is taken."""


def portrait(frame: av.VideoFrame) -> bytes:
    """A JPEG file of the frame; empty where it cannot be made to fit.

    Raises:
        MemoryError: there is no room for it.
    """
    ratio = min(1.0, WIDTH / frame.width, HEIGHT / frame.height)
    width, height = max(2, round(frame.width * ratio)), max(2, round(frame.height * ratio))
    small = frame.reformat(width, height, "yuvj420p", interpolation=Interpolation.AREA, dst_color_range=ColorRange.JPEG)
    for quality in _QUALITIES:
        encoder = av.CodecContext.create("mjpeg", "w")
        if not isinstance(encoder, VideoCodecContext):
            raise TypeError("mjpeg")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
        encoder.time_base = Fraction(1, 25)
        encoder.thread_count = 1
        encoder.options = {"huffman": "default"}
        encoder.qmin = encoder.qmax = quality
        small.pts = 0
        data = b"".join(map(bytes, [*encoder.encode(small), *encoder.encode(None)]))
        if len(data) <= MAX_BYTES:
            return data
    return b""
