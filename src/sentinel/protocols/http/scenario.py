"""Several requests that are one: log in, open the page, find the text."""

from __future__ import annotations

import asyncio
import html
import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from yarl import URL

from sentinel.domain.failure import Failure
from sentinel.domain.target import Target
from sentinel.protocols.http.body import as_utf8, read_body
from sentinel.protocols.http.captures import take
from sentinel.protocols.http.cookies import Jar
from sentinel.protocols.http.expect import expect_body, expect_headers, expect_json, expect_status
from sentinel.protocols.http.expectations import is_header_value
from sentinel.protocols.http.following import Last, Request, follow, link, url_of
from sentinel.protocols.http.options import HttpOptions
from sentinel.protocols.http.steps import Step
from sentinel.sdk.placeholders import fill, hide
from sentinel.sdk.protocol import ProbeFailed, Run

_MARGIN: Final = 0.03
"""Seconds before the check's deadline at which a step ends: so that what is told names the step."""

_FORM: Final = "application/x-www-form-urlencoded"


async def play(target: Target, options: HttpOptions, run: Run) -> None:
    """Run the steps in order, each with what the ones before it captured; the first that fails ends it.

    A failure's detail begins with the step's name, and shows no secret even where the site echoes one.
    """
    scene = _Scene(target, options, run)
    hidden = [secret.get_secret_value() for secret in options.secrets.values()]
    try:
        for step in options.steps:
            await _timed(scene, step)
    except ProbeFailed as failed:
        failure = failed.failure
        raise ProbeFailed(Failure(failure.stage, failure.code, hide(failure.detail, hidden))) from None
    finally:
        run.facts.update({name: hide(text, hidden) for name, text in run.facts.items()})
    run.facts.pop("step", None)


async def _timed(scene: _Scene, step: Step) -> None:
    run = scene.run
    run.facts["step"] = step.name  # stays where it ends badly
    began = time.monotonic()
    limit = max(0.0, run.left - _MARGIN)
    try:
        async with asyncio.timeout(limit if step.timeout is None else min(limit, step.timeout)):
            await scene.act(step)
    except TimeoutError:
        run.fail("timed_out", f"step {step.name}: no answer within {time.monotonic() - began:.3g} s")
    except ProbeFailed as failed:
        failure = failed.failure
        detail = f"step {step.name}: {failure.detail}".rstrip(": ")[:500]
        raise ProbeFailed(Failure(failure.stage, failure.code, detail)) from failed
    finally:
        run.values[f"step_seconds:{step.name}"] = time.monotonic() - began


class _Scene:
    """What goes from one step to the next: cookies, what was captured, and the page that one is on."""

    def __init__(self, target: Target, options: HttpOptions, run: Run) -> None:
        self.run = run
        self._target, self._options = target, options
        self._home = url_of(options.scheme, options.host or target.address, options.port_of(options.scheme), "/")
        self._page: URL | None = None
        self._cookies = Jar()
        self._known = {name: secret.get_secret_value() for name, secret in options.secrets.items()}

    async def act(self, step: Step) -> None:
        """One step."""
        options, run = self._options, self.run
        with run.stage("prepare"):
            request = Request(step.verb, self._url(step), *self._message(step))
        redirects = options.redirects if step.redirects is None else step.redirects
        async with follow(run, self._target, options, request, self._cookies, redirects) as last:
            if last.at_home:
                self._cookies.take(last.response, last.url, run)
                self._page = last.url
            await self._judge(step, last)

    async def _judge(self, step: Step, last: Last) -> None:
        run, response = self.run, last.response
        with run.stage("expect"):
            expect_status(response.status, response.reason or "", step, run, location=last.location)
            expect_headers(response.headers, step.expect_headers, run)
        body = await read_body(response, self._options.max_body_bytes, run)
        last.exchange.ended()
        run.values["body_bytes"] = float(len(body))
        if not step.wants_body and not step.capture:
            return
        with run.stage("expect"):
            text = as_utf8(body, response.charset)
            expect_body(text, step, run)
            if step.expect_json:
                expect_json(text, step.expect_json, run)
            self._known |= take(step.capture, response.headers, text, self._cookies, run)

    def _url(self, step: Step) -> URL:
        if step.path.startswith("/"):
            path = fill(step.path, self._known, lambda value: quote(value, safe=""))
            return URL(f"{str(self._home)[:-1]}{path}")
        written = html.unescape(fill(step.path, self._known)).strip()
        url = link(written, self._page or self._home)
        if url is None or url.raw_host != self._home.raw_host:
            self.run.fail("mismatch", f"the link {written[:120]!r} does not lead to a page of this site")
        return url

    def _message(self, step: Step) -> tuple[dict[str, str], bytes | None]:
        """Headers and body; Referer and Origin are those of a browser, which frameworks check against forgery."""
        headers = dict(self._options.own_headers)
        body: bytes | None = None
        if self._page is not None:
            headers["Referer"] = str(self._page.with_fragment(None))
        if step.verb not in {"GET", "HEAD", "OPTIONS"}:
            headers["Origin"] = str(self._home.origin())
        if step.form is not None:
            fields = {name: fill(value.get_secret_value(), self._known) for name, value in step.form.items()}
            body, headers["Content-Type"] = urlencode(fields).encode(), _FORM
        elif step.json_body is not None:
            body = json.dumps(_filled(step.json_body, self._known), ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        elif step.body is not None:
            body = fill(step.body.get_secret_value(), self._known).encode()
        for name, value in step.headers.items():
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
