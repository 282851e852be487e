"""What channels over HTTP share: where to post, who we are, whom we trust; and alerts in Alertmanager's terms."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from sentinel.domain.notice import Message
from sentinel.sdk.channel import Answer, ChannelOptions, Post

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_RESERVED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})
_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")


class Receiver(ChannelOptions):
    """Options of a channel that posts to a URL."""

    url: SecretStr = Field(description="Where to post. The whole URL is a secret: it often holds a token.")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, max_length=32, description="More headers for each request; their values are secrets."
    )
    bearer_token: SecretStr | None = Field(
        default=None, description="Token for the header Authorization: Bearer (RFC 6750)."
    )
    username: str | None = Field(
        default=None, min_length=1, description="Name for Basic authentication (RFC 7617); needs a password."
    )
    password: SecretStr | None = Field(default=None, description="Password for Basic authentication.")
    tls_ca_file: str | None = Field(
        default=None, description="PEM file with the authorities to trust, in place of the system's."
    )
    tls_verify: bool = Field(
        default=True, description="Verify the receiver's certificate. Switched off, anybody may read the messages."
    )

    @field_validator("url")
    @classmethod
    def _http(cls, url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("must be an http:// or https:// URL with a host")
        return url

    @field_validator("headers")
    @classmethod
    def _sound_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED:
                raise ValueError(f"{name!r} cannot be set as a header")
            if not value.get_secret_value().isprintable():
                raise ValueError(f"the value of {name!r} holds a control character")
        return headers

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.bearer_token is not None and self.username is not None:
            raise ValueError("give bearer_token or username, not both: there is one Authorization header")
        return self


async def send_to(
    receiver: Receiver, post: Post, body: bytes, headers: Mapping[str, str], *, url: str | None = None
) -> Answer:
    """One POST with the receiver's identity; ``url`` where it is not the receiver's own.

    Raises:
        NotDelivered: as ``post`` does.
    """
    sent = {name: value.get_secret_value() for name, value in receiver.headers.items()} | dict(headers)
    if receiver.bearer_token is not None:
        sent["Authorization"] = f"Bearer {receiver.bearer_token.get_secret_value()}"
    elif receiver.username is not None and receiver.password is not None:
        pair = f"{receiver.username}:{receiver.password.get_secret_value()}"
        sent["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return await post(
        url or receiver.url.get_secret_value(),
        body=body,
        headers=sent,
        ca_file=receiver.tls_ca_file,
        verify=receiver.tls_verify,
    )


def alert_labels(message: Message) -> dict[str, str]:
    """The message's identity in names that Prometheus allows; empty values mean no label and are left out."""
    labels = {_label_name(name): str(value) for name, value in message.labels.items() if value}
    return {"alertname": "Sentinel"} | labels


def rfc3339(at: float) -> str:
    """UTC epoch seconds as RFC 3339 has them, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ended_at(message: Message) -> float | None:
    """When it ended, never before it began: receivers refuse a negative length."""
    return None if message.ended_at is None else max(message.ended_at, message.started_at)


def text_values(annotations: Mapping[str, Any]) -> dict[str, str]:
    """Annotations with allowed names; every value is text."""
    return {_label_name(name): str(value) for name, value in annotations.items()}


def _label_name(name: str) -> str:
    cleaned = _LABEL.sub("_", name)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned
