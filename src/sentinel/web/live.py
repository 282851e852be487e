"""``/events``: what changes on the wall, as server-sent events (WHATWG HTML, 9.2).

=========  =====================================================================================================
event      data (JSON)
=========  =====================================================================================================
hello      everything that can change, and ``page``: where it differs from the page's own, the page is loaded anew
change     the tiles that changed, and the panels that changed
beat       ``{"now": …}`` each 5 seconds: the daemon is there, and this is its time
=========  =====================================================================================================

A client is bounded: what changes while it is slow falls into its feed, each id once; one that takes no bytes for 10
seconds is dropped, and its browser comes back by itself.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

import sentinel
from sentinel.engine.snapshot import Feed
from sentinel.web import wall
from sentinel.web.page import LAYOUTS, panels, state
from sentinel.web.view import VIEW
from sentinel.web.words import Words, words_of

BEAT = 5.0
"""Seconds between two signs of life; the page calls the daemon lost after 12."""
GATHER = 0.2
"""Seconds in which changes are gathered into one event: a storm is a few events a second."""
SLOW = 10.0
"""Seconds in which a client must take what it was sent."""
CLIENTS = 32
"""Streams at once; one more is answered 503."""


class Streams:
    """The open streams: counted, and ended when the daemon stops."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    def end(self) -> None:
        """Ask all of them to end."""
        for task in self.tasks:
            task.cancel()


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


def install(app: web.Application) -> None:
    """Add the stream to an application."""
    app[STREAMS] = Streams()
    app.router.add_get("/events", events)
    app.on_shutdown.append(_end)


async def _end(app: web.Application) -> None:
    app[STREAMS].end()


def page_id(app: web.Application) -> str:
    """Changes when a page that is open must be loaded anew: another daemon's version, another configuration."""
    return f"{sentinel.__version__}/{app[VIEW].snapshot.generation}/{len(app[LAYOUTS].current().spots)}"


async def events(request: web.Request) -> web.StreamResponse:
    """Stream until the client goes, is too slow, or the daemon stops."""
    streams, snapshot = request.app[STREAMS], request.app[VIEW].snapshot
    if len(streams.tasks) >= CLIENTS:
        raise web.HTTPServiceUnavailable(text="too many streams\n", headers={"Retry-After": "10"})
    task = asyncio.current_task()
    if task is None:
        raise AssertionError
    words = words_of(request.query.get("lang"), request.app[VIEW].locale)
    feed = snapshot.changes()
    streams.tasks.add(task)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    try:
        await response.prepare(request)
        await _stream(request.app, response, feed, words)
    except (ConnectionError, TimeoutError):
        # Gone or too slow: without this its socket would linger with what it never took.
        if request.transport is not None:
            request.transport.abort()
    finally:
        streams.tasks.discard(task)
        snapshot.leave(feed)
    return response


async def _stream(app: web.Application, response: web.StreamResponse, feed: Feed, words: Words) -> None:
    view = app[VIEW]
    page = page_id(app)
    everything = await state(app, words)
    sent = {name: _json(everything[name]) for name in ("verdict", "incidents", "promises")}
    await _send(response, "hello", {"now": view.clock.now(), "page": page, **everything})
    while True:
        checks = await _gathered(feed)
        if page_id(app) != page:
            page = page_id(app)
            everything = await state(app, words)
            await _send(response, "hello", {"now": view.clock.now(), "page": page, **everything})
            continue
        placed = app[LAYOUTS].current()
        ids = {spot for check in checks for spot in placed.by_check.get(check, ())}
        change: dict[str, Any] = {}
        if ids:
            change["tiles"] = [wall.tile(placed.spots[spot], view.snapshot, words) for spot in sorted(ids)]
        for name, value in (await panels(app, words)).items():
            if (text := _json(value)) != sent[name]:
                sent[name] = text
                change[name] = value
        if change:
            await _send(response, "change", {"now": view.clock.now(), **change})
        else:
            await _send(response, "beat", {"now": view.clock.now()})


async def _gathered(feed: Feed) -> set[str]:
    """Checks that changed; empty when nothing did for as long as a beat."""
    try:
        async with asyncio.timeout(BEAT):
            await feed.wait()
    except TimeoutError:
        return set()
    await asyncio.sleep(GATHER)
    return feed.take()[0]


async def _send(response: web.StreamResponse, event: str, data: dict[str, Any]) -> None:
    # JSON has no raw line break, so one data line is enough.
    async with asyncio.timeout(SLOW):
        await response.write(f"event: {event}\ndata: {_json(data)}\n\n".encode())


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
