"""Who may read: the Host header, the token, and the headers that keep a browser from being used against us.

A program sends the token as ``Authorization: Bearer`` (RFC 6750, 2.1).  A browser sends it once in a form and gets a
cookie that is not the token: an expiry and an HMAC of it, so that nothing is kept here and a new token ends every
session.  The token is never taken from an address: addresses are logged, shown and remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import SecretStr

from sentinel.web.intake import is_call
from sentinel.web.page import render
from sentinel.web.view import VIEW
from sentinel.web.words import words_of

COOKIE = "sentinel_wall"
SESSION = 30 * 86_400
"""Seconds that a wall page stays signed in: a wall has no keyboard."""
WRONG_TOKEN_PAUSE = 1.0
"""Seconds that a wrong token costs; guesses are answered one at a time."""

OPEN_PATHS = frozenset({"/livez", "/readyz", "/login", "/static/wall.css", "/static/icon.svg"})
"""What anybody who reaches the address may have: it says nothing of the fleet."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "sentinel",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def harden(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer bears (a signal: streams and errors bear them as well)."""
    for name, value in _HEADERS.items():
        if name != "Content-Security-Policy" or name not in response.headers:  # evidence has a stricter one
            response.headers[name] = value


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a foreign Host (421) and, where a token is set, who does not bear it (401, or the login page)."""
    view = request.app[VIEW]
    if is_call(request):
        return await handler(request)  # who calls has a secret of its own
    if not host_allowed(request.headers.get("Host", ""), view.external_url):
        raise web.HTTPMisdirectedRequest(text="this name is not one of the daemon's: use its address or external_url\n")
    if view.token is None or request.path in OPEN_PATHS or _known(request, view.token, view.clock.now()):
        return await handler(request)
    if request.path == "/" and request.method == "GET":
        raise web.HTTPSeeOther("/login")
    raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="sentinel"'}, text="a token is needed\n")


def host_allowed(host: str, external_url: str) -> bool:
    """Whether a Host header may be answered.

    A page of another site that rebinds its name to our address sends that name; an address cannot be rebound.
    """
    name = urlsplit(f"//{host}").hostname if host.isprintable() else None
    if not name:
        return False
    if name in {"localhost", urlsplit(external_url).hostname}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def session(token: SecretStr, expires: int) -> str:
    """A cookie's value that is good until ``expires``, UTC epoch seconds."""
    text = f"{expires}"
    key = token.get_secret_value().encode()
    return f"{text}.{hmac.new(key, f'sentinel wall session 1 {text}'.encode(), hashlib.sha256).hexdigest()}"


def _known(request: web.Request, token: SecretStr, now: float) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _same(given.strip(), token.get_secret_value())
    expires, _, _ = (cookie := request.cookies.get(COOKIE, "")).partition(".")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 16 and now < int(expires) <= now + SESSION):
        return False
    return _same(cookie, session(token, int(expires)))


def _same(given: str, expected: str) -> bool:
    # Bytes: compare_digest refuses str beyond ASCII with an exception.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode("utf-8"))


_GUESSES: web.AppKey[asyncio.Semaphore] = web.AppKey("guesses", asyncio.Semaphore)


async def login_form(request: web.Request) -> web.Response:
    """The page that asks for the token."""
    return _login(request, wrong=False)


async def login(request: web.Request) -> web.Response:
    """Exchange the token for a cookie, and go to the wall.

    Another site's form is refused: it could sign a browser in, and probe for the token from inside.
    """
    view = request.app[VIEW]
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise web.HTTPForbidden(text="the form of another site\n")
    origin = request.headers.get("Origin")
    if origin and origin != "null" and urlsplit(origin).netloc != request.headers.get("Host"):
        raise web.HTTPForbidden(text="the form of another site\n")
    form = await request.post()
    given = form.get("token", "")
    if view.token is None or not isinstance(given, str) or not _same(given, view.token.get_secret_value()):
        async with request.app[_GUESSES]:
            await asyncio.sleep(WRONG_TOKEN_PAUSE)
        return _login(request, wrong=True)
    answer = web.Response(status=303, headers={"Location": "/"})
    expires = int(view.clock.now()) + SESSION
    answer.set_cookie(
        COOKIE,
        session(view.token, expires),
        max_age=SESSION,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return answer


def _login(request: web.Request, *, wrong: bool) -> web.Response:
    words = words_of(request.query.get("lang"), request.app[VIEW].locale)
    return web.Response(
        text=render(request, "login.html", words=words, wrong=wrong),
        content_type="text/html",
        charset="utf-8",
        status=401 if wrong else 200,
    )


def install(app: web.Application) -> None:
    """Guard an application that listens on an address."""
    app.middlewares.append(guard)
    app[_GUESSES] = asyncio.Semaphore(1)
    app.router.add_get("/login", login_form)
    app.router.add_post("/login", login)
