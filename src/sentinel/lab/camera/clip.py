"""The scene in H.264: encoded once, kept in a file, cut into access units and RTP payloads (RFC 6184)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from sentinel.lab.camera import scene

CLOCK: Final = 90_000
"""Ticks of H.264's RTP clock a second."""
TICKS: Final = CLOCK // scene.RATE
"""Between two pictures."""
PAYLOAD: Final = 1_400
"""Bytes of RTP payload at most, so that a packet over UDP fits every link."""

_SPS, _PPS, _IDR, _SLICE, _FU_A = 7, 8, 5, 1, 28
_START = re.compile(rb"\x00\x00\x00?\x01")
_KEPT: Final = f"{scene.WIDTH}x{scene.HEIGHT}-{scene.RATE}-{scene.SECONDS}s-2.h264"
"""The last figure is the scene's: another scene needs another."""
_LARGEST: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Clip:
    """``units`` are the RTP payloads of each picture; the first picture is a key frame, and so is each second's."""

    units: tuple[tuple[bytes, ...], ...]
    sps: bytes
    pps: bytes

    @property
    def format_parameters(self) -> str:
        """SDP's ``fmtp`` (RFC 6184, 8.2.1)."""
        sets = ",".join(base64.b64encode(one).decode("ascii") for one in (self.sps, self.pps))
        return f"packetization-mode=1;profile-level-id={self.sps[1:4].hex().upper()};sprop-parameter-sets={sets}"


class NoClip(Exception):
    """The scene could not be encoded."""


def load(directory: Path, name: str = scene.LIVE) -> Clip:
    """The clip of that scene, from the file that an earlier start kept, or encoded now; takes about a second then.

    Raises:
        NoClip: this machine's PyAV has no encoder for H.264.
        OSError: the file cannot be written.
    """
    file = directory / f"{name}-{_KEPT}"
    try:
        stream = file.read_bytes() if file.stat().st_size <= _LARGEST else b""
        return cut(stream, name)
    except (OSError, ValueError):
        pass
    stream = encode(name)
    part = file.with_suffix(".part")
    part.write_bytes(stream)
    part.replace(file)
    return cut(stream, name)


def encode(name: str = scene.LIVE) -> bytes:
    """The scene as a byte stream (H.264, annex B): one slice a picture, a key frame each second.

    Raises:
        NoClip: there is no encoder.
    """
    try:
        encoder = av.CodecContext.create("libx264", "w")
    except (av.FFmpegError, ValueError) as error:
        raise NoClip(f"PyAV cannot encode H.264 here: {error}") from error
    encoder.width, encoder.height = scene.WIDTH, scene.HEIGHT
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = Fraction(scene.RATE)
    encoder.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "crf": "38" if name == scene.SNOW else "26",  # grain costs most of all
        "x264-params": f"keyint={scene.RATE}:min-keyint={scene.RATE}:scenecut=0:slices=1:sliced-threads=0"
        ":repeat-headers=1",
    }
    encoder.thread_count = 1
    stream = bytearray()
    for number, picture in enumerate(scene.pictures(name)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):
            stream += bytes(packet)
    for packet in encoder.encode(None):
        stream += bytes(packet)
    return bytes(stream)


def cut(stream: bytes, name: str = scene.LIVE) -> Clip:
    """A byte stream cut into pictures and payloads.

    Raises:
        ValueError: it is not what ``encode`` gives.
    """
    units: list[tuple[bytes, ...]] = []
    ahead: list[bytes] = []
    sets: dict[int, bytes] = {}
    for nal in _nals(stream):
        kind = nal[0] & 0x1F
        if kind in (_SPS, _PPS):
            sets[kind] = nal
        if kind in (_SPS, _PPS, _IDR, _SLICE):
            ahead.append(nal)
        if kind in (_IDR, _SLICE):
            if not units and kind != _IDR:
                raise ValueError("the clip does not begin with a key frame")
            units.append(tuple(_payloads(ahead)))
            ahead = []
    if len(units) != scene.length(name) or sets.keys() != {_SPS, _PPS}:
        raise ValueError("the clip is not whole")
    return Clip(tuple(units), sets[_SPS], sets[_PPS])


def _nals(stream: bytes) -> Iterator[bytes]:
    starts = list(_START.finditer(stream))
    for found, following in zip(starts, [*starts[1:], None], strict=True):
        nal = stream[found.end() : following.start() if following else None].rstrip(b"\0")
        if nal:
            yield nal


def _payloads(nals: Iterable[bytes]) -> Iterator[bytes]:
    for nal in nals:
        if len(nal) <= PAYLOAD:
            yield nal
            continue
        # FU-A (5.8): the NAL unit's header is taken apart into indicator and header of each fragment.
        indicator, kind = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F
        for at in range(1, len(nal), PAYLOAD - 2):
            first, last = at == 1, at + PAYLOAD - 2 >= len(nal)
            yield bytes((indicator, first << 7 | last << 6 | kind)) + nal[at : at + PAYLOAD - 2]
