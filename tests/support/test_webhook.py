import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.authority import Authority
from tests.support.webhook import WebhookReceiver


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_keeps_what_it_was_sent(webhook_receiver: WebhookReceiver, session: aiohttp.ClientSession) -> None:
    await session.post(webhook_receiver.url + "?a=1", json={"status": "firing"}, headers={"X-Id": "7"})
    (request,) = await webhook_receiver.received(1)
    assert (request.method, request.path, request.headers["x-id"]) == ("POST", "/hook?a=1", "7")
    assert webhook_receiver.bodies == [{"status": "firing"}]


async def test_answers_as_told(webhook_receiver: WebhookReceiver, session: aiohttp.ClientSession) -> None:
    webhook_receiver.answer(429, retry_after=3)
    webhook_receiver.then(500, 503)
    answers = [await session.post(webhook_receiver.url) for _ in range(3)]
    assert [answer.status for answer in answers] == [500, 503, 429]
    assert answers[2].headers["Retry-After"] == "3"


async def test_is_slow_when_told(webhook_receiver: WebhookReceiver, session: aiohttp.ClientSession) -> None:
    webhook_receiver.answer(delay=0.15)
    started = time.monotonic()
    assert (await session.post(webhook_receiver.url)).status == 200
    assert time.monotonic() - started >= 0.15


async def test_hangs_when_told_and_the_test_still_ends(
    webhook_receiver: WebhookReceiver, session: aiohttp.ClientSession
) -> None:
    webhook_receiver.hang()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await session.post(webhook_receiver.url)
    assert len(webhook_receiver.requests) == 1


async def test_says_what_came_when_too_little_did(webhook_receiver: WebhookReceiver) -> None:
    with pytest.raises(AssertionError, match=r"0 of 1 requests came within 0.05 s"):
        await webhook_receiver.received(within=0.05)


async def test_speaks_tls(
    tls_webhook_receiver: WebhookReceiver, authority: Authority, session: aiohttp.ClientSession
) -> None:
    await session.post(tls_webhook_receiver.url, ssl=authority.client_context())
    assert len(tls_webhook_receiver.requests) == 1
