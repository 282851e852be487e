"""The ways to a SIP peer: datagrams or a connection, alike to the one who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Protocol

from sentinel.domain.target import Target
from sentinel.protocols.sip.options import SipOptions
from sentinel.sdk.datagrams import Peer, talk
from sentinel.sdk.net import connect, discard, record_certificate
from sentinel.sdk.protocol import Run
from sentinel.wire.sip import Message, StreamParser, parse_datagram

NO_HOST: Final = "sentinel.invalid"
"""Our host, where we have no address towards the peer."""

_CHUNK: Final = 16_384


class Channel(Protocol):
    """A way to the peer.  ``local`` is our end of it; over a ``reliable`` one nothing is sent twice."""

    reliable: bool
    local: tuple[str, int]

    async def send(self, data: bytes) -> None:
        """Send one message."""

    async def receive(self) -> Message:
        """The next message.

        Raises:
            MalformedMessage: it is none; over a connection nothing can follow then.
            OSError, EOFError: of the network.
        """


@asynccontextmanager
async def reach(target: Target, options: SipOptions, run: Run) -> AsyncIterator[Channel]:
    """The channel that the options ask for, closed at the end.

    Raises:
        ProbeFailed: of the stages ``resolve``, ``connect``, ``tls``, and ``prepare`` where no socket can be had.
    """
    port = options.port or options.usual_port
    if options.transport == "udp":
        async with AsyncExitStack() as held:
            with run.stage("prepare"):
                peer = await held.enter_async_context(talk(run, target.address, port))
            yield _Datagrams(peer)
        return
    reader, writer = await connect(run, target.address, port, tls=options, limit=_CHUNK)
    try:
        if options.wants_tls:
            record_certificate(run, writer.get_extra_info("ssl_object"))
        yield _Connection(reader, writer)
    finally:
        discard(writer)


class _Datagrams:
    reliable = False

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.local = peer.local

    async def send(self, data: bytes) -> None:
        self._peer.send(data)

    async def receive(self) -> Message:
        return parse_datagram(await self._peer.receive())


class _Connection:
    reliable = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser = StreamParser()
        name = writer.get_extra_info("sockname")
        # Through a bastion our end is no address: a name that never resolves stands for it (RFC 2606), and the peer
        # answers over the connection (18.2.2).
        self.local = (str(name[0]).partition("%")[0], int(name[1])) if isinstance(name, tuple) else (NO_HOST, 5060)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> Message:
        while (message := self._parser.next()) is None:
            data = await self._reader.read(_CHUNK)
            if not data:
                raise EOFError("the peer ended the connection before it answered")
            self._parser.feed(data)
        return message
