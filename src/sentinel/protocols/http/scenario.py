"""Several requests that are one: log in, open the page, find the text."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from yarl import URL

from sentinel.domain.target import Target
from sentinel.protocols.http.body import as_utf8, read_body
from sentinel.protocols.http.captures import take
from sentinel.protocols.http.cookies import Jar
from sentinel.protocols.http.expect import expect_body, expect_headers, expect_json, expect_status
from sentinel.protocols.http.expectations import is_header_value
from sentinel.protocols.http.following import Last, Request, follow, link, url_of
from sentinel.protocols.http.options import HttpOptions
from sentinel.protocols.http.steps import Step
from sentinel.sdk.placeholders import fill
from sentinel.sdk.protocol import Run
from sentinel.sdk.steps import hiding, step

_FORM: Final = "application/x-www-form-urlencoded"


async def play(target: Target, options: HttpOptions, run: Run) -> None:
    """Run the steps in order, each with what the ones before it captured; the first that fails ends it.

    A failure's detail begins with the step's name, and shows no secret even where the site echoes one.
    """
    scene = _Scene(target, options, run)
    with hiding(run, options.secrets.values()):
        for each in options.steps:
            async with step(run, each.name, each.timeout):
                await scene.act(each)


class _Scene:
    """What goes from one step to the next: cookies, what was captured, and the page that one is on."""

    def __init__(self, target: Target, options: HttpOptions, run: Run) -> None:
        self.run = run
        self._target, self._options = target, options
        self._home = url_of(options.scheme, options.host or target.address, options.port_of(options.scheme), "/")
        self._page: URL | None = None
        self._cookies = Jar()
        self._known = {name: secret.get_secret_value() for name, secret in options.secrets.items()}

    async def act(self, asked: Step) -> None:
        """One asked."""
        options, run = self._options, self.run
        with run.stage("prepare"):
            request = Request(asked.verb, self._url(asked), *self._message(asked))
        redirects = options.redirects if asked.redirects is None else asked.redirects
        async with follow(run, self._target, options, request, self._cookies, redirects) as last:
            if last.at_home:
                self._cookies.take(last.response, last.url, run)
                self._page = last.url
            await self._judge(asked, last)

    async def _judge(self, asked: Step, last: Last) -> None:
        run, response = self.run, last.response
        with run.stage("expect"):
            expect_status(response.status, response.reason or "", asked, run, location=last.location)
            expect_headers(response.headers, asked.expect_headers, run)
        body = await read_body(response, self._options.max_body_bytes, run)
        last.exchange.ended()
        run.values["body_bytes"] = float(len(body))
        if not asked.wants_body and not asked.capture:
            return
        with run.stage("expect"):
            text = as_utf8(body, response.charset)
            expect_body(text, asked, run)
            if asked.expect_json:
                expect_json(text, asked.expect_json, run)
            self._known |= take(asked.capture, response.headers, text, self._cookies, run)

    def _url(self, asked: Step) -> URL:
        if asked.path.startswith("/"):
            path = fill(asked.path, self._known, lambda value: quote(value, safe=""))
            return URL(f"{str(self._home)[:-1]}{path}")
        written = html.unescape(fill(asked.path, self._known)).strip()
        url = link(written, self._page or self._home)
        if url is None or url.raw_host != self._home.raw_host:
            self.run.fail("mismatch", f"the link {written[:120]!r} does not lead to a page of this site")
        return url

    def _message(self, asked: Step) -> tuple[dict[str, str], bytes | None]:
        """Headers and body; Referer and Origin are those of a browser, which frameworks check against forgery."""
        headers = dict(self._options.own_headers)
        body: bytes | None = None
        if self._page is not None:
            headers["Referer"] = str(self._page.with_fragment(None))
        if asked.verb not in {"GET", "HEAD", "OPTIONS"}:
            headers["Origin"] = str(self._home.origin())
        if asked.form is not None:
            fields = {name: fill(value.get_secret_value(), self._known) for name, value in asked.form.items()}
            body, headers["Content-Type"] = urlencode(fields).encode(), _FORM
        elif asked.json_body is not None:
            body = json.dumps(_filled(asked.json_body, self._known), ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        elif asked.body is not None:
            body = fill(asked.body.get_secret_value(), self._known).encode()
        for name, value in asked.headers.items():
            text = fill(value.get_secret_value(), self._known)
            if not is_header_value(text):
                self.run.fail("mismatch", f"what was captured for the header {name} cannot stand in one")
            headers[name.title()] = text
        return headers, body


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, known)
    if isinstance(value, dict):
        return {name: _filled(each, known) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, known) for each in value]
    return value
