"""The decoding process: pictures in on standard input, what they show out on standard output.

Run by its path, isolated, without the package: a process that decodes what a stranger sent should hold as little
as possible.  It has no environment, no further descriptors, no core dumps, a bounded address space, and cannot gain
privileges.

A request is ``REQUEST`` (codec number, length of the head, length of what follows), the head and the rest.  The head
is JSON: ``shots``, the lengths of the pictures, and ``traces``, the length of an earlier answer's, which come first;
and where something is to be measured ``seconds`` (of each picture), ``masks``, ``region`` (as options.py has them),
and ``ago`` (seconds from the picture of the traces to the first one).

An answer is ``ANSWER`` (three lengths), JSON, traces and a JPEG file.  The JSON has ``width``, ``height``,
``format``, ``profile`` and ``values``, or ``error``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

if __name__ == "__main__":
    # Its neighbours, by their place beside this file, and nothing else of the package.
    for _name, _path in (("sentinel", Path(__file__).parents[1]), ("sentinel.picture", Path(__file__).parent)):
        _package = ModuleType(_name)
        _package.__path__ = [str(_path)]
        sys.modules[_name] = _package
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start a thread for each core, with a stack of its own

import av
import av.logging
import numpy as np
from av.video.codeccontext import VideoCodecContext

from sentinel.picture.portrait import portrait
from sentinel.picture.survey import Survey

REQUEST = struct.Struct("!BII")
ANSWER = struct.Struct("!III")
CODECS = {1: "h264", 2: "hevc", 3: "mjpeg"}
MAX_REQUEST = 64 * 1024 * 1024
MAX_HEAD = 64 * 1024
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

Answer = tuple[dict[str, Any], bytes, bytes]
"""What is said, traces, a JPEG file."""


class NoPicture(Exception):
    """What the decoder says about its input."""


def examine(codec: str, shots: Sequence[bytes], head: Mapping[str, Any], traces: bytes = b"") -> Answer:
    """Decode key frames of one stream, each by itself, and measure those that are whole.

    Anything but what a decoder says about its input escapes, and ends the process: it is not the picture's fault.
    """
    survey = Survey(head, traces) if "seconds" in head else None
    last: av.VideoFrame | None = None
    said: dict[str, Any] = {"error": "there is nothing to decode"}
    for number, shot in enumerate(shots):
        try:
            frame, profile = decode(codec, shot)
            if survey is not None:
                survey.take(frame, float(head["seconds"][number]))
        except NoPicture as error:
            if last is None:
                said = {"error": str(error)}
            continue
        except MemoryError:
            said, last = {"error": "the picture needs too much memory"}, None
            continue
        last = frame
        said = {"width": frame.width, "height": frame.height, "format": frame.format.name, "profile": profile}
    if survey is None or last is None:
        return said, b"", b""
    said["values"] = survey.values
    return said, survey.traces, portrait(last)


def decode(codec: str, data: bytes) -> tuple[av.VideoFrame, str]:
    """The one picture in ``data`` (Annex B with its parameter sets, or a JPEG file), and the codec's profile.

    Raises:
        NoPicture: there is none, or it is not whole.
        MemoryError: it is larger than this process may hold.
    """
    context = av.CodecContext.create(codec, "r")
    if not isinstance(context, VideoCodecContext):
        raise TypeError(codec)
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS), **_OPTIONS[codec]}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except av.FFmpegError as error:
        raise NoPicture(error.strerror or type(error).__name__) from None
    if not frames:
        raise NoPicture("the decoder gives no picture")
    if frames[0].is_corrupt:
        raise NoPicture("parts of the picture are missing or damaged")
    return frames[0], context.profile or ""


def serve(source: int, sink: int) -> None:
    """Answer requests from one descriptor on another until the first ends."""
    _write(sink, ({"ready": True}, b"", b""))
    while (start := _read(source, REQUEST.size)) is not None:
        number, length, rest = REQUEST.unpack(start)
        if length > MAX_HEAD or rest > MAX_REQUEST:
            return
        text, data = _read(source, length), _read(source, rest)
        if text is None or data is None:
            return
        head = json.loads(text)
        traces, *shots = _parts(data, [head["traces"], *head["shots"]])
        _write(sink, examine(CODECS[number], shots, head, traces))


def confine() -> None:
    """Give up what decoding does not need; all that is used must have been used once before."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for what, limit in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),  # no file and no socket can be opened any more
    ):
        resource.setrlimit(what, (limit, limit))


def warm_up() -> None:
    """Use everything once: what is loaded when it is first needed could not be opened any more."""
    for name in CODECS.values():
        examine(name, [b"\0" * 64], {"seconds": [0.0]})
    # Measures stop early where there is nothing to see: one frame has nothing, one has grain and edges.
    rows, columns = np.mgrid[0:360, 0:640]
    grain = (rows * 640 + columns) * 2_654_435_761 % 8_191 % 23
    for levels in (
        np.zeros((360, 640), np.uint8),
        ((columns // 32 + rows // 18) % 2 * 120 + 60 + grain).astype(np.uint8),
    ):
        frame = av.VideoFrame.from_ndarray(levels, format="gray").reformat(format="yuv420p")
        survey = Survey({"seconds": []}, b"")
        survey.take(frame, 0.0)
        survey.take(frame, 1.0)
        examine("mjpeg", [portrait(frame)], {"seconds": [0.0], "ago": 1.0}, survey.traces)


def _parts(data: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield data[at : at + length]
        at += length


def _read(source: int, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        piece = os.read(source, min(length - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _write(sink: int, answer: Answer) -> None:
    said, traces, jpeg = answer
    text = json.dumps(said).encode()
    rest = memoryview(ANSWER.pack(len(text), len(traces), len(jpeg)) + text + traces + jpeg)
    while rest:
        rest = rest[os.write(sink, rest) :]


if __name__ == "__main__":
    av.logging.set_level(None)
    warm_up()
    confine()
    serve(0, 1)
