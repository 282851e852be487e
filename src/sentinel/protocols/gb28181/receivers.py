"""Where the picture comes in: a UDP port, a connection that the device opens, or one that we open (RFC 4571)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import socket
from collections.abc import Callable
from typing import Final, Literal

Media = Literal["udp", "tcp-passive", "tcp-active"]
Take = Callable[[bytes], None]

BUFFER: Final = 1 << 20
"""Bytes that the kernel holds of a key frame that comes at once."""
CHUNK: Final = 65_536
MAX_CONNECTIONS: Final = 4
"""That strangers may open to our port, beside the device's."""
_ACTIVE_PORT: Final = 9  # RFC 4145, 4: what the side that connects writes as its port


class Receiver:
    """One port at an address of ours for one picture; ``take`` gets each packet.

    ``ended``: the device has ended its connection, which is called out as well.  Whoever makes one closes it.
    """

    def __init__(self, media: Media, address: str, take: Take, ended: Callable[[], None]) -> None:
        self.media, self.address = media, address
        self.port = _ACTIVE_PORT
        self.ended = False
        self._take, self._ended = take, ended
        self._transport: asyncio.BaseTransport | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()

    async def open(self, ports: range) -> None:
        """Take a port, one of ``ports`` where there are any.

        Raises:
            OSError: none is free.
        """
        if self.media == "tcp-active":
            return
        kind = socket.SOCK_DGRAM if self.media == "udp" else socket.SOCK_STREAM
        sock = _bound(self.address, kind, ports)
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        try:
            if self.media == "udp":
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
                self._transport, _ = await loop.create_datagram_endpoint(lambda: _Packets(self._take), sock=sock)
            else:
                self._server = await loop.create_server(self._accept, sock=sock, backlog=4)
        except BaseException:
            sock.close()
            raise

    async def connect(self, host: str, port: int) -> None:
        """Open the connection to the device (``tcp-active``).

        Raises:
            OSError: of the connection; the address is none that a device may have, among them.
        """
        if not _reachable(host, self.address):
            raise OSError(None, f"the answer names {host[:60]} as the device's address")
        loop = asyncio.get_running_loop()
        await loop.create_connection(self._accept, host, port, local_addr=(self.address, 0))

    def close(self) -> None:
        """Give the port back and end the connections."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.abort()
        self._connections.clear()

    def joined(self, connection: asyncio.Transport) -> bool:
        """A connection has come; False where there is no place for it."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: asyncio.Transport) -> None:
        """It has gone."""
        self._connections.discard(connection)
        self.ended = not self._connections
        self._ended()

    def _accept(self) -> _Frames:
        return _Frames(self, self._take)


class _Packets(asyncio.DatagramProtocol):
    def __init__(self, take: Take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self._take(data)


class _Frames(asyncio.Protocol):
    """RFC 4571: each packet after its length in two bytes.  Holds one packet, 64 KiB, at most."""

    def __init__(self, receiver: Receiver, take: Take) -> None:
        self._receiver, self._take = receiver, take
        self._buffer = bytearray()
        self._connection: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._connection = transport
        if not self._receiver.joined(transport):
            transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._connection is not None:
            self._receiver.left(self._connection)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) >= at + 2:
            end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if len(buffer) < end:
                break
            self._take(bytes(buffer[at + 2 : end]))
            at = end
        del buffer[:at]


def _bound(address: str, kind: socket.SocketKind, ports: range) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # In no order: a port that has just been given back may still get the packets of its last picture.
    tries = random.sample(ports, len(ports)) if ports else [0] * 32
    for port in tries:
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            sock.bind((address, port))
            # RFC 3550, 11: RTP has the even port; some devices take the next lower one otherwise.
            if kind == socket.SOCK_STREAM or sock.getsockname()[1] % 2 == 0:
                return sock
        except OSError:
            if not ports:
                sock.close()
                raise
        sock.close()
    raise OSError(None, "no port is free for the picture")


def _reachable(host: str, ours: str) -> bool:
    """Whether we connect to what an answer names: another host's address, and this host's only where we are on it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified:
        return False
    return not address.is_loopback or ipaddress.ip_address(ours).is_loopback
