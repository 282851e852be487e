"""A web server for each port that an HTTP check looks at: pages that say what the check expects (RFC 9112)."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from sentinel.domain.target import Check
from sentinel.lab.examples import NoExample, document_for, text_for
from sentinel.lab.faults import SLOW, TALK, Fault
from sentinel.lab.page import Page
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Place, Service, Simulation
from sentinel.lab.site import Site

HTTP_500: Final = "http-500"
LOGIN_REFUSED: Final = "login-refused"

IDLE_SECONDS: Final = 30.0
MAX_HEAD: Final = 32_768
MAX_BODY: Final = 1 << 20
_WORTH_PACKING: Final = 512  # bytes

LINE: Final = "模拟系统运行正常"

_PAGE: Final = """<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>{name}</title></head>
<body><h1>{name}</h1><p>{line}</p>{more}</body></html>
"""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def stays(self) -> bool:
        return "close" not in self.headers.get("connection", "").lower()


class WebServer:
    """Serves the pages of one service; ``faults`` and ``late`` may change while it runs."""

    def __init__(self, service: Service, notes: list[str]) -> None:
        """Make the pages; what a check expects and cannot be made is told in ``notes``."""
        self.faults: frozenset[str] = frozenset()
        self._late = service.slow_seconds
        self._name = service.target.name
        self._pages: dict[tuple[str, str], Page] = {}
        self._sites: list[Site] = []
        for check in service.own:
            if check.options.steps:
                self._sites.append(Site(check, notes))
                continue
            key = check.options.method, check.options.path
            if key in self._pages:
                continue
            self._pages[key] = _page(check, notes)
            if check.options.method == "GET":
                self._pages.setdefault(("HEAD", check.options.path), self._pages[key])
        self._front = Page(200, _html(self._name, LINE))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is idle or the client has had enough."""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                request = await _read(reader)
            if SLOW in self.faults:
                await asyncio.sleep(self._late)
            if request is None:
                _write(writer, _Request("GET", "/", {"connection": "close"}), self._error(HTTPStatus.BAD_REQUEST))
                await writer.drain()
                return
            _write(writer, request, self._answer(request))
            await writer.drain()
            if not request.stays:
                return

    def _answer(self, request: _Request) -> Page:
        if HTTP_500 in self.faults:
            return self._error(HTTPStatus.INTERNAL_SERVER_ERROR)
        refuse = LOGIN_REFUSED in self.faults
        for site in self._sites:
            said = site.answer(request.method, request.path, request.headers, request.body, refuse=refuse)
            if said is not None:
                return said
        page = self._pages.get((request.method, request.path))
        if page is None and request.path == "/" and request.method in ("GET", "HEAD"):
            page = self._front
        if page is None:
            known = any(path == request.path for _, path in self._pages)
            return self._error(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND)
        if page.authorization is not None and request.headers.get("authorization") != page.authorization:
            scheme = page.authorization.partition(" ")[0]
            return self._error(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": f'{scheme} realm="Sentinel lab"'})
        return page

    def _error(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Page:
        return Page(status, _html(self._name, f"{status.value} {status.phrase}"), headers=headers or {})


def _page(check: Check, notes: list[str]) -> Page:
    """What the options of a check expect, as an answer."""
    options = check.options
    allowed = options.allowed_status
    status = 200 if 200 in allowed else min(allowed)
    headers: dict[str, str] = {}
    body, kind = b"", "text/html; charset=utf-8"
    try:
        for expected in options.expect_headers:
            if not expected.absent:
                headers[expected.name.title()] = text_for(expected.matches) if expected.matches else "lab"
        if options.expect_json:
            body = json.dumps(document_for(options.expect_json), ensure_ascii=False).encode()
            kind = "application/json"
        else:
            body = _body(check)
    except NoExample as error:
        notes.append(f"{check.id}: {error}")
        body = body or _html(check.target.name, LINE)
    return Page(status, body, kind, headers, options.own_headers.get("Authorization"))


def _body(check: Check) -> bytes:
    """A page that holds what the check looks for, or that alone, where a pattern wants it at the very beginning.

    Raises:
        NoExample: neither satisfies the check.
    """
    options = check.options
    texts = [*(text_for(pattern) for pattern in options.body_matches), *options.body_contains]
    for body in (_html(check.target.name, LINE, "\n".join(texts)), "\n".join(texts).encode(), "".join(texts).encode()):
        if (
            all(pattern.found_in(body) for pattern in options.body_matches)
            and not any(pattern.found_in(body) for pattern in options.body_not_matches)
            and not any(text.encode() in body for text in options.body_not_contains)
        ):
            return body
    raise NoExample("no page can be made that satisfies all that is expected of the body")


def _html(name: str, line: str, more: str = "") -> bytes:
    # What a check looks for has to stand in the page letter by letter, so it is not escaped: it is the operator's own.
    return _PAGE.format(name=html.escape(name), line=html.escape(line), more=more).encode()


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """The next request; None where it is none that is understood.

    Raises:
        EOFError, OSError: the client has gone.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            return None
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY:
        return None
    body = await reader.readexactly(int(length))
    if words[2] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return _Request(words[0], words[1], headers, body)


def _write(writer: asyncio.StreamWriter, request: _Request, page: Page) -> None:
    body = page.body
    headers: dict[str, Any] = {
        "Server": "sentinel-lab",
        "Date": formatdate(usegmt=True),
        "Content-Type": page.kind,
        **page.headers,
    }
    if "gzip" in request.headers.get("accept-encoding", "") and len(body) > _WORTH_PACKING:
        body = gzip.compress(body, 1)
        headers["Content-Encoding"] = "gzip"
    empty = page.status in (204, 304)
    if not empty:
        headers["Content-Length"] = len(body)
    headers["Connection"] = "keep-alive" if request.stays else "close"
    try:
        reason = HTTPStatus(page.status).phrase
    except ValueError:
        reason = "Expected"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += "".join(f"Set-Cookie: {cookie}\r\n" for cookie in page.cookies)
    writer.write(f"HTTP/1.1 {page.status} {reason}\r\n{head}\r\n".encode("latin-1", "replace"))
    if not empty and request.method != "HEAD":
        writer.write(body)


async def _server(service: Service, ground: Ground) -> OverTcp:
    return OverTcp(service, WebServer(service, ground.notes), ground.authority)


def _place(check: Check) -> Place:
    options = check.options
    return "tcp", int(options.port_of(options.scheme))


def _abilities(service: Service) -> frozenset[str]:
    logins = any(check.options.secrets for check in service.own)
    return frozenset({TALK, "http", "login"} if logins else {TALK, "http"})


SIMULATION = Simulation(
    ("http",),
    _server,
    place=_place,
    tls=lambda check: bool(check.options.scheme == "https"),
    abilities=_abilities,
    rank=20,
    faults=(
        Fault(HTTP_500, "Every page is answered with status 500.", "web pages", frozenset({"http"})),
        Fault(
            LOGIN_REFUSED,
            "Every password is refused, the right one too; all else goes on.",
            "sites that one logs into",
            frozenset({"login"}),
        ),
    ),
)
