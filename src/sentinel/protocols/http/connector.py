"""Connections for aiohttp that are timed step by step, made anew for each request, and dropped at once.

aiohttp's own tracing has one event for TCP and TLS together and none for the handshake; its connector asks a
resolver of its own.  This one goes through ``sdk.net`` and writes the stages ``resolve``, ``connect``, ``tls``,
``first_byte`` and ``transfer`` into the run of the request that it serves.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

from sentinel.sdk.net import dial, record_certificate, resolve
from sentinel.sdk.protocol import Run

_HANDSHAKE_GRACE = 5.0  # seconds past the deadline: asyncio's own limit on a handshake must not strike before it


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


EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")
"""The exchange that the running task is about to begin: aiohttp has no argument that reaches the connector."""


class TimedHandler(ResponseHandler):
    """aiohttp's parser of answers, which notes when the first byte came and never lingers at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> None:
        super().__init__(loop)
        self._exchange = exchange

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


class TimedConnector(aiohttp.BaseConnector):
    """Makes the connection of each ``Exchange``; the limits on how many there are belong to the runner."""

    def __init__(self) -> None:
        super().__init__(force_close=True, limit=0)

    async def _create_connection(
        self,
        _req: aiohttp.ClientRequest,
        _traces: list[Trace],
        _timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        exchange = EXCHANGE.get()
        run = exchange.run
        sock = await dial(run, await resolve(run, exchange.host), exchange.port)

        def handler() -> TimedHandler:
            return TimedHandler(self._loop, exchange)

        try:
            if exchange.context is None:
                _, protocol = await self._loop.create_connection(handler, sock=sock)
            else:
                with run.stage("tls"):
                    transport, protocol = await self._loop.create_connection(
                        handler,
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
        return protocol


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """The session that all HTTP checks share: it keeps no cookie, no connection and no proxy."""
    session = aiohttp.ClientSession(
        connector=TimedConnector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # body.py inflates, against its own limit
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the deadline has one owner, the runner
        raise_for_status=False,
    )
    # aiohttp asks a second time where the peer hangs up before it answers; the first answer is the measurement.
    session._retry_connection = False  # noqa: SLF001 - there is no public switch; a test counts the connections
    async with session:
        yield session


def _add(run: Run, stage: str, seconds: float) -> None:
    run.stages[stage] = run.stages.get(stage, 0.0) + seconds
