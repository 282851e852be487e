"""One request over a connection of its own, timed step by step, and dropped at once.

aiohttp's parser in C reads the answer; its session is left out.  That one has a single event for TCP and TLS together,
a resolver of its own, and costs more than the kernel and the parser do.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import parse_content_type
from multidict import CIMultiDictProxy
from yarl import URL

from sentinel.sdk.net import dial, open_transport, record_certificate, resolve
from sentinel.sdk.protocol import Run

_HANDSHAKE_GRACE: Final = 5.0  # seconds past the deadline: asyncio's own limit on a handshake must not strike before it
_MAX_HEADER: Final = 16_384  # bytes of one header line or of the status line
_MAX_HEADERS: Final = 128
_BUFFER: Final = 262_144  # bytes of a body that are held before the peer has to wait
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # other methods say that their body is empty
_SWITCHING: Final = 101
_FINAL: Final = 200
_CONTROL: Final = re.compile(r"[\r\n\0]")


@dataclass(slots=True)
class Exchange:
    """One request and its answer: where it goes, and when its phases began (``time.monotonic()``).

    ``context`` is None for plain HTTP; ``server_name`` is what TLS asks for and verifies.  ``broken`` is what ended
    the connection, where it was an error: aiohttp puts it into a text only.
    """

    run: Run
    host: str
    port: int
    context: ssl.SSLContext | None
    server_name: str
    connected_at: float | None = None
    answered_at: float | None = None
    broken: OSError | None = None

    def connected(self) -> None:
        """The request goes out now."""
        self.connected_at = time.monotonic()
        self.run.current = "first_byte"

    def answered(self) -> None:
        """The first byte of the answer is here."""
        if self.connected_at is not None and self.answered_at is None:
            self.answered_at = time.monotonic()
            _add(self.run, "first_byte", self.answered_at - self.connected_at)
            self.run.current = "transfer"

    def ended(self) -> None:
        """All that is wanted is here, or no more will come."""
        if self.answered_at is not None:
            _add(self.run, "transfer", time.monotonic() - self.answered_at)
        elif self.connected_at is not None:
            _add(self.run, "first_byte", time.monotonic() - self.connected_at)
        self.connected_at = self.answered_at = None


@dataclass(slots=True)
class Answer:
    """Status line and headers (RFC 9112, 4 and 5); ``content`` gives the body as it comes, still compressed."""

    method: str
    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as the peer says, None where it does not."""
        text = self.headers.get("Content-Length")
        return None if text is None else int(text)  # the parser lets nothing but digits pass

    @property
    def charset(self) -> str | None:
        """What Content-Type says of it, None where it says nothing."""
        text = self.headers.get("Content-Type")
        return None if text is None else parse_content_type(text)[1].get("charset")


class Connection(ResponseHandler):
    """aiohttp's reader of answers, which notes when the first byte came and never lingers at the end."""

    def __init__(self, exchange: Exchange, method: str) -> None:
        super().__init__(asyncio.get_running_loop())
        self._exchange = exchange
        self.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,  # body.py inflates, against its own limit
            read_bufsize=_BUFFER,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
            max_headers=_MAX_HEADERS,
        )

    def data_received(self, data: bytes) -> None:
        """Note the time, then parse."""
        self._exchange.answered()
        body = self._payload
        super().data_received(data)
        error = self.exception()
        if error is not None and body is not None and body.exception() is None:
            # aiohttp does not tell whoever reads the body that a chunk makes no sense: the read would hang.
            body.set_exception(aiohttp.ClientPayloadError(getattr(error, "message", "") or str(error)))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the reason, then tell whoever waits."""
        if isinstance(exc, OSError):
            self._exchange.broken = exc
        super().connection_lost(exc)

    def close(self) -> None:
        """Drop the connection: a TLS peer that hangs would hold an orderly end, and the descriptor, for 30 s."""
        self.abort()

    async def ask(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Send a request; its final answer, without the interim ones before it (RFC 9110, 15.2).

        Raises:
            aiohttp.ClientError: the connection ended before.
            aiohttp.http_exceptions.HttpProcessingError: what came is no answer.
        """
        if self.transport is not None:
            self.transport.write(_message(method, url, headers, body))
        while True:
            message, content = await self.read()
            if message.code >= _FINAL or message.code == _SWITCHING:
                return Answer(method, message.code, message.reason or "", message.headers, content)


async def open_connection(exchange: Exchange, method: str) -> Connection:
    """Connect, in the stages ``resolve``, ``connect`` and ``tls``; the caller ends it with ``close``.

    Raises:
        ProbeFailed: of the stage that failed.
    """
    run, loop = exchange.run, asyncio.get_running_loop()

    def connection() -> Connection:
        return Connection(exchange, method)

    address = await resolve(run, exchange.host)
    if exchange.context is None:
        _, opened = await open_transport(run, address, exchange.port, connection)
    else:
        sock = await dial(run, address, exchange.port)
        try:
            with run.stage("tls"):
                transport, opened = await loop.create_connection(
                    connection,
                    sock=sock,
                    ssl=exchange.context,
                    server_hostname=exchange.server_name,
                    ssl_handshake_timeout=run.left + _HANDSHAKE_GRACE,
                )
                record_certificate(run, transport.get_extra_info("ssl_object"))
        except BaseException:
            sock.close()
            raise
    exchange.connected()
    return opened


def _message(method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The request (RFC 9112, 3 and 6.2).  Header names are in title case.

    Raises:
        ValueError: a header would end its line.
    """
    sent = dict(headers)
    host = sent.pop("Host", None) or url.host_port_subcomponent
    if body:
        sent.setdefault("Content-Length", str(len(body)))
        sent.setdefault("Content-Type", "application/octet-stream")
    elif method not in _BODILESS:
        sent.setdefault("Content-Length", "0")
    sent.setdefault("Connection", "close")
    fields = [f"{name}: {value}" for name, value in sent.items()]
    if any(_CONTROL.search(field) for field in fields):
        raise ValueError("a header holds the end of a line")
    return "\r\n".join([f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode() + (
        body or b""
    )


def _add(run: Run, stage: str, seconds: float) -> None:
    run.stages[stage] = run.stages.get(stage, 0.0) + seconds
