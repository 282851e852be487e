"""Calls that a protocol takes: ``/heartbeat/TOKEN`` and whatever else declares an ``intake``.

They need neither the API's token nor one of the daemon's names as Host: who calls is a device or a cron job that has a
secret of its own in the path, and nothing is read here that a foreign page could be after.  A secret that nobody knows
costs a second, and where many come at once they are refused unheard.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from sentinel.sdk.protocol import Call
from sentinel.web.view import VIEW

MOST_PATH: Final = 256
MOST_WRONG: Final = 32
"""Wrong secrets that wait for their answer at once."""
WRONG_PAUSE: Final = 1.0
"""Seconds that a wrong secret costs."""

_WAITING: web.AppKey[list[None]] = web.AppKey("waiting", list)


async def receive(request: web.Request) -> web.Response:
    """Hand a call to its protocol."""
    calls, protocol = request.app[VIEW].calls, request.match_info["protocol"]
    if calls is None or not calls.takes(protocol):
        raise web.HTTPNotFound
    path = request.match_info["path"]
    status = calls.call(protocol, Call(request.method, path)) if len(path) <= MOST_PATH else 404
    return _answer(await _refuse(request.app[_WAITING]) if status == 404 else status)


def is_call(request: web.Request) -> bool:
    """Whether it is for a protocol that takes calls."""
    calls = request.app[VIEW].calls
    return calls is not None and request.match_info.handler is receive and calls.takes(request.match_info["protocol"])


def install(app: web.Application) -> None:
    """Add the route: after all others, so that none of them is hidden by a protocol's name."""
    app[_WAITING] = []
    for method in ("GET", "HEAD", "POST"):
        app.router.add_route(method, "/{protocol:[a-z][a-z0-9_]*}/{path:.+}", receive)


async def _refuse(waiting: list[None]) -> int:
    if len(waiting) >= MOST_WRONG:
        return 429
    waiting.append(None)
    try:
        await asyncio.sleep(WRONG_PAUSE)
    finally:
        waiting.pop()
    return 404


def _answer(status: int) -> web.Response:
    said = {200: "OK", 404: "not found", 429: "too many wrong calls"}.get(status, "refused")
    return web.Response(status=status, text=f"{said}\n")
