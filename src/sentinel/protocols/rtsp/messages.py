"""RTSP 1.0 on the wire (RFC 2326): answers, requests of the server, interleaved frames, out of any bytes at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(r"RTSP/\d\.\d +(\d{3})(?: (.*))?")
_REQUEST_LINE = re.compile(r"([A-Z_]+) +\S+ +RTSP/\d\.\d")
_BEGINNING = re.compile(rb"RTSP/\d|[A-Z_]{3,20} ")
_LONGEST_BEGINNING = 21
_FRAME = 0x24  # "$": RFC 2326, 10.12


class RtspFailure(Exception):
    """The far end answered, and this is what is wrong with it: a code of the closed list, and words for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Message:
    """What answers and requests share; header names are in lower case."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, None where there is none."""
        return next(iter(self.headers_of(name)), None)

    def headers_of(self, name: str) -> list[str]:
        """All headers of that name."""
        return [value for key, value in self.headers if key == name]

    @property
    def sequence(self) -> int | None:
        """CSeq, None where it is missing or no number, as some cameras have it."""
        text = (self.header("cseq") or "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


@dataclass(frozen=True, slots=True)
class Response(Message):
    """An answer to one of our requests."""

    status: int
    reason: str

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status <= 299


@dataclass(frozen=True, slots=True)
class ServerRequest(Message):
    """A request that the server makes of us, as RFC 2326 lets it (OPTIONS, SET_PARAMETER, ANNOUNCE)."""

    method: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Interleaved binary data (10.12)."""

    channel: int
    payload: bytes


class Parser:
    """Takes bytes, gives messages and frames; holds one message of ``limit`` bytes or one frame of 64 KiB at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what was received; call ``next`` until it gives None before more."""
        self._buffer += data

    def next(self) -> Response | ServerRequest | Frame | None:
        """The next message or frame, None where more bytes are needed.

        Raises:
            RtspFailure: ``protocol_error`` for what is not RTSP, ``too_large`` for what is past the limit.
        """
        buffer = self._buffer
        while buffer and buffer[0] in b"\r\n":  # cameras put an empty line between messages
            del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
        if not buffer:
            return None
        return self._frame() if buffer[0] == _FRAME else self._message()

    def _frame(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        end = 4 + int.from_bytes(buffer[2:4], "big")
        if len(buffer) < end:
            return None
        frame = Frame(buffer[1], bytes(buffer[4:end]))
        del buffer[:end]
        return frame

    def _message(self) -> Response | ServerRequest | None:
        buffer = self._buffer
        whole = len(buffer) >= _LONGEST_BEGINNING or b"\n" in buffer
        if not buffer[:1].isupper() or (whole and not _BEGINNING.match(buffer)):
            raise RtspFailure("protocol_error", f"no RTSP: {bytes(buffer[:40])!r}")
        blank = _BLANK_LINE.search(buffer, 0, self._limit + 4)
        if blank is None:
            if len(buffer) > self._limit:
                raise RtspFailure("too_large", f"a header of more than {self._limit} bytes")
            return None
        line, *lines = buffer[: blank.start()].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        headers = _headers(lines)
        end = blank.end() + _content_length(headers)
        if end > self._limit:
            raise RtspFailure("too_large", f"an answer of {end} bytes, more than {self._limit}")
        if len(buffer) < end:
            return None
        body = bytes(buffer[blank.end() : end])
        del buffer[:end]
        return _parsed(line, headers, body)


def _headers(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and found:  # a folded line (RFC 2068, 4.2)
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if colon:
            found.append((name.strip().lower(), value.strip()))
    return tuple(found)


def _content_length(headers: Iterable[tuple[str, str]]) -> int:
    text = next((value for name, value in headers if name == "content-length"), "0")
    if not (text.isascii() and text.isdigit()):
        raise RtspFailure("protocol_error", f"Content-Length: {text[:40]!r}")
    if len(text) > 12:
        raise RtspFailure("too_large", f"Content-Length: {text[:40]}")
    return int(text)


def _parsed(line: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Response | ServerRequest:
    status = _STATUS_LINE.fullmatch(line.strip())
    if status is not None:
        return Response(headers, body, int(status[1]), (status[2] or "").strip()[:200])
    request = _REQUEST_LINE.fullmatch(line.strip())
    if request is not None:
        return ServerRequest(headers, body, request[1])
    raise RtspFailure("protocol_error", f"no status line: {line[:80]!r}")


def request_bytes(method: str, uri: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """One request without a body (RFC 2326, section 6)."""
    lines = [f"{method} {uri} RTSP/1.0", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


def answer_bytes(status: int, reason: str, sequence: int | None) -> bytes:
    """An answer to a request of the server's."""
    lines = [f"RTSP/1.0 {status} {reason}", *([f"CSeq: {sequence}"] if sequence is not None else []), "", ""]
    return "\r\n".join(lines).encode()
