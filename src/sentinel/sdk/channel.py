"""The contract of a channel: one async function and its options, in one file.

    class WebhookOptions(ChannelOptions): ...
    async def send(messages: Sequence[Message], options: WebhookOptions, post: Post) -> None: ...
    CHANNEL = Channel("webhook", WebhookOptions, send)

``send`` returns when the receiver has accepted all messages and raises ``NotDelivered`` otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from sentinel.domain.notice import Message


class ChannelOptions(BaseModel):
    """Base of every channel's options: unknown keys are refused, secrets are ``pydantic.SecretStr``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class NotDelivered(Exception):
    """The receiver did not accept.

    ``detail`` never holds the URL, only a class and a host: a webhook's whole URL is a secret.
    ``permanent``: the same message will never be accepted (a 400); it is still kept and shown.
    ``retry_after``: seconds that the receiver asked for, None where it did not.
    """

    def __init__(self, detail: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.permanent, self.retry_after = detail, permanent, retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver answered: the body is at most 64 KiB of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Post = Callable[..., Awaitable[Answer]]
"""``await post(url, body=bytes, headers={}, ca_file=None, verify=True) -> Answer``: one POST, redirects not followed,
no retry; raises ``NotDelivered`` where there is no answer, or with any status but 2xx.  Permanent are only those that
speak of the message itself (400, 411, 413, 414, 415, 422, 431): a wrong token, a moved or a missing page is mended
within the day, and nothing is lost.  Retry-After is passed on."""


Send = Callable[[Sequence[Message], Any, Post], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Channel:
    """What a channel's file declares, in a module constant ``CHANNEL``.

    ``batch``: the most messages it takes at once.  ``per_minute``: the receiver's limit, None for none.
    ``resend_every``: seconds after which every open incident that was told must be sent again (Alertmanager
    forgets an alert otherwise), from the options; None where the receiver remembers.
    """

    name: str
    options: type[ChannelOptions]
    send: Send
    batch: int = 1
    per_minute: int | None = None
    resend_every: Callable[[Any], float | None] | None = None
