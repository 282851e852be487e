"""HTTP: does the site answer as it should, over a new connection, and where does the time go?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import NoReturn

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from sentinel.domain.target import Target
from sentinel.protocols.http.body import as_utf8, read_body
from sentinel.protocols.http.connector import EXCHANGE, Exchange, client
from sentinel.protocols.http.expect import expect_body, expect_headers, expect_json, expect_status
from sentinel.protocols.http.options import HttpOptions
from sentinel.sdk.failures import code_of
from sentinel.sdk.net import server_name, ssl_context
from sentinel.sdk.protocol import Protocol, Run, Value

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HEADER = 16_384  # bytes of one header line or of the status line
_MAX_HEADERS = 128
_ALPN = ("http/1.1",)


async def probe(target: Target, options: HttpOptions, run: Run) -> None:
    """Ask, follow redirects as far as the options allow, then compare the last answer.

    The address is the target's: ``host`` and redirects to the same host change what is asked for, not where.
    """
    home = url = _url(options.scheme, options.host or target.address, options.port_of(options.scheme), options.path)
    method, body = options.method, None if options.body is None else options.body.encode()
    cookies: dict[str, str] = {}
    for followed in range(options.redirects + 1):
        at_home = url.raw_host == home.raw_host
        exchange = _exchange(run, url, target.address if at_home else url.raw_host or "", options)
        headers = _headers(url, home, options, cookies)
        async with _answer(exchange, method, url, headers, body if at_home else None) as response:
            run.values["redirects"] = float(followed)
            location = _location(response, url)
            if location is None or not _may_follow(location, home, options):
                await _judge(response, exchange, location, options)
                return
            if at_home:
                cookies.update((name, morsel.value) for name, morsel in response.cookies.items())
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, body = ("HEAD" if method == "HEAD" else "GET"), None  # RFC 9110, 15.4.2 to 15.4.4
            url = location
    run.fail("too_many_redirects", f"more than {options.redirects}", stage="expect")


@asynccontextmanager
async def _answer(
    exchange: Exchange,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes | None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """One request and its answer, whose body has not been read yet; the connection ends with the block."""
    run = exchange.run
    session: aiohttp.ClientSession = run.service
    token = EXCHANGE.set(exchange)
    try:
        response = await session.request(
            method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
            max_headers=_MAX_HEADERS,
        )
        try:
            run.values["status_code"] = float(response.status)
            run.facts["status"] = f"{response.status} {response.reason or ''}".strip()[:100]
            yield response
        finally:
            response.close()
    except aiohttp.ClientError as error:
        _fail(exchange, error)
    finally:
        exchange.ended()
        EXCHANGE.reset(token)


async def _judge(
    response: aiohttp.ClientResponse,
    exchange: Exchange,
    location: URL | None,
    options: HttpOptions,
) -> None:
    """Compare the last answer: status and headers first, so that a wrong one is told before its body is read."""
    run = exchange.run
    if "Server" in response.headers:
        run.facts["server"] = response.headers["Server"][:100]
    with run.stage("expect"):
        expect_status(response.status, response.reason or "", options, run, location=location)
        expect_headers(response.headers, options.expect_headers, run)
    body = await read_body(response, options.max_body_bytes, run)
    exchange.ended()
    run.values["body_bytes"] = float(len(body))
    if options.wants_body:
        with run.stage("expect"):
            text = as_utf8(body, response.charset)
            expect_body(text, options, run)
            if options.expect_json:
                expect_json(text, options.expect_json, run)


def _headers(url: URL, home: URL, options: HttpOptions, cookies: Mapping[str, str]) -> Mapping[str, str]:
    """Credentials, cookies and the operator's headers stay with the target, and never leave TLS for the clear."""
    if url.raw_host != home.raw_host or (home.scheme == "https" and url.scheme != "https"):
        return options.common_headers
    if not cookies or "Cookie" in options.own_headers:
        return options.own_headers
    return {**options.own_headers, "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def _exchange(run: Run, url: URL, host: str, options: HttpOptions) -> Exchange:
    name = url.raw_host or host
    if url.scheme != "https":
        return Exchange(run, host, url.port or 80, None, name)
    return Exchange(run, host, url.port or 443, ssl_context(options, alpn=_ALPN), server_name(options, name))


def _location(response: aiohttp.ClientResponse, url: URL) -> URL | None:
    """Where the answer sends us (RFC 9110, 10.2.2); None where it is no redirect, or to nowhere that makes sense."""
    text = response.headers.get("Location")
    if response.status not in _REDIRECTS or not text:
        return None
    try:
        location = url.join(URL(text))
    except ValueError:
        return None
    return location.with_user(None) if location.scheme in {"http", "https"} and location.raw_host else None


def _may_follow(location: URL, home: URL, options: HttpOptions) -> bool:
    return options.redirects > 0 and (options.redirect_hosts == "any" or location.raw_host == home.raw_host)


@lru_cache(maxsize=16_384)
def _url(scheme: str, host: str, port: int, path: str) -> URL:
    """Built once for each check: to take a URL apart costs more than to send it."""
    host = f"[{host}]" if ":" in host else host
    return URL(f"{scheme}://{host}:{port}{path}")


def _fail(exchange: Exchange, error: aiohttp.ClientError) -> NoReturn:
    """End the probe as aiohttp's error means it, at the stage that the exchange is in."""
    run = exchange.run
    if exchange.broken is not None:
        run.fail(code_of(exchange.broken), exchange.broken.strerror or type(exchange.broken).__name__)
    causes = _causes(error)
    if isinstance(error, aiohttp.ClientResponseError):  # the parser's word for an answer that is none
        large = any(isinstance(cause, LineTooLong) for cause in causes) or "Too many headers" in error.message
        run.fail("too_large" if large else "protocol_error", error.message.partition("\n")[0])
    if isinstance(error, aiohttp.ClientPayloadError) and not any("Not enough data" in str(cause) for cause in causes):
        run.fail("protocol_error", str(error).partition("\n")[0])
    run.fail("closed", "the peer hung up before the answer was complete")


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__
    return causes


PROTOCOL = Protocol(
    "http",
    HttpOptions,
    probe,
    values=(
        Value("status_code", "", "Status code of the last answer."),
        Value("body_bytes", "B", "Length of the body after decompression."),
        Value("redirects", "", "Redirects that were followed."),
        Value("certificate_days_left", "d", "Days until the certificate ends; negative where it has."),
        Value("json_value", "", "Number found at a JSON path that has a name to record it under.", items=True),
    ),
    service=client,
)
