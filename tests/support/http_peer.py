"""A small HTTP peer that says exactly what a test tells it to, byte for byte."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.http import PROTOCOL
from tests.support.probing import measure, target


@dataclass
class Server:
    """A peer that answers each request with given bytes."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    """Heads of the requests so far."""
    bodies: list[bytes] = field(default_factory=list)
    """Their bodies."""


@asynccontextmanager
async def answering(
    answer: bytes | Callable[[str], bytes], *, endless: bytes = b"", stay: bool = False
) -> AsyncIterator[Server]:
    """Answer every request; then, with ``endless``, go on with that until the client leaves; ``stay`` until it does."""
    server = Server()
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"(?i)content-length: ([0-9]+)", request)
            server.requests.append(request)
            server.bodies.append(await reader.readexactly(int(length[1]) if length else 0))
            writer.write(answer(request) if callable(answer) else answer)
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0)
            await writer.drain()
            if stay:
                await reader.read()
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the probe had heard enough
        finally:
            writer.transport.abort() if endless else writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            serving.discard(asyncio.current_task())

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            await asyncio.sleep(0.01)  # a connection that was just taken gets its task
            while serving:  # a probe is done sooner than whoever answers it
                await asyncio.sleep(0.001)


def answer(body: bytes = b"", headers: str = "", status: str = "200 OK") -> bytes:
    """An answer with a Content-Length; ``headers`` end in CRLF, each."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def cause(failure: Failure | None) -> tuple[str, str] | None:
    """Stage and code."""
    return None if failure is None else (failure.stage, failure.code)


async def ask(server: Server, seconds: float = 5.0, **options: Any) -> Measurement:
    """Probe the server."""
    return await measure(PROTOCOL, target(), {"port": server.port, **options}, seconds)
