"""The events: what is sent, when, and to whom no longer."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from sentinel.web import live
from tests.support import fleet
from tests.support.served import Centre, centre, served


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Centre:
    monkeypatch.setattr(live, "GATHER", 0.01)
    return centre()


@pytest.fixture
async def client(one: Centre) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(one) as url, aiohttp.ClientSession(url, read_bufsize=1 << 20) as session:
        yield session


async def event(stream: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(10):
        text = (await stream.content.readuntil(b"\n\n")).decode()
    name, data = text.removesuffix("\n\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_first_everything_then_what_changes(one: Centre, client: aiohttp.ClientSession) -> None:
    async with client.get("/events") as stream:
        assert stream.content_type == "text/event-stream"
        name, hello = await event(stream)
        assert name == "hello"
        assert len(hello["tiles"]) == 12 + 14 + 45 + 103 + 8 + 9
        assert hello["now"] == fleet.NOW
        one.set_state("room-209-set-01.tcp", "down")
        name, change = await event(stream)
        assert name == "change"
        assert change["tiles"] == [
            {"id": "venues/room-209", "state": "down", "partial": False, "word": "故障", "note": ""}
        ]
        assert "incidents" not in change
        assert "promises" not in change
        one.open(fleet.incident(one.configuration.checks["room-209-set-01.tcp"]))
        name, change = await event(stream)
        assert change["incidents"]["open"] == 1
        assert change["verdict"]["text"] == "1 处故障"
        assert "tiles" not in change


async def test_a_storm_is_few_events(
    one: Centre, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "GATHER", 0.1)
    async with client.get("/events?lang=en") as stream:
        await event(stream)
        for _ in range(50):
            for state in ("down", "up", "failing"):
                one.set_state("hall-01.tcp", state)
            await asyncio.sleep(0)
        _, change = await event(stream)
        assert change["tiles"] == [
            {"id": "terminals/hall-01", "state": "failing", "partial": False, "word": "Confirming", "note": ""}
        ]


async def test_a_beat_says_that_it_lives(client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT", 0.02)
    async with client.get("/events") as stream:
        assert (await event(stream))[0] == "hello"
        assert await event(stream) == ("beat", {"now": fleet.NOW})


async def test_what_has_no_feed_goes_with_a_beat(
    one: Centre, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BEAT", 0.02)
    async with client.get("/events") as stream:
        await event(stream)
        one.store.undelivered_by_channel = {"desk": 3}
        one.snapshot.sla = fleet.figures(breaches=1)
        while (found := await event(stream))[0] == "beat":
            pass
        assert found[1]["verdict"]["undelivered"] == "3 条告警未送达"
        assert found[1]["promises"][0]["kept"] == "no"


async def test_a_new_configuration_is_a_new_hello(one: Centre, client: aiohttp.ClientSession) -> None:
    async with client.get("/events") as stream:
        _, first = await event(stream)
        one.configuration = replace(one.configuration)
        one.snapshot.swapped()
        name, second = await event(stream)
        assert name == "hello"
        assert first["page"] != second["page"]


async def test_streams_are_counted(one: Centre, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CLIENTS", 1)
    before = len(one.snapshot._change_feeds)
    async with client.get("/events") as stream:
        await event(stream)
        async with client.get("/events") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
    async with asyncio.timeout(10):
        while len(one.snapshot._change_feeds) > before:
            one.set_state("hall-01.tcp", "down")  # the end of the client is seen when something is written
            one.set_state("hall-01.tcp", "up")
            await asyncio.sleep(0.01)
    async with client.get("/events") as stream:
        assert stream.status == 200


async def test_a_client_that_takes_nothing_is_dropped_and_others_are_not(
    one: Centre, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SLOW", 0.3)
    before = len(one.snapshot._change_feeds)
    parts = urlsplit(str(client._base_url))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((parts.hostname, parts.port))
        slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with client.get("/events") as good:
            await event(good)
            while len(one.snapshot._change_feeds) < before + 2:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(15):
                n = 0
                while len(one.snapshot._change_feeds) == before + 2:
                    n += 1
                    for check in one.snapshot.checks:
                        one.set_state(check, ("down", "up")[n % 2])
                    await event(good)
            one.set_state("hall-01.tcp", "unknown")
            assert (await event(good))[0] == "change"


async def test_stopping_does_not_wait_for_a_stream(one: Centre) -> None:
    loop = asyncio.get_running_loop()
    async with served(one) as url, aiohttp.ClientSession(url) as session:
        stream = await session.get("/events")
        stopping = loop.time()
    assert loop.time() - stopping < 5
    stream.close()
