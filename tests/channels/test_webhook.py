import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import json
import re
import time
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.channels.webhook import CHANNEL, WebhookOptions, fingerprint
from sentinel.domain.notice import Event
from sentinel.engine import post as post_module
from sentinel.sdk.channel import NotDelivered, Post
from sentinel.sdk.templates import TemplateFailed, render
from tests.channels.conftest import RealClock, message
from tests.support.authority import Authority
from tests.support.fixtures import StartAlertmanager
from tests.support.webhook import Answer, WebhookReceiver


def options(url: str, **more: Any) -> WebhookOptions:
    return WebhookOptions.model_validate({"url": url, **more})


async def sent(post: Post, receiver: WebhookReceiver, **more: Any) -> Any:
    await CHANNEL.send([message()], options(receiver.url, **more), post)
    return receiver.requests[-1]


async def test_the_default_body_is_alertmanagers_version_4(post: Post, webhook_receiver: WebhookReceiver) -> None:
    request = await sent(post, webhook_receiver, external_url="https://sentinel.example/")
    labels = {"alertname": "down", "check": "hall-07.ping", "venue": "应急指挥中心"}
    annotations = {"summary": "摘要", "stage": "connect"}
    assert request.json == {
        "version": "4",
        "groupKey": '{}:{alertname="down"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "sentinel",
        "groupLabels": {"alertname": "down"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "https://sentinel.example/",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2027-01-15T08:00:00.250Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://sentinel.example/",
                "fingerprint": fingerprint(labels),
            }
        ],
    }
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "i1-1"
    assert "X-Sentinel-Signature" not in request.headers
    assert "Authorization" not in request.headers


async def test_the_resolution_has_the_same_fingerprint_and_an_end(
    post: Post, webhook_receiver: WebhookReceiver
) -> None:
    ended = message(id="i1-2", event=Event.RESOLVED, ended_at=1_800_000_190.0, annotations={"summary": "恢复"})
    await CHANNEL.send([message(), ended], options(webhook_receiver.url), post)
    opened, resolved = (body["alerts"][0] for body in webhook_receiver.bodies)
    assert opened["fingerprint"] == resolved["fingerprint"]
    assert (resolved["status"], resolved["endsAt"]) == ("resolved", "2027-01-15T08:03:10.000Z")
    assert webhook_receiver.bodies[1]["status"] == "resolved"


async def test_it_has_the_fields_and_the_fingerprint_of_a_real_alertmanager(
    post: Post, webhook_receiver: WebhookReceiver, alertmanager: StartAlertmanager
) -> None:
    from sentinel.channels.alertmanager import CHANNEL as ALERTMANAGER

    server = alertmanager(webhook=f"{webhook_receiver.url}/from-alertmanager")
    where = ALERTMANAGER.options.model_validate({"url": server.url})
    await ALERTMANAGER.send([message(started_at=RealClock().now())], where, post)
    theirs = (await webhook_receiver.received(1, within=10))[0].json
    await CHANNEL.send([message()], options(webhook_receiver.url), post)
    ours = webhook_receiver.requests[-1].json
    assert set(ours) == set(theirs)
    assert set(ours["alerts"][0]) == set(theirs["alerts"][0])
    assert ours["alerts"][0]["labels"] == theirs["alerts"][0]["labels"]
    assert ours["alerts"][0]["fingerprint"] == theirs["alerts"][0]["fingerprint"]
    assert theirs["alerts"][0]["endsAt"] == ours["alerts"][0]["endsAt"]
    assert {type(value) for value in ours.values()} == {type(value) for value in theirs.values()}


async def test_a_template_makes_the_body(post: Post, webhook_receiver: WebhookReceiver) -> None:
    template = (
        '{"text": {{ (title ~ "\\n" ~ text) | tojson }}, "firing": {{ (status == "firing") | tojson }},'
        ' "labels": [{% for name, value in labels.items() %}{{ name | tojson }}{{ "," if not loop.last }}{% endfor %}]}'
    )
    request = await sent(
        post, webhook_receiver, format="template", template=template, content_type="application/json; charset=utf-8"
    )
    assert request.json == {
        "text": '【重要故障】大厅"终端"07\n第一行\n第二行 </script> \x1b',
        "firing": True,
        "labels": ["alertname", "check", "venue", "room"],
    }
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert request.headers["Idempotency-Key"] == "i1-1"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ nothing }}", "undefined"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError|Undefined"),
        ("{{ labels.update({'a': 'b'}) }}", "SecurityError"),
        ("{{ 'x' * 1000000000 }}", "repetition is too long"),
        ("{{ 1000000000 * 'x' }}", "repetition is too long"),
        ("{{ 9 ** 9 ** 9 }}", "power is too large"),
        ("{{ '%1000000000d' % 1 }}", "format with ~"),
        ("{{ 'x'.ljust(1000000000) }}", "SecurityError"),
        ("{{ '{:>1000000000}'.format(1) }}", "SecurityError"),
        ("{{ 'x'['ljust'](1000000000) }}", "SecurityError"),
        ("{% for a in range(9) %}{% endfor %}", "undefined"),
        ("{% for a in 'x' * 60000 %}{{ 'x' * 1000 }}{% endfor %}", "more than 262144 characters"),
        ("{% for a in 'x' * 60000 %}{% for b in 'x' * 60000 %}{% endfor %}{% endfor %}", "longer than 1 s"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
async def test_a_bad_template_ends_and_says_why(template: str, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(TemplateFailed, match=reason):
        await render(template, {"labels": {}})
    assert time.monotonic() - began < 5


async def test_the_loop_goes_on_while_a_template_takes_its_time() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        with pytest.raises(TemplateFailed):
            await render("{% for a in 'x' * 60000 %}{% for b in 'x' * 60000 %}{% endfor %}{% endfor %}", {})
        ticking.cancel()
    assert ticks > 5


async def test_what_a_template_can_do() -> None:
    assert (
        await render("{{ 3 * 4 }} {{ 2 ** 3 }} {{ 7 % 4 }} {{ 'ab' * 2 }} {{ x | upper }}", {"x": "y"})
        == "12 8 3 abab Y"
    )


async def test_a_template_that_fails_refuses_the_message_for_good(
    post: Post, webhook_receiver: WebhookReceiver
) -> None:
    with pytest.raises(NotDelivered, match="template: UndefinedError") as caught:
        await sent(post, webhook_receiver, format="template", template="{{ nothing }}")
    assert caught.value.permanent
    assert webhook_receiver.requests == []


async def test_the_signature_is_the_documented_one(post: Post, webhook_receiver: WebhookReceiver) -> None:
    request = await sent(post, webhook_receiver, hmac_secret="k3y")
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers["X-Sentinel-Signature"])
    assert match
    expected = hmac.new(b"k3y", match[1].encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert match[2] == expected
    assert abs(int(match[1]) - time.time()) < 10  # noqa: TID251  # the machine's clock is meant


async def test_who_we_are(post: Post, webhook_receiver: WebhookReceiver) -> None:
    request = await sent(post, webhook_receiver, bearer_token="t0ken", headers={"X-Team": "duty"})
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["X-Team"] == "duty"
    request = await sent(post, webhook_receiver, username="sentinel", password="pässword")
    assert request.headers["Authorization"] == "Basic " + base64.b64encode("sentinel:pässword".encode()).decode()


async def test_tls_is_verified_by_the_authority_that_is_given(
    post: Post, tls_webhook_receiver: WebhookReceiver, authority: Authority
) -> None:
    await sent(post, tls_webhook_receiver, tls_ca_file=str(authority.ca_file))
    await sent(post, tls_webhook_receiver, tls_verify=False)
    with pytest.raises(NotDelivered, match="tls_ca_file"):
        await sent(post, tls_webhook_receiver, tls_ca_file="/nowhere/ca.pem")
    assert len(tls_webhook_receiver.requests) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"url": "ftp://receiver.example/SECRET"}, "http:// or https://"),
        ({"url": "https://"}, "with a host"),
        ({"url": "https://[::1/"}, "with a host"),
        ({"format": "template"}, "belong together"),
        ({"template": "x"}, "belong together"),
        ({"format": "template", "template": "{% for %}"}, "line 1"),
        ({"username": "u"}, "belong together"),
        ({"username": "u", "password": "p", "bearer_token": "t"}, "not both"),
        ({"headers": {"Bad Name": "x"}}, "cannot be set"),
        ({"headers": {"Content-Length": "3"}}, "cannot be set"),
        ({"headers": {"X-A": "SECRET\r\nX-B: c"}}, "control character"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_bad_options_are_refused_and_no_secret_is_shown(bad: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        WebhookOptions.model_validate({"url": "https://receiver.example/hook"} | bad)
    assert "SECRET" not in json.dumps([error["msg"] for error in caught.value.errors()])


async def test_a_long_answer_is_read_to_64_kib_only(post: Post, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.answer(200, body=b"x" * 10_000_000)
    answer = await post(webhook_receiver.url, body=b"")
    assert (answer.status, len(answer.body)) == (200, 65_536)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5.0), ("99999", 3600.0), ("soon", None), ("-3", None), ("Wed, 01 Jan 1990 00:00:00 GMT", 0.0)],
)
async def test_retry_after(post: Post, webhook_receiver: WebhookReceiver, value: str, seconds: float | None) -> None:
    webhook_receiver.then(Answer(503, {"Retry-After": value}))
    with pytest.raises(NotDelivered) as caught:
        await post(webhook_receiver.url, body=b"")
    assert caught.value.retry_after == seconds


async def test_retry_after_may_be_a_date(post: Post, webhook_receiver: WebhookReceiver) -> None:
    at = dt.datetime.fromtimestamp(RealClock().now() + 100, dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    webhook_receiver.then(Answer(429, {"Retry-After": at}))
    with pytest.raises(NotDelivered) as caught:
        await post(webhook_receiver.url, body=b"")
    assert caught.value.retry_after is not None
    assert 90 < caught.value.retry_after <= 100


async def test_a_slow_receiver_is_waited_for(post: Post, webhook_receiver: WebhookReceiver) -> None:
    webhook_receiver.answer(200, delay=0.5)
    assert (await post(webhook_receiver.url, body=b"x")).status == 200


async def test_a_name_that_is_not_there(post: Post) -> None:
    with pytest.raises(NotDelivered, match=r"^nowhere\.invalid: ") as caught:
        await post("https://nowhere.invalid/SECRET", body=b"")
    assert "SECRET" not in str(caught.value)


def test_of_a_broken_url_nothing_is_said() -> None:
    assert post_module.host_of("https://[::1/SECRET") == "no host"
    assert post_module.host_of("https://user:SECRET@receiver.example:8443/SECRET") == "receiver.example"
