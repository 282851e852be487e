"""Webhook: each message as one POST, in the format of Alertmanager's webhook (version 4) or of a template of yours.

Every request bears ``Idempotency-Key: <message id>``, the same on every attempt.  With ``hmac_secret`` it also bears
``X-Sentinel-Signature: t=<seconds>,v1=<hex>``, where ``seconds`` is the UTC epoch time of the attempt and ``hex`` is
HMAC-SHA256 (RFC 2104) of ``<seconds>.<body>`` under the secret: a receiver recomputes it over the bytes that came,
compares in constant time, and refuses what is older than a few minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from sentinel.domain.notice import Message
from sentinel.sdk.channel import Channel, NotDelivered, Post
from sentinel.sdk.receiver import Receiver, alert_labels, ended_at, rfc3339, send_to, text_values
from sentinel.sdk.templates import TemplateFailed, compile_template, render

_NEVER: Final = "0001-01-01T00:00:00Z"  # Go's zero time: Alertmanager's "has not ended"
_FNV_OFFSET: Final = 14_695_981_039_346_656_037
_FNV_PRIME: Final = 1_099_511_628_211
_64_BITS: Final = (1 << 64) - 1


class WebhookOptions(Receiver):
    """Where to post, in which format, and how it is signed."""

    format: Literal["alertmanager", "template"] = Field(
        default="alertmanager",
        description="Body: alertmanager (JSON as its webhook sends it, version 4) or template (see template).",
    )
    template: str | None = Field(
        default=None,
        max_length=16_384,
        description="Jinja2 template of the body, for format template. It sees id, incident, event, status, severity,"
        " title, text, labels, annotations, started_at, ended_at, locale; write values into JSON with | tojson.",
    )
    content_type: str = Field(
        default="application/json",
        pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.-]+)*$",
        description="Content-Type of what the template makes.",
    )
    hmac_secret: SecretStr | None = Field(
        default=None, description="Secret for the header X-Sentinel-Signature (HMAC-SHA256 over time and body)."
    )
    receiver: str = Field(default="sentinel", max_length=100, description="Name in the body's field receiver.")
    external_url: str = Field(default="", description="Address of the wall page, for externalURL and generatorURL.")

    @field_validator("template")
    @classmethod
    def _compiles(cls, template: str | None) -> str | None:
        if template is not None:
            try:
                compile_template(template)
            except TemplateFailed as failed:
                raise ValueError(str(failed)) from None
        return template

    @model_validator(mode="after")
    def _template_where_wanted(self) -> Self:
        if (self.format == "template") != (self.template is not None):
            raise ValueError("format: template and a template belong together")
        return self


async def send(messages: Sequence[Message], options: WebhookOptions, post: Post) -> None:
    """One request a message."""
    for message in messages:
        if options.template is None:
            body, content_type = json.dumps(payload(message, options)).encode(), "application/json"
        else:
            try:
                body = (await render(options.template, _fields(message))).encode("utf-8", "backslashreplace")
            except TemplateFailed as failed:
                raise NotDelivered(f"template: {failed}", permanent=True) from None
            content_type = options.content_type
        headers = {"Content-Type": content_type, "Idempotency-Key": message.id}
        if options.hmac_secret is not None:
            now = int(time.time())  # noqa: TID251 - the receiver judges its age by the wall clock; channels have none
            headers["X-Sentinel-Signature"] = signature(options.hmac_secret.get_secret_value(), now, body)
        await send_to(options, post, body, headers)


def signature(secret: str, at: int, body: bytes) -> str:
    """The value of ``X-Sentinel-Signature``; see the module."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def payload(message: Message, options: WebhookOptions) -> dict[str, Any]:
    """The body of Alertmanager's webhook, version 4, with one alert."""
    labels, annotations = alert_labels(message), text_values(message.annotations)
    name = {"alertname": labels["alertname"]}
    end = ended_at(message)
    alert = {
        "status": status(message),
        "labels": labels,
        "annotations": annotations,
        "startsAt": rfc3339(message.started_at),
        "endsAt": _NEVER if end is None else rfc3339(end),
        "generatorURL": options.external_url,
        "fingerprint": fingerprint(labels),
    }
    return {
        "version": "4",
        "groupKey": f"{{}}:{{alertname={json.dumps(labels['alertname'])}}}",
        "truncatedAlerts": 0,
        "status": status(message),
        "receiver": options.receiver,
        "groupLabels": name,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": options.external_url,
        "alerts": [alert],
    }


def status(message: Message) -> str:
    """``firing`` until it has ended, then ``resolved``."""
    return "firing" if message.ended_at is None else "resolved"


def fingerprint(labels: Mapping[str, str]) -> str:
    """The identity of a set of labels as Prometheus computes it: FNV-1a, 64 bits, over sorted names and values."""
    sum_ = _FNV_OFFSET
    for name in sorted(labels):
        for byte in (*name.encode(), 255, *labels[name].encode("utf-8", "replace"), 255):
            sum_ = ((sum_ ^ byte) * _FNV_PRIME) & _64_BITS
    return f"{sum_:016x}"


def _fields(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "incident": message.incident,
        "event": message.event.value,
        "status": status(message),
        "severity": str(message.severity),
        "title": message.title,
        "text": message.text,
        "labels": dict(message.labels),
        "annotations": dict(message.annotations),
        "started_at": rfc3339(message.started_at),
        "ended_at": None if message.ended_at is None else rfc3339(message.ended_at),
        "locale": message.locale,
    }


CHANNEL = Channel("webhook", WebhookOptions, send)
