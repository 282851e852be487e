"""The scene in single pictures: JPEG files, as a camera gives them on request."""

from __future__ import annotations

import functools
import itertools
import threading
from fractions import Fraction
from typing import Final

import av

from sentinel.lab.camera import scene

EVERY: Final = 10
"""Of so many pictures of the scene one is made: what moves is seen to move."""
QUALITY: Final = 3
"""Of libav's scale from 1, the best, to 31."""

_making: Final = threading.Lock()


def stills(name: str) -> tuple[bytes, ...]:
    """A scene's pictures in their order, ``EVERY`` apart; they are made once, which takes half a second of CPU."""
    with _making:  # not by every camera's thread at once
        return _made(name)


@functools.cache
def _made(name: str) -> tuple[bytes, ...]:
    return tuple(_file(picture) for picture in itertools.islice(scene.pictures(name), 0, None, EVERY))


def moment(files: tuple[bytes, ...], seconds: float) -> bytes:
    """The picture after that many seconds of the scene, which goes round and round."""
    return files[int(seconds * scene.RATE / EVERY) % len(files)]


def _file(picture: scene.Picture) -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = scene.WIDTH, scene.HEIGHT, "yuvj420p"
    encoder.time_base = Fraction(1, scene.RATE)
    encoder.options = {"qmin": str(QUALITY), "qmax": str(QUALITY)}
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
