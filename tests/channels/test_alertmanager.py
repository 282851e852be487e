import time
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.channels.alertmanager import CHANNEL, AlertmanagerOptions
from sentinel.domain.notice import Event
from sentinel.sdk.channel import NotDelivered, Post
from tests.channels.conftest import message
from tests.support.fixtures import StartAlertmanager
from tests.support.webhook import WebhookReceiver


def options(url: str, **more: Any) -> AlertmanagerOptions:
    return AlertmanagerOptions.model_validate({"url": url, **more})


def now() -> float:
    return time.time()  # noqa: TID251  # Alertmanager's clock


async def test_a_fault_fires_and_ends_at_the_real_one(
    post: Post, webhook_receiver: WebhookReceiver, alertmanager: StartAlertmanager
) -> None:
    server = alertmanager(webhook=webhook_receiver.url)
    where = options(server.url, labels={"site": "centre"}, external_url="https://sentinel.example/")
    began = now() - 20
    for _ in range(3):  # sent again while it lasts: still one alert
        await CHANNEL.send([message(started_at=began)], where, post)
    told = (await webhook_receiver.received(1, within=10))[0].json
    assert told["status"] == "firing"
    assert told["alerts"][0]["annotations"] == {"summary": "摘要", "stage": "connect"}
    held = await server.alerts()
    assert len(held) == 1
    assert held[0]["labels"] == {
        "alertname": "down",
        "check": "hall-07.ping",
        "venue": "应急指挥中心",
        "site": "centre",
    }
    assert held[0]["generatorURL"] == "https://sentinel.example/"

    ended = message(id="i1-2", event=Event.RESOLVED, started_at=began, ended_at=now(), annotations={"summary": "恢复"})
    await CHANNEL.send([ended], where, post)
    told = (await webhook_receiver.received(2, within=10))[1].json
    assert told["status"] == "resolved"
    assert [alert["annotations"]["summary"] for alert in told["alerts"]] == ["恢复"]
    assert await server.alerts() == []


async def test_many_go_in_one_request(post: Post, alertmanager: StartAlertmanager) -> None:
    server = alertmanager()
    messages = [message(labels={"alertname": "down", "check": f"c{n}"}, started_at=now()) for n in range(CHANNEL.batch)]
    await CHANNEL.send(messages, options(server.url), post)
    assert len(await server.alerts()) == CHANNEL.batch


async def test_hostile_names_values_and_times_are_taken_by_the_real_one(
    post: Post, alertmanager: StartAlertmanager
) -> None:
    server = alertmanager()
    labels = {"alertname": "down", "my-label.x": 'a"\n}\udc80', "9lives": "1", "empty": ""}
    ended = message(id="x", labels=labels, started_at=now(), ended_at=now() - 3600, annotations={"a b": "\x00\udc80"})
    await CHANNEL.send([ended], options(server.url), post)
    await CHANNEL.send([message(labels=labels, started_at=now())], options(server.url), post)
    held = await server.alerts()
    assert set(held[0]["labels"]) == {"alertname", "my_label_x", "_9lives"}


async def test_the_path_is_added_where_it_is_missing(post: Post, webhook_receiver: WebhookReceiver) -> None:
    base = f"http://127.0.0.1:{webhook_receiver.port}"
    for url in (f"{base}/am/", f"{base}/am/api/v2/alerts"):
        await CHANNEL.send([message()], options(url), post)
    assert {request.path for request in webhook_receiver.requests} == {"/am/api/v2/alerts"}
    assert "endsAt" not in webhook_receiver.bodies[0][0]


async def test_what_the_real_one_refuses_is_refused_for_good(post: Post, alertmanager: StartAlertmanager) -> None:
    with pytest.raises(NotDelivered) as caught:
        await CHANNEL.send([message(started_at=-1e10, labels={})], options(alertmanager().url), _mangle(post))
    assert caught.value.permanent


def _mangle(post: Post) -> Post:
    async def mangled(url: str, *, body: bytes, **more: Any) -> Any:
        return await post(url, body=body.replace(b'"labels"', b'"lables"'), **more)

    return mangled


def test_it_is_reminded_every_minute() -> None:
    assert CHANNEL.resend_every is not None
    assert CHANNEL.resend_every(options("http://am.example:9093")) == 60.0
    with pytest.raises(ValidationError):
        options("http://am.example:9093", resend_every=1)
