"""The cookies of one run (RFC 6265), with an end to their number and size."""

from __future__ import annotations

from typing import Final

import aiohttp
from yarl import URL

from sentinel.protocols.http.exchange import Answer
from sentinel.sdk.protocol import Run

MAX_COOKIES: Final = 100
MAX_BYTES: Final = 32_768
"""Names and values together; servers refuse a request long before that."""


class Jar:
    """What the target has set: by domain, path and time, as a browser keeps it.

    It is asked for the target's own URLs only: no other host ever gets a cookie.
    """

    def __init__(self) -> None:
        self._jar: aiohttp.CookieJar | None = None

    def take(self, response: Answer, url: URL, run: Run) -> None:
        """Keep what an answer from ``url`` sets.

        Raises:
            ProbeFailed: ``too_large`` where that is more than a browser would keep.
        """
        if not (written := response.headers.getall("Set-Cookie", ())):
            return
        if self._jar is None:
            self._jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # unsafe: also of hosts without a name
        self._jar.update_cookies_from_headers(written, url)
        size = sum(len(cookie.key) + len(cookie.value) for cookie in self._jar)
        if len(self._jar) > MAX_COOKIES or size > MAX_BYTES:
            run.fail("too_large", f"more than {MAX_COOKIES} cookies or {MAX_BYTES} bytes of them")

    def header(self, url: URL) -> str:
        """The header ``Cookie`` for a URL; empty where there is none for it."""
        if self._jar is None:
            return ""
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in self._jar.filter_cookies(url).values())

    def value(self, name: str) -> str | None:
        """A cookie's value, whatever its path; None where there is none of that name."""
        return next((cookie.value for cookie in self._jar or () if cookie.key == name), None)
