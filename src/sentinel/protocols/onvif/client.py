"""One server that is asked in turn: HTTP/1.1 (RFC 9112), or RTSP 1.0 (RFC 2326), whose answers have the same form.

The connection is kept from one request to the next where the server lets us; redirects are answers like any other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn

from sentinel.sdk.net import Tls, connect, discard, record_certificate
from sentinel.sdk.protocol import Run
from sentinel.wire.digest import Login, MalformedChallenge, parse_challenges, strongest

MAX_LINE: Final = 16_384
MAX_LINES: Final = 128
MAX_INFORMATIONAL: Final = 4
"""Answers of 1xx before the one that counts."""
_CHUNK: Final = 65_536
_STATUS_LINE: Final = re.compile(rb"(HTTP|RTSP)/(\d\.\d) +(\d{3})(?: (.*))?")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")

Language = Literal["HTTP/1.1", "RTSP/1.0"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; header names are in lower case."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status <= 299

    def header(self, name: str) -> str:
        """The first header of that name, "" where there is none."""
        return next(iter(self.headers_of(name)), "")

    def headers_of(self, name: str) -> list[str]:
        """All headers of that name."""
        return [value for key, value in self.headers if key == name]

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".strip()


class Client:
    """Asks one server; ``close`` ends the connection at once."""

    def __init__(
        self,
        run: Run,
        address: tuple[str, int],
        tls: Tls | None,
        credentials: Credentials | None,
        language: Language = "HTTP/1.1",
    ) -> None:
        self.login: Login | None = None
        self.proven = False
        """The login has been taken."""
        self._run, self._address, self._tls = run, address, tls
        self._credentials, self._language = credentials, language
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._sequence = 0

    async def ask(
        self, stage: str, method: str, uri: str, headers: Mapping[str, str], body: bytes = b"", *, limit: int
    ) -> Answer:
        """One request, with the login if there is one, and its answer of at most ``limit`` bytes.

        Where a connection that was kept turns out to have ended, a new one is made.

        Raises:
            ProbeFailed: of the stages ``resolve``, ``connect``, ``tls`` and the given one.
        """
        kept = self._streams is not None
        answer = await self._exchange(stage, method, uri, headers, body, limit, may_have_ended=kept)
        if answer is None:
            answer = await self._exchange(stage, method, uri, headers, body, limit, may_have_ended=False)
        if answer is None:
            raise AssertionError("a new connection gives an answer or a failure")
        if self.login is not None and answer.status != 401:
            self.proven = True
        return answer

    def log_in(self, answer: Answer) -> bool:
        """Have a login for what the answer asks for; False where there is none that is worth trying.

        A password that was refused is not sent again: devices lock the account after a few wrong ones.
        """
        if self._credentials is None or answer.status != 401:
            return False
        try:
            challenge = strongest(parse_challenges(answer.headers_of("www-authenticate")))
        except MalformedChallenge:
            return False
        if challenge is None or (self.login is not None and not self.proven and not challenge.stale):
            return False
        self.login, self.proven = Login(challenge, self._credentials.username, self._credentials.password), False
        return True

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._streams is not None:
            discard(self._streams[1])
            self._streams = None

    async def _exchange(
        self,
        stage: str,
        method: str,
        uri: str,
        headers: Mapping[str, str],
        body: bytes,
        limit: int,
        *,
        may_have_ended: bool,
    ) -> Answer | None:
        reader, writer = self._streams or await self._connected()
        with self._run.stage(stage):
            try:
                writer.write(self._request(method, uri, headers, body))
                await writer.drain()
                first = await _line(reader, self._run)
            except (ConnectionError, EOFError):
                self.close()
                if may_have_ended:
                    return None
                raise
            answer, stays = await self._read(reader, first, limit)
        if not stays:
            self.close()
        return answer

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._address
        self._streams = await connect(self._run, host, port, tls=self._tls, limit=MAX_LINE)
        tls = self._streams[1].get_extra_info("ssl_object")
        if tls is not None:
            record_certificate(self._run, tls)
        return self._streams

    def _request(self, method: str, uri: str, headers: Mapping[str, str], body: bytes) -> bytes:
        host, port = self._address
        name = host.partition("%")[0]
        lines = [f"{method} {uri} {self._language}", "User-Agent: sentinel"]
        if self._language == "RTSP/1.0":
            self._sequence += 1
            lines.append(f"CSeq: {self._sequence}")
        else:
            usual = port == (443 if self._tls is not None and self._tls.wants_tls else 80)
            name = f"[{name}]" if ":" in name else name
            lines += [f"Host: {name if usual else f'{name}:{port}'}", "Accept-Encoding: identity"]
        if self.login is not None:
            lines.append(f"Authorization: {self.login.authorization(method, uri, body)}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{key}: {value}" for key, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def _read(self, reader: asyncio.StreamReader, first: bytes, limit: int) -> tuple[Answer, bool]:
        """The answer, and whether the connection may be used again."""
        for _ in range(MAX_INFORMATIONAL):
            status = _STATUS_LINE.fullmatch(first.strip())
            if status is None or status[1] != self._language[:4].encode():
                self._run.fail("protocol_error", f"no {self._language[:4]}: {first[:60]!r}")
            headers = await _headers(reader, self._run)
            answer = Answer(int(status[3]), (status[4] or b"").decode("utf-8", "replace").strip()[:200], headers)
            if answer.status >= 200:
                break
            first = await _line(reader, self._run)
        else:
            self._run.fail("protocol_error", "informational answers without end")
        body, whole = await _body(reader, answer, limit, self._run, until_end=self._language == "HTTP/1.1")
        wish = answer.header("connection").lower()
        stays = whole and "close" not in wish and (status[2] != b"1.0" or status[1] == b"RTSP" or "keep-alive" in wish)
        return Answer(answer.status, answer.reason, headers, body), stays


async def _line(reader: asyncio.StreamReader, run: Run) -> bytes:
    """The next line, with its end."""
    try:
        line = await reader.readline()
    except ValueError:  # past the reader's limit
        run.fail("too_large", f"a line of more than {MAX_LINE} bytes")
    if not line.endswith(b"\n"):
        raise EOFError("the server ended the connection")
    return line


async def _headers(reader: asyncio.StreamReader, run: Run) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for _ in range(MAX_LINES):
        line = (await _line(reader, run)).rstrip(b"\r\n")
        if not line:
            break
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            found.append((name.strip().lower(), value.strip()))
    else:
        run.fail("too_large", f"more than {MAX_LINES} lines of headers")
    return tuple(found)


async def _body(
    reader: asyncio.StreamReader, answer: Answer, limit: int, run: Run, *, until_end: bool
) -> tuple[bytes, bool]:
    """The body (RFC 9112, 6.3), and whether its end was told, so that another answer may follow."""
    coding = answer.header("content-encoding").lower()
    if coding not in {"", "identity"}:
        run.fail("unsupported", f"Content-Encoding {coding[:40]!r} was not offered")
    if answer.status in {204, 304}:
        return b"", True
    if "chunked" in answer.header("transfer-encoding").lower():
        return await _chunks(reader, limit, run), True
    text = answer.header("content-length")
    if text:
        if not (text.isascii() and text.isdigit()):
            run.fail("protocol_error", f"Content-Length: {text[:40]!r}")
        if len(text) > 12 or int(text) > limit:
            _too_large(run, limit)
        return await reader.readexactly(int(text)), True
    return (await _rest(reader, limit, run), False) if until_end else (b"", True)


async def _chunks(reader: asyncio.StreamReader, limit: int, run: Run) -> bytes:
    """A chunked body (RFC 9112, 7.1)."""
    body = bytearray()
    while True:
        size = _SIZE.fullmatch((await _line(reader, run)).rstrip(b"\r\n"))
        if size is None:
            run.fail("protocol_error", "a chunk without a size")
        length = int(size[1], 16)
        if len(body) + length > limit:
            _too_large(run, limit)
        if not length:
            await _headers(reader, run)
            return bytes(body)
        body += await reader.readexactly(length)
        if (await _line(reader, run)).strip():
            run.fail("protocol_error", "a chunk longer than it says")
        await asyncio.sleep(0)  # what has come is read without waiting: a flood must not hold up other checks


async def _rest(reader: asyncio.StreamReader, limit: int, run: Run) -> bytes:
    body = bytearray()
    while data := await reader.read(_CHUNK):
        body += data
        if len(body) > limit:
            _too_large(run, limit)
        await asyncio.sleep(0)
    return bytes(body)


def _too_large(run: Run, limit: int) -> NoReturn:
    run.fail("too_large", f"an answer of more than {limit} bytes")
