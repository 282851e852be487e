"""HTTP: does the site answer as it should, over a new connection, and where does the time go?"""

from __future__ import annotations

from sentinel.domain.target import Target
from sentinel.protocols.http.body import as_utf8, read_body
from sentinel.protocols.http.cookies import Jar
from sentinel.protocols.http.expect import expect_body, expect_headers, expect_json, expect_status
from sentinel.protocols.http.following import Last, Request, follow, url_of
from sentinel.protocols.http.options import HttpOptions
from sentinel.protocols.http.scenario import play
from sentinel.sdk.protocol import Protocol, Run, Value


async def probe(target: Target, options: HttpOptions, run: Run) -> None:
    """Ask, follow redirects as far as the options allow, then compare the last answer; or play a scenario."""
    if options.steps:
        await play(target, options, run)
        return
    url = url_of(options.scheme, options.host or target.address, options.port_of(options.scheme), options.path)
    body = None if options.body is None else options.body.encode()
    request = Request(options.method, url, options.own_headers, body)
    async with follow(run, target, options, request, Jar(), options.redirects) as last:
        await _judge(last, options)


async def _judge(last: Last, options: HttpOptions) -> None:
    """Compare the last answer: status and headers first, so that a wrong one is told before its body is read."""
    response, run = last.response, last.exchange.run
    if "Server" in response.headers:
        run.facts["server"] = response.headers["Server"][:100]
    with run.stage("expect"):
        expect_status(response.status, response.reason or "", options, run, location=last.location)
        expect_headers(response.headers, options.expect_headers, run)
    body = await read_body(response, options.max_body_bytes, run)
    last.exchange.ended()
    run.values["body_bytes"] = float(len(body))
    if options.wants_body:
        with run.stage("expect"):
            text = as_utf8(body, response.charset)
            expect_body(text, options, run)
            if options.expect_json:
                expect_json(text, options.expect_json, run)


PROTOCOL = Protocol(
    "http",
    HttpOptions,
    probe,
    values=(
        Value("status_code", "", "Status code of the last answer."),
        Value("body_bytes", "B", "Length of the last body after decompression."),
        Value("redirects", "", "Redirects that were followed."),
        Value("certificate_days_left", "d", "Days until the certificate ends; negative where it has."),
        Value("json_value", "", "Number found at a JSON path that has a name to record it under.", items=True),
        Value("step_seconds", "s", "Duration of each step of a scenario.", items=True),
    ),
)
