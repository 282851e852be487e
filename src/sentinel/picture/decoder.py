"""The decoding process: key frames in on standard input, what they show out on standard output.

Run by its path, isolated, without the package: a process that decodes what a stranger sent should hold as little
as possible.  It has no environment, no further descriptors, no core dumps, a bounded address space, and cannot gain
privileges.  A request is codec number and length (``REQUEST``) and the picture's bytes; an answer is a length
(``ANSWER``) and JSON: ``width``, ``height``, ``format``, ``profile``, or ``error``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct

import av
import av.logging
from av.video.codeccontext import VideoCodecContext

REQUEST = struct.Struct("!BI")
ANSWER = struct.Struct("!I")
CODECS = {1: "h264", 2: "hevc", 3: "mjpeg"}
MAX_REQUEST = 64 * 1024 * 1024
MAX_PIXELS = 8192 * 8192
ADDRESS_SPACE = 2 * 1024 * 1024 * 1024

_PR_SET_NO_NEW_PRIVS = 38

# Without "explode" the decoders of H.265 and JPEG give most pictures that are cut short as whole ones.  H.264's marks
# them as corrupt by itself, and "explode" would refuse streams that every player shows.
_OPTIONS = {
    "h264": {},
    "hevc": {"err_detect": "explode"},
    "mjpeg": {"err_detect": "explode"},
}


def decode(codec: str, data: bytes) -> dict[str, str | int]:
    """Decode the one picture in ``data`` (Annex B with its parameter sets, or a JPEG file).

    Anything but what a decoder says about its input escapes, and ends the process: it is not the picture's fault.
    """
    context = av.CodecContext.create(codec, "r")
    if not isinstance(context, VideoCodecContext):
        raise TypeError(codec)
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS), **_OPTIONS[codec]}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except av.FFmpegError as error:
        return {"error": error.strerror or type(error).__name__}
    except MemoryError:
        return {"error": "the picture needs too much memory"}
    if not frames:
        return {"error": "the decoder gives no picture"}
    picture = frames[0]
    if picture.is_corrupt:
        return {"error": "parts of the picture are missing or damaged"}
    return {
        "width": picture.width,
        "height": picture.height,
        "format": picture.format.name,
        "profile": context.profile or "",
    }


def serve(source: int, sink: int) -> None:
    """Answer requests from one descriptor on another until the first ends."""
    _write(sink, json.dumps({"ready": True}).encode())
    while (head := _read(source, REQUEST.size)) is not None:
        number, length = REQUEST.unpack(head)
        if length > MAX_REQUEST:
            return
        data = _read(source, length)
        if data is None:
            return
        _write(sink, json.dumps(decode(CODECS[number], data)).encode())


def confine() -> None:
    """Give up what decoding does not need; all codecs must have been opened once before."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for what, limit in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),  # no file and no socket can be opened any more
    ):
        resource.setrlimit(what, (limit, limit))


def _read(source: int, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        piece = os.read(source, min(length - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _write(sink: int, answer: bytes) -> None:
    rest = memoryview(ANSWER.pack(len(answer)) + answer)
    while rest:
        rest = rest[os.write(sink, rest) :]


if __name__ == "__main__":
    av.logging.set_level(None)
    for name in CODECS.values():
        decode(name, b"\0" * 64)
    confine()
    serve(0, 1)
