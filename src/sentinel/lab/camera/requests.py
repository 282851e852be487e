"""RTSP as a server reads and writes it (RFC 2326), with Digest authentication as cameras do it (RFC 2617 and 7616)."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

from sentinel.wire.digest import Login, parse_challenges

MAX_BODY: Final = 65_536

REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Stream Not Found",
    454: "Session Not Found",
    455: "Method Not Valid In This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}

_TRACK: Final = re.compile(r"/?(?:trackID=([01]))?/?$")
_PARAMETER: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')
_REALM: Final = "Sentinel lab"


class BadRequest(Exception):
    """What came is no RTSP; the connection cannot be used any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    uri: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """Path and query, without the track that a client appends for SETUP."""
        rest = self.uri.partition("://")[2]
        path = "/" + rest.partition("/")[2] if rest else self.uri
        return _TRACK.sub("", path).removesuffix("/") or "/"

    @property
    def track(self) -> int:
        """The track that a client appended for SETUP; 0 where it named none."""
        found = _TRACK.search(self.uri)
        return int(found[1]) if found is not None and found[1] else 0


async def read(reader: asyncio.StreamReader) -> Request:
    """The next request; interleaved frames from the client (its RTCP) are passed over.

    Raises:
        BadRequest: it is none.
        EOFError, OSError, asyncio.LimitOverrunError: the connection is over, or the head has no end.
    """
    while (first := await reader.readexactly(1)) == b"$" or first in b"\r\n":
        if first == b"$":
            header = await reader.readexactly(3)
            await reader.readexactly(int.from_bytes(header[1:], "big"))
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
    line, *lines = head.split("\r\n")[:-2]
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("RTSP/1."):
        raise BadRequest
    headers = {}
    for each in lines:
        name, _, value = each.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        raise BadRequest
    await reader.readexactly(int(length))
    return Request(words[0], words[1], headers)


def answer(request: Request | None, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """An answer; the request's number goes with it."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}"]
    if request is not None:
        lines.append(f"CSeq: {request.headers.get('cseq', '0')}")
    lines += ["Server: sentinel-lab", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(slots=True)
class Door:
    """Who may watch: these users, or everybody where there are none; nobody where it is ``shut``.

    ``algorithm`` is that of the challenge: MD5 in the form of RFC 2069, which every client and most cameras speak, or
    SHA-256 with ``qop`` (RFC 7616), which new cameras do.
    """

    users: dict[str, str] = field(default_factory=dict, repr=False)
    shut: bool = False
    algorithm: str = "MD5"
    _nonce: str = field(default_factory=lambda: secrets.token_hex(16), init=False)

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        plain = f'Digest realm="{_REALM}", nonce="{self._nonce}", algorithm={self.algorithm}'
        return plain if self.algorithm == "MD5" else f'{plain}, qop="auth"'

    def admits(self, request: Request) -> bool:
        """Whether the request bears a login that is good."""
        if self.shut:
            return False
        if not self.users:
            return True
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        given = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        name = given.get("username", "")
        if scheme.lower() != "digest" or name not in self.users or given.get("nonce") != self._nonce:
            return False
        count = given.get("nc", "")
        if self.algorithm != "MD5" and (given.get("qop") != "auth" or not re.fullmatch(r"[0-9A-Fa-f]{8}", count)):
            return False
        [asked] = parse_challenges([self.challenge])
        mine = Login(asked, name, self.users[name], cnonce=given.get("cnonce"), used=int(count or "1", 16) - 1)
        right = mine.authorization(request.method, given.get("uri", request.uri))
        expected = {key.lower(): quoted or bare for key, quoted, bare in _PARAMETER.findall(right)}
        return hmac.compare_digest(expected["response"].encode(), given.get("response", "").encode())
