"""The body of an answer, read and inflated step by step against one limit.

A gzip of a kilobyte can hold a megabyte and one of a megabyte a gigabyte: what is over the limit is never inflated.
"""

from __future__ import annotations

import zlib
from typing import Final

from sentinel.protocols.http.exchange import Answer
from sentinel.sdk.protocol import Run

_SLACK: Final = 65_536
"""Compressed bytes past the limit that are still read: a deflate stream may be larger than what it holds."""

_TEXT = frozenset(
    {"utf-8", "ascii", "iso8859-1", "cp1252", "gb18030", "gbk", "gb2312", "big5", "utf-16", "utf-16-le", "utf-16-be"},
)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}  # pages say the former and use the latter


async def read_body(response: Answer, limit: int, run: Run) -> bytes:
    """The body, inflated (RFC 9110, 8.4.1: gzip and deflate), of at most ``limit`` bytes.

    Raises:
        ProbeFailed: ``too_large``; ``unsupported`` for a coding that was not offered; ``protocol_error`` where the
            compressed data is broken or ends early.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    inflate = _Inflater(coding, limit, run) if coding not in {"", "identity"} else None
    if inflate is None and (response.content_length or 0) > limit and response.method != "HEAD":
        run.fail("too_large", f"Content-Length is {response.content_length}, the limit {limit} bytes")
    parts: list[bytes] = []
    received = held = 0
    while data := await response.content.readany():
        received += len(data)
        if inflate is not None:
            data = inflate.feed(data, limit - held)
        parts.append(data)
        held += len(data)
        if held > limit or received > limit + _SLACK:
            run.fail("too_large", f"more than {limit} bytes")
    if inflate is not None and received:
        inflate.end()
    return b"".join(parts)


class _Inflater:
    """Inflates gzip (RFC 1952, also several members) or deflate (RFC 1950, or bare RFC 1951 as some servers send)."""

    def __init__(self, coding: str, limit: int, run: Run) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            run.fail("unsupported", f"Content-Encoding {coding[:40]!r} was not offered")
        self._gzip, self._limit, self._run = coding != "deflate", limit, run
        self._stream: zlib._Decompress | None = None

    def feed(self, data: bytes, room: int) -> bytes:
        """What ``data`` adds: at most ``room`` bytes and one, which tells that there would be more."""
        parts: list[bytes] = []
        while data:
            if self._stream is None:
                self._stream = zlib.decompressobj(self._window(data[0]))
            try:
                parts.append(self._stream.decompress(data, room + 1))
            except zlib.error as error:
                self._run.fail("protocol_error", f"broken compression: {error}")
            room -= len(parts[-1])
            if room < 0 or self._stream.unconsumed_tail:
                self._run.fail("too_large", f"inflates to more than {self._limit} bytes")
            data = self._stream.unused_data
            if self._stream.eof and not self._gzip:
                break  # what follows a deflate stream means nothing
            if self._stream.eof and data:
                self._stream = None
        return b"".join(parts)

    def end(self) -> None:
        """No more data."""
        if self._stream is None or not self._stream.eof:
            self._run.fail("protocol_error", "the compressed data ends early")

    def _window(self, first: int) -> int:
        if self._gzip:
            return 16 + zlib.MAX_WBITS
        return zlib.MAX_WBITS if first & 0x0F == 8 else -zlib.MAX_WBITS


def as_utf8(body: bytes, charset: str | None) -> bytes:
    """The body in UTF-8, for patterns and texts; a charset that is no charset for text is read as UTF-8.

    Python knows codecs that no peer may choose: ``idna`` takes quadratic time, ``unicode_escape`` is a language.
    """
    name = (charset or "utf-8").lower().replace("_", "-")
    name = {"utf8": "utf-8", "latin-1": "iso8859-1", "iso-8859-1": "iso8859-1", "us-ascii": "ascii"}.get(name, name)
    name = {"windows-1252": "cp1252"}.get(name, name)
    if name == "utf-8" or name not in _TEXT:
        return body
    return body.decode(_WIDER.get(name, name), "replace").encode("utf-8", "replace")
