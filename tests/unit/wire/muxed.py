"""Encoded pictures in a container of libav's: `vob` (a program stream) or `mpegts`."""

import io
from fractions import Fraction
from functools import cache

import av

from tests.unit.wire.streams import encoded


@cache
def muxed(encoder: str, container: str) -> bytes:
    """The six pictures of `encoded(encoder)`, 25 a second."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream("h264" if encoder == "libx264" else "hevc", rate=25)
        stream.width, stream.height = 160, 96
        stream.time_base = Fraction(1, 25)
        for number, unit in enumerate(encoded(encoder)):
            packet = av.Packet(unit)
            packet.pts = packet.dts = number
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.is_keyframe = number % 4 == 0
            output.mux(packet)
    return target.getvalue()
