"""One POST to a receiver: bounded in time and size, redirects not followed, and silent about the URL."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.resolver import AsyncResolver

from sentinel.engine.ports import Clock
from sentinel.sdk.channel import Answer, NotDelivered, Post
from sentinel.sdk.net import Tls, ssl_context
from sentinel.sdk.protocol import ProbeFailed

TIMEOUT: Final = 10.0
MOST_ANSWER: Final = 65_536
LONGEST_RETRY: Final = 3600.0

_ABOUT_THE_MESSAGE: Final = frozenset({400, 411, 413, 414, 415, 422, 431})
"""Statuses that a second attempt with the same bytes would get again (RFC 9110, 15.5); the others speak of the
receiver, its configuration or ours: a token that was mistyped is mended within the day, and nothing is lost."""


@asynccontextmanager
async def open_post(clock: Clock, *, timeout: float = TIMEOUT) -> AsyncIterator[Post]:  # noqa: ASYNC109 - of each POST
    """A ``Post`` while the block runs: one session, names resolved by c-ares, no cookies, no proxy by environment.

    ``timeout``: seconds for each POST, from the look-up of the name to the end of the answer.
    """
    connector = aiohttp.TCPConnector(resolver=AsyncResolver(), limit=64, limit_per_host=8, ttl_dns_cache=30)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # an answer is not worth the risk of one that unpacks to a gigabyte
        headers={"User-Agent": "Sentinel", "Accept-Encoding": "identity"},
    ) as session:

        async def post(
            url: str,
            *,
            body: bytes,
            headers: Mapping[str, str] | None = None,
            ca_file: str | None = None,
            verify: bool = True,
        ) -> Answer:
            return await _post(session, clock, url, body, headers or {}, _tls(url, ca_file, verify=verify))

        yield post


async def _post(
    session: aiohttp.ClientSession,
    clock: Clock,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | bool,  # noqa: FBT001 - aiohttp's own type: True where the scheme is http
) -> Answer:
    host = host_of(url)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False, ssl=tls) as response:
            status = response.status
            answered = dict(response.headers)
            content = await _head(response.content)
    except TimeoutError:
        raise NotDelivered(f"{host}: no answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # from None: their texts may hold the whole URL
        raise NotDelivered(f"{host}: {_class(error)}") from None
    if 200 <= status < 300:
        return Answer(status, answered, content)
    raise NotDelivered(
        f"{host}: answered {status}",
        permanent=status in _ABOUT_THE_MESSAGE,
        retry_after=_retry_after(answered.get("Retry-After"), clock),
    )


def host_of(url: str) -> str:
    """The host alone: all that may be said of a URL."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"


async def _head(content: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    room = MOST_ANSWER
    while room > 0:
        part = await content.read(room)
        if not part:
            break
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


def _tls(url: str, ca_file: str | None, *, verify: bool) -> ssl.SSLContext | bool:
    if not url.lower().startswith("https:"):
        return True
    try:
        return ssl_context(Tls(tls_verify=verify, tls_ca_file=ca_file))
    except ProbeFailed as failed:
        raise NotDelivered(f"{host_of(url)}: {failed.failure.detail}") from None


def _class(error: BaseException) -> str:
    """What happened, in words that come from us: the class, and the reason that OpenSSL or the kernel gives."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate: {getattr(error.certificate_error, 'verify_message', '') or 'refused'}"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, aiohttp.ClientConnectorDNSError):
        number = error.errno if isinstance(error.errno, int) else 0
        return f"{type(error).__name__} ({number})"
    return type(error).__name__


def _retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3): a number or a date; at most an hour is believed."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - clock.now()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY)
