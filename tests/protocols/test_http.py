"""http: what is asked, what is expected of the answer, and where redirects lead."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from pydantic import ValidationError

from sentinel.protocols.http import PROTOCOL, HttpOptions
from sentinel.protocols.http.body import as_utf8
from tests.support.authority import Authority
from tests.support.fixtures import StartNginx
from tests.support.http_peer import answer, answering, ask, cause
from tests.support.probing import measure, target

HEALTH = {"status": "UP", "ok": True, "load": 0.75, "nodes": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]}


# What goes well


async def test_a_page_is_ok_and_every_phase_is_timed(nginx: StartNginx) -> None:
    measured = await measure(PROTOCOL, target(), {"port": nginx().port, "body_contains": ["nginx is here"]})
    assert measured.failure is None
    assert set(measured.stages) == {"connect", "first_byte", "transfer", "expect"}
    assert sum(measured.stages.values()) <= measured.took
    assert measured.values == {"status_code": 200.0, "redirects": 0.0, "body_bytes": 14.0}
    assert measured.facts["status"] == "200 OK"
    assert measured.facts["server"].startswith("nginx")


async def test_a_name_is_resolved_in_its_own_stage(nginx: StartNginx) -> None:
    measured = await measure(PROTOCOL, target("localhost"), {"port": nginx().port})
    assert measured.failure is None
    assert list(measured.stages)[:2] == ["resolve", "connect"]


async def test_over_tls_the_handshake_is_timed_apart(nginx: StartNginx, authority: Authority) -> None:
    server = nginx(tls="valid")
    options = {"scheme": "https", "port": server.port, "tls_ca_file": str(authority.ca_file)}
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert set(measured.stages) == {"connect", "tls", "first_byte", "transfer", "expect"}
    assert 89 < measured.values["certificate_days_left"] <= 90
    assert measured.facts["tls"] == "TLSv1.3"


def test_the_same_on_uvloop(nginx: StartNginx, authority: Authority) -> None:
    options = {"scheme": "https", "port": nginx(tls="valid").port, "tls_ca_file": str(authority.ca_file)}
    measured = uvloop.run(measure(PROTOCOL, target(), options))
    assert measured.failure is None
    assert set(measured.stages) == {"connect", "tls", "first_byte", "transfer", "expect"}


async def test_each_run_opens_a_connection_of_its_own(nginx: StartNginx) -> None:
    server = nginx("location / { return 200 $connection; }")
    seen = set()
    for number in range(3):
        options = {"port": server.port, "expect_json": [{"path": "$", "record": "connection"}]}
        measured = await measure(PROTOCOL, target(), options)
        assert measured.failure is None
        seen.add(measured.values["json_value:connection"])
        assert len(seen) == number + 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "two members"])
async def test_a_compressed_body_is_inflated(coding: str) -> None:
    text = "应急指挥 ".encode() * 1000
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "raw deflate": bare.compress(text) + bare.flush(),
        "two members": gzip.compress(text[:7]) + gzip.compress(text[7:]),
    }[coding]
    name = "deflate" if "deflate" in coding else "gzip"
    async with answering(answer(body, f"Content-Encoding: {name}\r\n")) as server:
        measured = await ask(server, body_contains=["应急指挥 应急指挥"])
    assert measured.failure is None
    assert measured.values["body_bytes"] == len(text)
    assert "Accept-Encoding: gzip, deflate\r\n" in server.requests[0]


async def test_nginx_compresses_when_asked_and_not_otherwise(nginx: StartNginx) -> None:
    server = nginx("gzip on; gzip_types *; gzip_min_length 1; add_header X-Asked $http_accept_encoding always;")
    expected = {"port": server.port, "body_contains": ["nginx is here"]}
    compressed = {"expect_headers": [{"name": "Content-Encoding", "matches": "^gzip$"}]}
    plain = {"compression": False, "expect_headers": [{"name": "content-encoding", "absent": True}]}
    for options in (compressed, plain):
        assert (await measure(PROTOCOL, target(), expected | options)).failure is None


async def test_the_request_is_as_the_options_say() -> None:
    options: dict[str, Any] = {
        "method": "POST",
        "path": "/login?user=%E5%BC%A0&next=/a",
        "host": "portal.example",
        "headers": {"x-token": "s3cret"},
        "body": "你好",
        "username": "monitor",
        "password": "pass",
    }
    async with answering(answer()) as server:
        assert (await ask(server, **options)).failure is None
    line, *headers = server.requests[0].strip().split("\r\n")
    sent = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
    assert line == "POST /login?user=%E5%BC%A0&next=/a HTTP/1.1"
    assert sent["host"] == f"portal.example:{server.port}"
    assert sent["authorization"] == "Basic " + base64.b64encode(b"monitor:pass").decode()
    assert sent["x-token"] == "s3cret"
    assert sent["content-length"] == "6"
    assert sent["connection"] == "close"
    assert sent["user-agent"] == "Sentinel"


async def test_bearer_and_head() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n") as server:
        measured = await ask(server, method="HEAD", bearer_token="t0ken")
    assert measured.failure is None
    assert "Authorization: Bearer t0ken\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("charset", "body"),
    [("gbk", "系统正常".encode("gb18030")), ("utf-8", "系统正常".encode()), ("idna", "系统正常".encode())],
)
async def test_text_is_compared_in_the_charset_of_the_page(charset: str, body: bytes) -> None:
    async with answering(answer(body, f"Content-Type: text/html; charset={charset}\r\n")) as server:
        measured = await ask(server, body_contains=["系统正常"], body_matches=["系统.常"])
    assert measured.failure is None


def test_a_charset_that_is_a_language_is_not_run() -> None:
    assert as_utf8(b"\\u0041", "unicode_escape") == b"\\u0041"
    assert as_utf8(b"\xe9", "ISO-8859-1") == "é".encode()
    assert as_utf8(b"\xff", None) == b"\xff"


# What is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ([503], None),
        (["5xx"], None),
        (["200-204", "500-503"], None),
        (["2xx"], ("expect", "bad_status")),
        ([200, "4xx"], ("expect", "bad_status")),
    ],
)
async def test_the_status_is_one_of_those_expected(status: list[Any], expected: tuple[str, str] | None) -> None:
    async with answering(answer(status="503 Busy")) as server:
        measured = await ask(server, status=status)
    assert cause(measured.failure) == expected
    assert measured.values["status_code"] == 503
    if measured.failure:
        assert measured.failure.detail == "503 Busy"


@pytest.mark.parametrize(
    ("status", "code"), [("401 No", "unauthorized"), ("403 No", "forbidden"), ("404 No", "not_found")]
)
async def test_some_states_have_codes_of_their_own(status: str, code: str) -> None:
    async with answering(answer(status=status)) as server:
        assert cause((await ask(server)).failure) == ("expect", code)


HEADERS = "X-Role: main\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ({"expect_headers": [{"name": "x-role"}]}, True),
        ({"expect_headers": [{"name": "X-Role", "matches": "^ma"}]}, True),
        ({"expect_headers": [{"name": "Set-Cookie", "matches": "^b="}]}, True),
        ({"expect_headers": [{"name": "X-Role", "matches": "^backup"}]}, False),
        ({"expect_headers": [{"name": "X-Other"}]}, False),
        ({"expect_headers": [{"name": "X-Role", "absent": True}]}, False),
        ({"body_contains": ['"UP"']}, True),
        ({"body_contains": ['"UP"', '"DOWN"']}, False),
        ({"body_not_contains": ['"DOWN"']}, True),
        ({"body_not_contains": ['"UP"']}, False),
        ({"body_matches": [r'"load": 0\.[0-9]+']}, True),
        ({"body_matches": [r"^load"]}, False),
        ({"body_not_matches": ["(?i)error"]}, True),
        ({"body_not_matches": ["(?i)up"]}, False),
        ({"expect_json": [{"path": "$.status", "equals": "UP"}, {"path": "$.nodes[1].id", "equals": "b"}]}, True),
        ({"expect_json": [{"path": "$.status", "equals": "DOWN"}]}, False),
        ({"expect_json": [{"path": "$.status", "not_equals": "DOWN"}]}, True),
        ({"expect_json": [{"path": "$.status", "not_equals": "UP"}]}, False),
        ({"expect_json": [{"path": "$.ok", "equals": True}]}, True),
        ({"expect_json": [{"path": "$.ok", "equals": 1}]}, False),
        ({"expect_json": [{"path": "$.status", "equals": None}]}, False),
        ({"expect_json": [{"path": "$.missing"}]}, False),
        ({"expect_json": [{"path": "$.load", "at_least": 0.5, "at_most": 0.75}]}, True),
        ({"expect_json": [{"path": "$.load", "at_least": 0.8}]}, False),
        ({"expect_json": [{"path": "$.load", "at_most": 0.7}]}, False),
        ({"expect_json": [{"path": "$.ok", "at_least": 0}]}, False),
        ({"expect_json": [{"path": "$.nodes[*].n", "at_least": 1}]}, True),
        ({"expect_json": [{"path": "$.nodes[*].n", "at_least": 2}]}, False),
        ({"expect_json": [{"path": "$.nodes[?search(@.id, '^b')].n", "equals": 2}]}, True),
        ({"expect_json": [{"path": "$.nodes[?match(@.id, 'a|x')].n", "equals": 1}]}, True),
        ({"expect_json": [{"path": r"$.nodes[?match(@.id, '\\pL')].n"}]}, True),  # RE2's syntax, not Python's
        ({"expect_json": [{"path": "$.nodes[?match(@.n, '1')]"}]}, False),
        ({"expect_json": [{"path": "$.nodes[?match(@.id, '(')]"}]}, False),
        ({"expect_json": [{"path": "$.status", "matches": "^U"}]}, True),
        ({"expect_json": [{"path": "$.load", "matches": "0"}]}, False),
    ],
)
async def test_headers_and_body_are_compared(options: dict[str, Any], *, good: bool) -> None:
    async with answering(answer(json.dumps(HEALTH).encode(), HEADERS)) as server:
        measured = await ask(server, **options)
    assert cause(measured.failure) == (None if good else ("expect", "mismatch"))


async def test_a_number_of_the_body_is_measured_for_rules() -> None:
    recorded = [
        {"path": "$..n", "record": "first"},
        {"path": "$.ok", "record": "ok"},
        {"path": "$.status", "record": "no"},
    ]
    async with answering(answer(json.dumps(HEALTH).encode())) as server:
        measured = await ask(server, expect_json=recorded)
    assert measured.failure is None
    assert {key: value for key, value in measured.values.items() if ":" in key} == {
        "json_value:first": 1.0,
        "json_value:ok": 1.0,
    }


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[" * 200_000, b"\xff\xfe", b"1" * 10_000], ids=lambda body: repr(body[:6])
)
async def test_what_is_no_json_breaks_the_protocol(body: bytes) -> None:
    async with answering(answer(body)) as server:
        measured = await ask(server, expect_json=[{"path": "$.status"}])
    assert cause(measured.failure) == ("expect", "protocol_error")


# Redirects


def sends_to(place: str, status: str = "302 Found") -> Callable[[str], bytes]:
    """Send everybody to a place but who asks for /end."""
    return lambda request: (
        answer(b"arrived")
        if " /end" in request.partition("\r\n")[0]
        else answer(headers=f"Location: {place}\r\n", status=status)
    )


async def test_a_redirect_to_the_same_host_is_followed(nginx: StartNginx) -> None:
    server = nginx("location = / { return 301 /next/; } location = /next/ { return 302 /index.html; }")
    measured = await measure(PROTOCOL, target(), {"port": server.port, "body_contains": ["nginx is here"]})
    assert measured.failure is None
    assert measured.values["redirects"] == 2
    assert measured.values["status_code"] == 200


async def test_a_redirect_of_a_named_host_goes_to_the_targets_address() -> None:
    def back_home(request: str) -> bytes:
        return sends_to(f"http://portal.example:{server.port}/end")(request)

    async with answering(back_home) as server:
        measured = await ask(server, host="portal.example")
    assert measured.failure is None
    assert [request.split("\r\n")[0] for request in server.requests] == ["GET / HTTP/1.1", "GET /end HTTP/1.1"]


async def test_another_host_is_not_followed_unless_told_and_hears_no_secret() -> None:
    secret: dict[str, Any] = {"username": "u", "password": "p", "headers": {"X-Token": "s3cret"}}
    async with answering(answer(b"other")) as other:
        place = f"http://localhost:{other.port}/"
        async with answering(answer(headers=f"Location: {place}\r\n", status="302 Found")) as server:
            measured = await ask(server, **secret)
            assert cause(measured.failure) == ("expect", "bad_status")
            assert measured.failure is not None
            assert place in measured.failure.detail
            assert other.requests == []
            measured = await ask(server, **secret, redirect_hosts="any", body_contains=["other"])
    assert measured.failure is None
    assert "s3cret" in server.requests[0]
    assert "s3cret" not in other.requests[0]
    assert "authorization" not in other.requests[0].lower()


async def test_a_body_is_not_sent_on_to_another_host() -> None:
    async with answering(answer()) as other:
        place = f"Location: http://localhost:{other.port}/\r\n"
        async with answering(answer(headers=place, status="307 Temporary Redirect")) as server:
            measured = await ask(server, method="POST", body="s3cret", redirect_hosts="any")
    assert measured.failure is None
    assert "Content-Length: 0" in other.requests[0]


async def test_credentials_do_not_leave_tls(nginx: StartNginx, authority: Authority) -> None:
    async with answering(answer(b"clear")) as clear:
        server = nginx(f"location / {{ return 302 http://127.0.0.1:{clear.port}/; }}", tls="valid")
        options = {
            "scheme": "https",
            "port": server.port,
            "tls_ca_file": str(authority.ca_file),
            "bearer_token": "t0ken",
        }
        measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert "t0ken" not in clear.requests[0]


@pytest.mark.parametrize(
    ("status", "method"), [("301 M", "GET"), ("302 F", "GET"), ("303 S", "GET"), ("307 T", "POST"), ("308 P", "POST")]
)
async def test_a_redirected_post_becomes_what_the_rfc_says(status: str, method: str) -> None:
    async with answering(sends_to("/end", status)) as server:
        assert (await ask(server, method="POST", body="x")).failure is None
    assert server.requests[1].startswith(f"{method} /end ")
    assert ("Content-Length: 1" in server.requests[1]) == (method == "POST")


async def test_a_site_that_wants_its_cookie_back_gets_it() -> None:
    async with answering(
        lambda request: (
            answer()
            if "Cookie: sid=1" in request
            else answer(headers="Set-Cookie: sid=1\r\nLocation: /\r\n", status="302 F")
        )
    ) as server:
        measured = await ask(server)
    assert measured.failure is None
    assert measured.values["redirects"] == 1


async def test_fifty_redirects_end_at_the_limit() -> None:
    async with answering(sends_to("/again")) as server:
        measured = await ask(server)
    assert cause(measured.failure) == ("expect", "too_many_redirects")
    assert len(server.requests) == 6


@pytest.mark.parametrize("place", ["http://[", "ftp://127.0.0.1/", "", "http://:80/"])
async def test_a_redirect_to_nowhere_is_judged_as_it_is(place: str) -> None:
    async with answering(sends_to(place)) as server:
        assert cause((await ask(server)).failure) == ("expect", "bad_status")
        assert (await ask(server, redirects=0, status=[302])).failure is None


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"path": "no-slash"},
        {"path": "/a b"},
        {"path": "/a\r\nX: y"},
        {"path": "/#part"},
        {"host": "a/b"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X Y": "a"}},
        {"username": "u"},
        {"username": "u:v", "password": "p"},
        {"username": "u", "password": "p", "bearer_token": "t"},
        {"bearer_token": "t", "headers": {"authorization": "x"}},
        {"status": []},
        {"status": ["6xx"]},
        {"status": [99]},
        {"status": ["299-200"]},
        {"body_matches": ["(?=a)"]},
        {"expect_json": [{"path": "status"}]},
        {"expect_json": [{"path": "$..a..b"}]},
        {"expect_json": [{"path": "$[?@.a =~ /x/]"}]},
        {"expect_headers": [{"name": "X", "matches": "a", "absent": True}]},
        {"redirects": 21},
        {"url": "http://198.18.0.1/"},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpOptions.model_validate(options)


def test_secrets_are_not_in_the_words_about_the_options() -> None:
    options = HttpOptions.model_validate({"username": "u", "password": "s3cret", "headers": {"X-Token": "s3cret"}})
    assert options.own_headers["X-Token"] == "s3cret"
    assert "s3cret" not in repr(options)
    assert "s3cret" not in options.model_dump_json()
    with pytest.raises(ValidationError) as caught:
        HttpOptions.model_validate({"bearer_token": "s3cret\n"})
    assert "s3cret" not in str(caught.value)
