"""Alertmanager: alerts by its API version 2, sent again while they last, and resolved.

An alert without ``endsAt`` is resolved by Alertmanager after its ``resolve_timeout`` (5 minutes unless configured
otherwise), so every open incident is sent again each ``resend_every`` seconds; that also teaches an Alertmanager
that was restarted.  A resolution bears ``endsAt`` and is queued like any message until it is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sentinel.domain.notice import Message
from sentinel.sdk.channel import Channel, Post
from sentinel.sdk.receiver import Receiver, alert_labels, ended_at, rfc3339, send_to, text_values

BATCH = 64


class AlertmanagerOptions(Receiver):
    """Where Alertmanager is, and how often it is reminded."""

    resend_every: float = Field(
        default=60.0,
        ge=5.0,
        le=3600.0,
        description="Seconds after which open incidents are sent again; must be well below its resolve_timeout.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict, max_length=16, description="More labels for every alert, for Alertmanager's routes."
    )
    external_url: str = Field(default="", description="Page that an alert links to (generatorURL).")


async def send(messages: Sequence[Message], options: AlertmanagerOptions, post: Post) -> None:
    """One request with all of them: ``[{"labels", "annotations", "startsAt", "endsAt", "generatorURL"}]``."""
    body = json.dumps([_alert(message, options) for message in messages]).encode()
    url = options.url.get_secret_value().rstrip("/")
    if not url.endswith("/api/v2/alerts"):
        url += "/api/v2/alerts"
    await send_to(options, post, body, {"Content-Type": "application/json"}, url=url)


def _alert(message: Message, options: AlertmanagerOptions) -> dict[str, Any]:
    alert: dict[str, Any] = {
        "labels": dict(options.labels) | alert_labels(message),
        "annotations": text_values(message.annotations),
        "startsAt": rfc3339(message.started_at),
    }
    if options.external_url:
        alert["generatorURL"] = options.external_url
    end = ended_at(message)
    if end is not None:
        alert["endsAt"] = rfc3339(end)
    return alert


CHANNEL = Channel(
    "alertmanager", AlertmanagerOptions, send, batch=BATCH, resend_every=lambda options: options.resend_every
)
