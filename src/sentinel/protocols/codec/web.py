"""Pages of a device over HTTP: several over one connection, with Basic authentication; no redirect is followed."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from yarl import URL

from sentinel.domain.target import Target
from sentinel.protocols.codec.options import CodecOptions
from sentinel.sdk.failures import code_of
from sentinel.sdk.net import dial, record_certificate, resolve, server_name, ssl_context
from sentinel.sdk.protocol import Run

_MAX_HEADER: Final = 16_384
_MAX_HEADERS: Final = 128
_GRACE: Final = 5.0  # seconds past the deadline: asyncio's own limit on a handshake must not strike before it
_REFUSED: Final = {401: "unauthorized", 403: "forbidden", 429: "busy", 503: "busy"}
_UNKNOWN: Final = frozenset({404, 405, 410, 501})
"""Statuses with which a device says that it does not know the page."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer.  ``refusal`` says that there is no such page, empty where there is."""

    body: bytes
    refusal: str = ""


class _Handler(ResponseHandler):
    """aiohttp's parser of answers, that remembers what broke it and never lingers at the end."""

    broken: OSError | None = None

    def data_received(self, data: bytes) -> None:
        body = self._payload
        super().data_received(data)
        error = self.exception()
        if error is not None and body is not None and body.exception() is None:
            # aiohttp does not tell whoever reads the body that a chunk makes no sense: the read would hang.
            body.set_exception(aiohttp.ClientPayloadError(str(error)))

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(exc, OSError):
            self.broken = exc
        super().connection_lost(exc)

    def close(self) -> None:
        """Drop the connection: a TLS peer that hangs would hold an orderly end, and the descriptor, for 30 s."""
        self.abort()


class _Connector(aiohttp.BaseConnector):
    """Connects to one device, through ``sdk.net``; the connection is kept from page to page."""

    def __init__(self, run: Run, host: str, port: int, context: ssl.SSLContext | None, name: str) -> None:
        super().__init__(limit=1)
        self._run, self._host, self._port, self._context, self._name = run, host, port, context, name
        self.handler: _Handler | None = None

    async def _create_connection(
        self, _req: aiohttp.ClientRequest, _traces: list[Trace], _timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        run = self._run
        sock = await dial(run, await resolve(run, self._host), self._port)
        try:
            if self._context is None:
                _, self.handler = await self._loop.create_connection(lambda: _Handler(self._loop), sock=sock)
                return self.handler
            with run.stage("tls"):
                transport, self.handler = await self._loop.create_connection(
                    lambda: _Handler(self._loop),
                    sock=sock,
                    ssl=self._context,
                    server_hostname=self._name,
                    ssl_handshake_timeout=run.left + _GRACE,
                )
            record_certificate(run, transport.get_extra_info("ssl_object"))
        except BaseException:
            sock.close()
            raise
        return self.handler


class Web:
    """One run's requests.  ``limit`` is in bytes, for all bodies together."""

    def __init__(self, session: aiohttp.ClientSession, connector: _Connector, home: URL, limit: int, run: Run) -> None:
        self._session, self._connector, self._home, self.run = session, connector, home, run
        self._limit = self._left = limit

    async def get(self, path: str) -> Page:
        """A page, asked for with its query.

        Raises:
            ProbeFailed: of the stage that failed; ``unauthorized``, ``forbidden``, ``busy`` or ``bad_status`` for an
                answer that is none, ``too_large`` past the limit.
        """
        run = self.run
        url = URL(f"{self._home}{path}", encoded=True)
        try:
            async with self._session.get(
                url,
                allow_redirects=False,
                max_line_size=_MAX_HEADER,
                max_field_size=_MAX_HEADER,
                max_headers=_MAX_HEADERS,
            ) as response:
                return await self._page(response)
        except aiohttp.ClientError as error:
            self._fail(error)
        except RuntimeError:  # aiohttp's word for a transport that closed while it wrote to it
            run.fail("closed", "the peer hung up before the answer was complete")

    async def _page(self, response: aiohttp.ClientResponse) -> Page:
        run, status = self.run, response.status
        run.facts["status"] = f"{status} {response.reason or ''}".strip()[:100]
        if "Server" in response.headers:
            run.facts["server"] = response.headers["Server"][:100]
        if status != 200 and status not in _UNKNOWN:
            where = f", leads to {response.headers['Location'][:120]!r}" if "Location" in response.headers else ""
            run.fail(_REFUSED.get(status, "bad_status"), run.facts["status"] + where)
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            run.fail("unsupported", f"Content-Encoding {coding[:40]!r} was not offered")
        parts: list[bytes] = []
        while data := await response.content.readany():
            self._left -= len(data)
            if self._left < 0:
                run.fail("too_large", f"more than {self._limit} bytes")
            parts.append(data)
        return Page(b"".join(parts), run.facts["status"] if status in _UNKNOWN else "")

    def _fail(self, error: aiohttp.ClientError) -> NoReturn:
        broken = self._connector.handler.broken if self._connector.handler is not None else None
        if broken is not None:
            self.run.fail(code_of(broken), broken.strerror or type(broken).__name__)
        causes = " ".join(_causes(error))
        if isinstance(error, aiohttp.ClientResponseError):  # the parser's word for an answer that is none
            large = "LineTooLong" in causes or "Too many headers" in causes
            self.run.fail("too_large" if large else "protocol_error", error.message.partition("\n")[0])
        if isinstance(error, aiohttp.ClientPayloadError) and "Not enough data" not in causes:
            self.run.fail("protocol_error", str(error).partition("\n")[0])
        self.run.fail("closed", "the peer hung up before the answer was complete")


def _causes(error: BaseException | None) -> list[str]:
    """An error and what led to it, as texts."""
    found: list[str] = []
    while error is not None and len(found) < 8:
        found.append(f"{type(error).__name__} {error}")
        error = error.__cause__
    return found


@asynccontextmanager
async def opened(run: Run, target: Target, options: CodecOptions) -> AsyncIterator[Web]:
    """Requests to a device, for as long as the block lasts; the connection is made with the first.

    Raises:
        ProbeFailed: ``bad_option`` at ``prepare`` where ``tls_ca_file`` cannot be read.
    """
    context = ssl_context(options, alpn=("http/1.1",)) if options.scheme == "https" else None
    host = f"[{target.address}]" if ":" in target.address else target.address
    home = URL(f"{options.scheme}://{host}:{options.at_port}")
    connector = _Connector(run, target.address, options.at_port, context, server_name(options, target.address))
    session = aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": "Sentinel", "Accept": "*/*", "Accept-Encoding": "identity", **_authorization(options)},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the deadline has one owner, the runner
    )
    # aiohttp asks a second time where the peer hangs up before it answers; the first answer is the measurement.
    session._retry_connection = False  # noqa: SLF001 - there is no public switch
    try:
        yield Web(session, connector, URL(str(home.origin())), options.max_bytes, run)
    finally:
        if connector.handler is not None:
            connector.handler.close()
        await session.close()
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn


def _authorization(options: CodecOptions) -> dict[str, Any]:
    if options.username is None or options.password is None:
        return {}
    pair = f"{options.username}:{options.password.get_secret_value()}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}
