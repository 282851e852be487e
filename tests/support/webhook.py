"""A webhook's receiving end: keeps what it was sent, and answers as it is told."""

import asyncio
import contextlib
import json
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    method: str
    path: str
    """With its query."""
    headers: CIMultiDictProxy[str]
    body: bytes
    at: float
    """time.monotonic() when its last byte had come."""

    @property
    def json(self) -> Any:  # whatever was sent
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """How to answer one request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    delay: float = 0.0
    """Seconds before the answer; infinity never answers."""


HANG = Answer(delay=float("inf"))


class WebhookReceiver:
    """A server on loopback. `requests` holds everything that came, answered or not."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.default = Answer()
        self.port = 0
        self.tls = False
        self._next: deque[Answer] = deque()
        self._came = asyncio.Condition()
        self._ended = asyncio.Event()

    @property
    def url(self) -> str:
        """Where to post; any other path is taken as well."""
        return f"http{'s' if self.tls else ''}://{HOST}:{self.port}/hook"

    @property
    def bodies(self) -> list[Any]:
        """Every body so far, decoded from JSON."""
        return [request.json for request in self.requests]

    def answer(
        self, status: int = 200, *, retry_after: float | str | None = None, body: bytes = b"{}", delay: float = 0.0
    ) -> None:
        """Answer like this from now on (500, 429 with `retry_after`, slowly with `delay`)."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.default = Answer(status, headers, body, delay)

    def hang(self) -> None:
        """Take requests from now on, and never answer."""
        self.default = HANG

    def then(self, *answers: Answer | int) -> None:
        """Answer the next requests like these, one each (an int is a status), before the usual answer."""
        self._next.extend(answer if isinstance(answer, Answer) else Answer(answer) for answer in answers)

    async def received(self, count: int = 1, *, within: float = 5.0) -> list[Received]:
        """Wait for `count` requests in all, and return them all.

        Raises AssertionError when fewer have come after `within` real seconds.
        """
        try:
            async with asyncio.timeout(within), self._came:
                await self._came.wait_for(lambda: len(self.requests) >= count)
        except TimeoutError:
            message = f"{len(self.requests)} of {count} requests came within {within} s: {self.requests}"
            raise AssertionError(message) from None
        return list(self.requests)

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._came:
            self.requests.append(
                Received(request.method, request.path_qs, request.headers, body, time.monotonic()),
            )
            self._came.notify_all()
        answer = self._next.popleft() if self._next else self.default
        if answer.delay:
            # Ends with the server, so that a hanging request does not hold up the test's end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if answer.delay == float("inf") else answer.delay):
                    await self._ended.wait()
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)


@contextlib.asynccontextmanager
async def receive(tls: ssl.SSLContext | None = None) -> AsyncIterator[WebhookReceiver]:
    """Run a receiver on a free port of loopback."""
    receiver = WebhookReceiver()
    receiver.tls = tls is not None
    application = web.Application(client_max_size=32 * 1024**2)
    application.router.add_route("*", "/{path:.*}", receiver._serve)  # its own
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
        await site.start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        receiver._ended.set()
        await runner.cleanup()
