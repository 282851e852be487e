"""A listening socket that can be taken away and put back, with every connection that came through it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Listens at one address and port; ``serve`` is called for each connection, and ended with it.

    What a peer does to its connection is its own affair: ``OSError`` and ``EOFError`` end the connection quietly.
    """

    def __init__(
        self, host: str, port: int, serve: Serve, *, tls: ssl.SSLContext | None = None, limit: int = 65_536
    ) -> None:
        self.host, self.port = host, port
        self._serve, self._tls, self._limit = serve, tls, limit
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    async def open(self) -> None:
        """Listen; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, self.host, self.port, ssl=self._tls, limit=self._limit, backlog=256
            )

    async def close(self) -> None:
        """Listen no more, and break every connection: what a dead machine's clients see."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = tuple(self._connections)
        for task, writer in tuple(self._connections.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._registered(writer):
            try:
                await self._serve(reader, writer)
            except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
                return  # a cancelled one was broken by close(), which waits for it
            finally:
                writer.transport.abort() if writer.is_closing() else writer.close()

    @contextmanager
    def _registered(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError
        self._connections[task] = writer
        try:
            yield
        finally:
            del self._connections[task]
