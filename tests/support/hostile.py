"""Servers that behave as no server should, for every way in which a far end can fail."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from tests.support.ports import free_port

HOST = "127.0.0.1"

Manner = Literal["hang", "garbage", "drip", "endless", "huge", "reset", "close", "refuse"]
"""hang: take everything, say nothing · garbage: random bytes · drip: a byte of `text` every 100 ms · endless: the same
filling for ever · huge: announce a body that nobody could hold · reset: RST on connect · close: FIN on connect ·
refuse: nothing listens."""

MANNERS: tuple[Manner, ...] = get_args(Manner)

DRIP_EVERY = 0.1
_TURN = 0.01
"""Seconds for the loop to do what it has scheduled."""

HUGE_HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9223372036854775807\r\n\r\nx"
HUGE_RTSP = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 4294967295\r\n\r\nv=0\r\n"
HUGE_BER = b"\x30\x84\xff\xff\xff\xff\x02\x01\x01"
"""An SNMP message that says it is 4 GiB long."""


@dataclass(slots=True)
class HostileServer:
    """Where it is, and what came in."""

    port: int
    host: str = HOST
    connections: int = 0
    """TCP connections accepted so far; over UDP, datagrams received."""
    open: int = 0
    """TCP connections open now: 0 once a probe has cleaned up after itself."""
    received: bytearray = field(default_factory=bytearray)

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    async def all_closed(self) -> None:
        """Return once every client has hung up; the caller sets the deadline."""
        while self.open:
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def serve_tcp(
    manner: Manner, *, text: bytes = b"", after: bytes | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileServer]:
    """Listen on loopback.

    `text` is what drip and endless say and how huge announces itself (an HTTP answer by default). With `after` the
    server first reads until those bytes (b"\\r\\n\\r\\n": the request), as a real one would.
    """
    server = HostileServer(free_port(HOST))
    if manner == "refuse":
        yield server
        return
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        server.open += 1
        try:
            if after is not None:
                server.received += await reader.readuntil(after)
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_record(reader, server.received), name="record")
                await _BEHAVIOURS[manner](writer, text)
                await writer.drain()
                listening.cancel()
        except* (OSError, asyncio.IncompleteReadError):
            pass  # the client left, which is what it should do
        finally:
            server.open -= 1
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(serve, HOST, server.port, ssl=tls)
    try:
        yield server
    finally:
        listener.close()
        await asyncio.sleep(_TURN)  # a connection that was just taken gets its task
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(_TURN)  # what was closed is let go of


@contextlib.asynccontextmanager
async def serve_udp(manner: Manner, *, text: bytes = b"") -> AsyncIterator[HostileServer]:
    """Answer datagrams; reset and refuse both leave the port closed, which the kernel tells with an ICMP error.

    close answers with one zero byte, drip with `text` one byte a datagram, endless with a burst of a thousand.
    """
    server = HostileServer(free_port(HOST))
    if manner in {"refuse", "reset"}:
        yield server
        return
    replies = {
        "hang": [],
        "garbage": [os.urandom(200)],
        "drip": [text[i : i + 1] for i in range(len(text))] or [b"\x30"],
        "endless": [text or HUGE_BER] * 1000,
        "huge": [text or HUGE_BER],
        "close": [b"\0"],
    }[manner]

    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            server.connections += 1
            server.received += data
            for reply in replies:
                self.transport.sendto(reply, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Answer, local_addr=(HOST, server.port))
    try:
        yield server
    finally:
        transport.close()


async def _record(reader: asyncio.StreamReader, received: bytearray) -> None:
    while data := await reader.read(65536):
        received += data
    raise ConnectionResetError


async def _hang(_writer: asyncio.StreamWriter, _text: bytes) -> None:
    await asyncio.Event().wait()


async def _garbage(writer: asyncio.StreamWriter, _text: bytes) -> None:
    # No line end, and no valid first byte of any protocol by chance.
    writer.write(b"\xff\x00" + os.urandom(4000).replace(b"\n", b"\xfe"))
    await _close(writer, b"")


async def _drip(writer: asyncio.StreamWriter, text: bytes) -> None:
    for byte in text or b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 100_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(DRIP_EVERY)


async def _endless(writer: asyncio.StreamWriter, text: bytes) -> None:
    writer.write(text or b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"endless " * 8192)
        await writer.drain()
        await asyncio.sleep(0)


async def _huge(writer: asyncio.StreamWriter, text: bytes) -> None:
    writer.write(text or HUGE_HTTP)
    await asyncio.Event().wait()


async def _reset(writer: asyncio.StreamWriter, _text: bytes) -> None:
    # Lingering for no time at all makes close() send RST.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _close(writer: asyncio.StreamWriter, _text: bytes) -> None:
    if writer.can_write_eof():
        writer.write_eof()


_BEHAVIOURS: dict[Manner, Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]] = {
    "hang": _hang,
    "garbage": _garbage,
    "drip": _drip,
    "endless": _endless,
    "huge": _huge,
    "reset": _reset,
    "close": _close,
}
