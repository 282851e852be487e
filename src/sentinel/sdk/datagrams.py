"""A UDP socket that talks to one peer, for a probe's questions and answers.

    async with talk(run, target.address, 5060) as peer:
        peer.send(request)
        answer = await peer.receive()

The socket is connected: the kernel hands over what comes from that address and port only, and tells when nobody
listens there (ICMP port unreachable).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Run

_MOST: Final = 64
"""Datagrams that wait to be taken; what comes beyond is dropped, as a full socket buffer would."""


class Peer:
    """One peer.  What arrives waits until it is taken: a deadline between arrival and taking loses nothing."""

    def __init__(self, transport: asyncio.DatagramTransport, inbox: Inbox) -> None:
        self._transport, self._inbox = transport, inbox

    def send(self, data: bytes) -> None:
        """Send one datagram; an error of the network is raised by ``receive``."""
        self._transport.sendto(data)

    async def receive(self) -> bytes:
        """The next datagram, up to 64 KiB.

        Raises:
            OSError: what the network said of one that was sent; each is told once.
        """
        return await self._inbox.take()

    @property
    def local(self) -> tuple[str, int]:
        """Our address, without the interface of a link-local one, and port towards this peer."""
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host).partition("%")[0], int(port)


class Inbox(asyncio.DatagramProtocol):
    """What a socket has received and nobody has taken yet."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Asyncio calls it for each datagram."""
        if len(self._waiting) < _MOST:
            self._waiting.append(data)
            self._news.set()

    def error_received(self, exc: Exception) -> None:
        """Asyncio calls it for what the network said."""
        self._error = exc
        self._news.set()

    async def take(self) -> bytes:
        """The oldest datagram, or the error that came after all of them."""
        while not self._waiting:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


@asynccontextmanager
async def talk(run: Run, host: str, port: int) -> AsyncIterator[Peer]:
    """A socket to ``host``, closed at the end; a name is looked up in the stage ``resolve``, the first address counts.

    Raises:
        ProbeFailed: of the stage ``resolve``.
        OSError: no socket can be opened towards that address; the caller's stage names it.
    """
    address = await resolve(run, host)
    transport, inbox = await asyncio.get_running_loop().create_datagram_endpoint(Inbox, remote_addr=(address, port))
    try:
        yield Peer(transport, inbox)
    finally:
        transport.abort()
