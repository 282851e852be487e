"""What holds for every channel, whoever wrote it."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import SecretBytes, SecretStr

from sentinel.catalog import discover
from sentinel.engine.post import TIMEOUT, open_post
from sentinel.sdk.channel import Channel, NotDelivered, Post
from tests.channels.conftest import RealClock, message
from tests.support.fixtures import StartHostile
from tests.support.ports import free_port
from tests.support.webhook import Answer, WebhookReceiver

CHANNELS = list(discover().channels.values())
SECRET = "s3cret-token"

pytestmark = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)


def options(channel: Channel, url: str, **more: Any) -> Any:
    return channel.options.model_validate({"url": f"{url.rstrip('/')}/{SECRET}?key={SECRET}", **more})


async def refusal(channel: Channel, post: Post, url: str, **more: Any) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await channel.send([message()], options(channel, url, **more), post)
    error = caught.value
    # The whole URL is a secret: neither the text nor what caused the error may hold a part of it.
    assert SECRET not in repr(error)
    assert SECRET not in error.detail
    assert error.__cause__ is None
    return error


def test_every_option_has_a_description(channel: Channel) -> None:
    for name, field in channel.options.model_fields.items():
        assert field.description, name


def test_what_it_declares_makes_sense(channel: Channel) -> None:
    assert channel.name.isidentifier()
    assert channel.batch >= 1
    assert channel.per_minute is None or channel.per_minute > 0


def test_its_options_do_not_show_their_secrets(channel: Channel) -> None:
    shown = repr(options(channel, "https://hooks.example"))
    assert SECRET not in shown
    kinds = [field.annotation for field in channel.options.model_fields.values()]
    assert any(kind in (SecretStr, SecretBytes) for kind in kinds)


async def test_it_returns_once_the_receiver_has_accepted(
    channel: Channel, post: Post, webhook_receiver: WebhookReceiver
) -> None:
    await channel.send([message()], options(channel, webhook_receiver.url), post)
    assert len(webhook_receiver.requests) == 1


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, False), (404, False), (413, True), (429, False), (500, False), (503, False)],
)
async def test_a_refusal_is_told_from_a_delay(
    channel: Channel,
    post: Post,
    webhook_receiver: WebhookReceiver,
    status: int,
    permanent: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    webhook_receiver.answer(status, body=SECRET.encode())
    error = await refusal(channel, post, webhook_receiver.url)
    assert error.permanent is permanent
    assert str(status) in error.detail


async def test_retry_after_is_passed_on(channel: Channel, post: Post, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.answer(429, retry_after=17)
    error = await refusal(channel, post, webhook_receiver.url)
    assert (error.permanent, error.retry_after) == (False, 17)


async def test_a_redirect_is_not_followed(channel: Channel, post: Post, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.then(Answer(302, {"Location": f"{webhook_receiver.url}/elsewhere"}))
    error = await refusal(channel, post, webhook_receiver.url)
    assert "302" in error.detail
    assert len(webhook_receiver.requests) == 1


async def test_nobody_listens(channel: Channel, post: Post) -> None:
    error = await refusal(channel, post, f"http://127.0.0.1:{free_port()}")
    assert not error.permanent
    assert error.detail.startswith("127.0.0.1: ")


async def test_a_certificate_that_nobody_trusts(
    channel: Channel, post: Post, tls_webhook_receiver: WebhookReceiver
) -> None:
    error = await refusal(channel, post, tls_webhook_receiver.url)
    assert "certificate" in error.detail
    assert tls_webhook_receiver.requests == []


async def test_a_receiver_that_talks_nonsense(channel: Channel, post: Post, hostile: StartHostile) -> None:
    server = await hostile("garbage")
    assert not (await refusal(channel, post, f"http://127.0.0.1:{server.port}")).permanent


async def test_cancelled_it_leaves_no_task_behind(
    channel: Channel, post: Post, webhook_receiver: WebhookReceiver
) -> None:
    webhook_receiver.hang()
    before = asyncio.all_tasks()

    async def sending_it() -> None:
        await channel.send([message()], options(channel, webhook_receiver.url), post)

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(sending_it())
        await webhook_receiver.received(1)
        sending.cancel()
    await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if "tests/support" not in repr(task)}
    assert not [task for task in left if "aiohttp/web" not in repr(task)]


async def test_an_attempt_has_an_end(channel: Channel, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.hang()
    began = time.monotonic()
    async with open_post(RealClock(), timeout=0.5) as impatient:
        error = await refusal(channel, impatient, webhook_receiver.url)
    assert 0.4 < time.monotonic() - began < 5
    assert (error.permanent, error.detail) == (False, "127.0.0.1: no answer in time")
    assert TIMEOUT == 10
