"""One request, and the redirects after it, as far as they may be followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from yarl import URL

from sentinel.domain.target import Target
from sentinel.protocols.http.cookies import Jar
from sentinel.protocols.http.exchange import Answer, Connection, Exchange, open_connection
from sentinel.protocols.http.options import HttpOptions
from sentinel.sdk.failures import code_of
from sentinel.sdk.net import server_name, ssl_context
from sentinel.sdk.protocol import Run

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OF_BODY: Final = frozenset({"Content-Type", "Origin"})  # what a request loses with its body
_ALPN: Final = ("http/1.1",)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked first.  ``headers`` are for the target alone, credentials among them; names in title case."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """The answer that no redirect leads on from; its body has not been read.

    ``location`` is where it would lead, where that was not followed.  ``at_home``: the target gave it.
    """

    response: Answer
    exchange: Exchange
    url: URL
    location: URL | None
    at_home: bool


@asynccontextmanager
async def follow(
    run: Run, target: Target, options: HttpOptions, request: Request, cookies: Jar, redirects: int
) -> AsyncIterator[Last]:
    """Ask, and follow at most that many redirects; the connection ends with the block.

    The address is the target's: ``host`` and redirects to the same host change what is asked for, not where.
    Body, credentials, cookies and the operator's headers go to that host alone.

    Raises:
        ProbeFailed: ``too_many_redirects``, or of a stage of the exchange.
    """
    home = url = request.url
    method, headers, body = request.method, request.headers, request.body
    for followed in range(redirects + 1):
        at_home = url.raw_host == home.raw_host
        exchange = _exchange(run, url, target.address if at_home else url.raw_host or "", options)
        sent = _sent(url, home, headers, options, cookies)
        async with _answer(exchange, method, url, sent, body if at_home else None) as response:
            run.values["redirects"] = run.values.get("redirects", 0.0) + (followed > 0)
            location = _location(response, url)
            if location is None or not _may_follow(location, home, options, redirects):
                yield Last(response, exchange, url, location, at_home)
                return
            if at_home:
                cookies.take(response, url, run)
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, body = ("HEAD" if method == "HEAD" else "GET"), None  # RFC 9110, 15.4.2 to 15.4.4
                headers = {name: value for name, value in headers.items() if name not in _OF_BODY}
            url = location
    run.fail("too_many_redirects", f"more than {redirects}", stage="expect")


@asynccontextmanager
async def _answer(
    exchange: Exchange, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
) -> AsyncIterator[Answer]:
    """One request and its answer, whose body has not been read yet; the connection ends with the block."""
    run = exchange.run
    connection: Connection | None = None
    try:
        connection = await open_connection(exchange, method)
        answer = await connection.ask(method, url, headers, body)
        run.values["status_code"] = float(answer.status)
        run.facts["status"] = f"{answer.status} {answer.reason}".strip()[:100]
        yield answer
    except (aiohttp.ClientError, HttpProcessingError) as error:
        _fail(exchange, error)
    finally:
        if connection is not None:
            connection.close()
        exchange.ended()


def _sent(url: URL, home: URL, headers: Mapping[str, str], options: HttpOptions, cookies: Jar) -> Mapping[str, str]:
    """Credentials, cookies and the operator's headers stay with the target, and never leave TLS for the clear."""
    if url.raw_host != home.raw_host or (home.scheme == "https" and url.scheme != "https"):
        return options.common_headers
    if "Cookie" in headers or not (cookie := cookies.header(url)):
        return headers
    return {**headers, "Cookie": cookie}


def _exchange(run: Run, url: URL, host: str, options: HttpOptions) -> Exchange:
    name = url.raw_host or host
    if url.scheme != "https":
        return Exchange(run, host, url.port or 80, None, name)
    return Exchange(run, host, url.port or 443, ssl_context(options, alpn=_ALPN), server_name(options, name))


def _location(response: Answer, url: URL) -> URL | None:
    """Where the answer sends us (RFC 9110, 10.2.2); None where it is no redirect, or to nowhere that makes sense."""
    text = response.headers.get("Location")
    return link(text, url) if response.status in _REDIRECTS and text else None


def link(text: str, page: URL) -> URL | None:
    """Where a link on a page leads; None where that makes no sense."""
    try:
        found = page.join(URL(text))
    except ValueError:
        return None
    return found.with_user(None) if found.scheme in {"http", "https"} and found.raw_host else None


def _may_follow(location: URL, home: URL, options: HttpOptions, redirects: int) -> bool:
    return redirects > 0 and (options.redirect_hosts == "any" or location.raw_host == home.raw_host)


@lru_cache(maxsize=16_384)
def url_of(scheme: str, host: str, port: int, path: str) -> URL:
    """Built once for each check: to take a URL apart costs more than to send it."""
    host = f"[{host}]" if ":" in host else host
    return URL(f"{scheme}://{host}:{port}{path}")


def _fail(exchange: Exchange, error: aiohttp.ClientError | HttpProcessingError) -> NoReturn:
    """End the probe as aiohttp's error means it, at the stage that the exchange is in."""
    run = exchange.run
    if exchange.broken is not None:
        run.fail(code_of(exchange.broken), exchange.broken.strerror or type(exchange.broken).__name__)
    causes = _causes(error)
    if isinstance(error, HttpProcessingError):  # the parser's word for an answer that is none
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
