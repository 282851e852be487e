"""Where SIP comes in: one address and port, over UDP and TCP, bounded in connections, bytes and idleness."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from sentinel.wire.sip import Request, Response, StreamParser, parse_datagram, reply_address
from sentinel.wire.sip_headers import MalformedMessage

MAX_CONNECTIONS: Final = 256
MAX_OF_A_HOST: Final = 16
"""Connections from one address: a stranger cannot take all of them."""
STRANGER_SECONDS: Final = 15.0
"""A connection on which nobody has registered is ended after so long."""
IDLE_SECONDS: Final = 600.0
"""One on which somebody has, after so long without a word."""
CHUNK: Final = 16_384
MAX_UNSENT: Final = 262_144
"""Bytes that wait for a peer that does not read; the connection is ended past it."""


@dataclass(slots=True)
class Way:
    """How to reach one peer: back to where a datagram came from, or into its connection."""

    transport: Literal["UDP", "TCP"]
    host: str
    port: int
    local: tuple[str, int]
    _datagrams: asyncio.DatagramTransport | None = None
    _writer: asyncio.StreamWriter | None = None
    trusted: bool = False
    """Somebody has registered over it."""

    @property
    def alive(self) -> bool:
        """Whether something can be sent: a connection may be gone."""
        if self._writer is not None:
            return not self._writer.is_closing()
        return self._datagrams is not None and not self._datagrams.is_closing()

    def send(self, data: bytes) -> None:
        """Send; what cannot be sent is lost, as it is on a network."""
        self._send(data, (self.host, self.port))

    def answer(self, request: Request, answer: Response) -> None:
        """Send an answer to where it belongs (RFC 3261, 18.2.2).

        Raises:
            MalformedMessage: the request has no Via that can be read.
        """
        place = (self.host, self.port)
        self._send(answer.encode(), place if self._writer is not None else reply_address(request, place))

    def _send(self, data: bytes, place: tuple[str, int]) -> None:
        if not self.alive:
            return
        if self._writer is None:
            if self._datagrams is not None:
                self._datagrams.sendto(data, place)
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self._writer.transport.abort()


Receive = Callable[[Request | Response, Way], None]


@dataclass(slots=True)
class Listening:
    """A registrar's sockets; ``receive`` gets every message, and ``malformed`` counts what is none."""

    address: str
    port: int
    receive: Receive
    malformed: int = 0
    refused: int = 0
    since: float = 0.0
    _datagrams: asyncio.DatagramTransport | None = field(default=None, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)
    _writers: dict[asyncio.StreamWriter, str] = field(default_factory=dict, init=False)

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the address or the port cannot be had.
        """
        udp, tcp = _pair(self.address, self.port)
        try:
            loop = asyncio.get_running_loop()
            self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
            self._server = await asyncio.start_server(self._connected, sock=tcp, limit=CHUNK)
        except BaseException:
            udp.close()
            tcp.close()
            raise
        self.since = time.monotonic()

    def close(self) -> None:
        """Listen no more, and break every connection."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def datagram(self, data: bytes, source: tuple[str, int]) -> None:
        """Take one datagram; never raises."""
        way = Way("UDP", source[0], source[1], self.local_to(source[0]), _datagrams=self._datagrams)
        try:
            self.receive(parse_datagram(data), way)
        except MalformedMessage:
            self.malformed += 1

    def way_to(self, host: str, port: int, *, over_tcp: bool) -> Way:
        """The way to who was heard in the daemon's last run; of a connection it is dead until there is a new one.

        Raises:
            OSError: there is none.
        """
        local = self.local_to(host)
        if over_tcp:
            return Way("TCP", host, port, local)
        return Way("UDP", host, port, local, _datagrams=self._datagrams, trusted=True)

    def local_to(self, host: str) -> tuple[str, int]:
        """Our address as that host sees it."""
        if not _is_wildcard(self.address):
            return self.address, self.port
        return own_address(host), self.port

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        if len(self._writers) >= MAX_CONNECTIONS or list(self._writers.values()).count(host) >= MAX_OF_A_HOST:
            self.refused += 1
            writer.transport.abort()
            return
        self._writers[writer] = host
        try:
            way = Way("TCP", host, port, writer.get_extra_info("sockname")[:2], _writer=writer)
            await self._converse(reader, way)
        except MalformedMessage:
            self.malformed += 1
        except (OSError, EOFError):
            pass  # gone, or silent for too long
        finally:
            del self._writers[writer]
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, way: Way) -> None:
        parser = StreamParser()
        began = time.monotonic()
        while True:
            left = IDLE_SECONDS if way.trusted else began + STRANGER_SECONDS - time.monotonic()
            async with asyncio.timeout(left):
                data = await reader.read(CHUNK)
            if not data:
                return
            parser.feed(data)
            while (message := parser.next()) is not None:
                self.receive(message, way)
            await asyncio.sleep(0)  # read() does not wait while there is more: a flood must not hold up other checks


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, listening: Listening) -> None:
        self._listening = listening

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._listening.datagram(data, addr[:2])


def own_address(host: str) -> str:
    """The address of ours from which that host would be spoken to; nothing is sent.

    Raises:
        OSError: there is no way to it.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, 9))
        return str(sock.getsockname()[0])


def _pair(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what it had accepted may still be ending
        for sock in (udp, tcp):
            sock.setblocking(False)
            sock.bind((address, port))
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def _is_wildcard(address: str) -> bool:
    return address in ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
