import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.authority import Authority
from tests.support.fixtures import StartHostile
from tests.support.hostile import HUGE_BER, HostileServer


@contextlib.asynccontextmanager
async def connected(server: HostileServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_hang_says_nothing_and_counts(hostile: StartHostile) -> None:
    server = await hostile("hang")
    async with connected(server) as (reader, writer):
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert (server.connections, server.open, bytes(server.received)) == (1, 1, b"hello")
    async with asyncio.timeout(2):
        await server.all_closed()


async def test_garbage_is_bytes_and_an_end(hostile: StartHostile) -> None:
    async with connected(await hostile("garbage")) as (reader, _):
        assert len(await reader.read()) == 4002


async def test_drip_takes_its_time(hostile: StartHostile) -> None:
    started = time.monotonic()
    async with connected(await hostile("drip", text=b"abc")) as (reader, _):
        assert await reader.read() == b"abc"
    assert time.monotonic() - started > 0.2


async def test_endless_has_no_end(hostile: StartHostile) -> None:
    async with connected(await hostile("endless")) as (reader, _):
        assert len(await reader.readexactly(3_000_000)) == 3_000_000


async def test_huge_waits_for_the_request_and_announces_too_much(hostile: StartHostile) -> None:
    server = await hostile("huge", after=b"\r\n\r\n")
    async with connected(server) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"Content-Length: 9223372036854775807" in await reader.readuntil(b"\r\n\r\n")


async def test_reset_resets(hostile: StartHostile) -> None:
    server = await hostile("reset")
    with pytest.raises(ConnectionResetError):
        async with connected(server) as (reader, _):
            await reader.read()


async def test_close_closes(hostile: StartHostile) -> None:
    async with connected(await hostile("close")) as (reader, _):
        assert await reader.read() == b""


async def test_refuse_refuses(hostile: StartHostile) -> None:
    server = await hostile("refuse")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(server.host, server.port)


async def test_tls_comes_before_the_misbehaviour(hostile: StartHostile, authority: Authority) -> None:
    server = await hostile("huge", tls=authority.valid.server_context())
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=authority.client_context())
    assert await reader.readexactly(8) == b"HTTP/1.1"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def ask(server: HostileServer) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((server.host, server.port))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(asking, b"?")
        async with asyncio.timeout(0.3):
            return await loop.sock_recv(asking, 2000)


async def test_datagrams(hostile: StartHostile) -> None:
    assert len(await ask(await hostile("garbage", "udp"))) == 200
    assert await ask(await hostile("huge", "udp")) == HUGE_BER
    assert await ask(await hostile("close", "udp")) == b"\0"
    with pytest.raises(ConnectionRefusedError):
        await ask(await hostile("reset", "udp"))
    silent = await hostile("hang", "udp")
    with pytest.raises(TimeoutError):
        await ask(silent)
    assert silent.received == b"?"
