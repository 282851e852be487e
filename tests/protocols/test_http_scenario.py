"""http: scenarios of several steps, against Django behind nginx, and against sites that mean harm."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from pydantic import ValidationError

from sentinel.protocols.http import PROTOCOL, HttpOptions
from sentinel.protocols.http.captures import form_field
from sentinel.sdk.placeholders import fill, hide
from tests.support import django_site
from tests.support.authority import Authority
from tests.support.django_site import DjangoSite
from tests.support.fixtures import NewFolder, StartNginx
from tests.support.http_peer import answer, answering, ask, cause
from tests.support.probing import measure, target

LOG_IN: list[dict[str, Any]] = [
    {
        "name": "login-page",
        "path": "/admin/",
        "body_contains": ["登录"],
        "capture": {"csrf": {"field": "csrfmiddlewaretoken"}, "then": {"field": "next"}},
    },
    {
        "name": "login",
        "path": "/admin/login/?next={then}",
        "form": {
            "username": "{username}",
            "password": "{password}",
            "csrfmiddlewaretoken": "{csrf}",
            "next": "{then}",
        },
        "body_not_contains": ["errornote"],
        "capture": {"users": {"matches": 'href="(/admin/auth/user/)"'}},
    },
    {"name": "users", "path": "{users}", "body_contains": ["duty-officer"], "body_matches": ["选择.*用户"]},
]


@pytest.fixture(scope="module")
def site(new_folder: NewFolder) -> Iterator[DjangoSite]:
    with django_site.serve(new_folder("django")) as running:
        yield running


def scenario(site: DjangoSite, **more: Any) -> dict[str, Any]:
    secrets = {"username": site.user, "password": site.password}
    return {"port": site.port, "steps": LOG_IN, "secrets": secrets, **more}


# What goes well


async def test_it_logs_in_opens_the_page_and_finds_the_text(site: DjangoSite) -> None:
    measured = await measure(PROTOCOL, target(), scenario(site))
    assert measured.failure is None, measured.failure
    assert {"step_seconds:login-page", "step_seconds:login", "step_seconds:users"} <= set(measured.values)
    assert sum(seconds for name, seconds in measured.values.items() if "step_" in name) <= measured.took
    assert measured.values["redirects"] == 2  # to the login page, and after it
    assert {"connect", "first_byte", "transfer", "expect"} <= set(measured.stages)
    assert "step" not in measured.facts


async def test_behind_tls_referer_and_origin_are_what_django_wants(
    site: DjangoSite, nginx: StartNginx, authority: Authority
) -> None:
    front = nginx(site.behind, tls="valid")
    options = scenario(site, scheme="https", port=front.port, tls_ca_file=str(authority.ca_file))
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None, measured.failure
    assert measured.values["certificate_days_left"] > 89
    assert site.password not in front.access_log


async def test_each_run_begins_without_cookies(site: DjangoSite) -> None:
    steps = [{"name": "page", "path": "/admin/auth/user/", "body_contains": ["duty-officer"]}]
    assert (await measure(PROTOCOL, target(), scenario(site))).failure is None
    measured = await measure(PROTOCOL, target(), {"port": site.port, "steps": steps})
    assert cause(measured.failure) == ("expect", "mismatch")


async def test_what_is_captured_arrives_encoded_as_the_place_wants_it() -> None:
    odd = 'a b&c=d/"?#%41é'
    page = json.dumps({"token": {"text": odd, "number": 7}}).encode()
    headers = "X-Next: 5 %\r\nSet-Cookie: XSRF=a%3Db; Path=/\r\nSet-Cookie: deep=1; Path=/deep\r\n"
    steps: list[dict[str, Any]] = [
        {
            "name": "first",
            "capture": {
                "odd": {"json_path": "$.token.text"},
                "number": {"json_path": "$.token.number"},
                "header": {"header": "x-next"},
                "xsrf": {"cookie": "XSRF"},
            },
        },
        {"name": "path", "path": "/deep/{odd}?q={odd}&n={number}", "headers": {"x-h": "{header}{{odd}}{}"}},
        {"name": "json", "method": "PUT", "json_body": {"a": ["{odd}", 1, {"b": "{xsrf}"}], "c": True}},
        {"name": "text", "body": '{"a": {number}}'},
    ]
    async with answering(answer(page, headers)) as server:
        measured = await ask(server, steps=steps)
    assert measured.failure is None
    asked = urlsplit(server.requests[1].split(" ")[1])
    assert asked.path.count("/") == 2
    assert unquote(asked.path) == f"/deep/{odd}"
    assert parse_qs(asked.query) == {"q": [odd], "n": ["7"]}
    assert "X-H: 5 %{odd}{}\r\n" in server.requests[1]
    assert "Cookie: XSRF=a%3Db; deep=1\r\n" in server.requests[1]
    assert "deep=1" not in server.requests[2]
    assert server.requests[2].startswith("PUT / HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in server.requests[2]
    assert f"Origin: http://127.0.0.1:{server.port}\r\n" in server.requests[2]
    assert json.loads(server.bodies[2]) == {"a": [odd, 1, {"b": "a=b"}], "c": True}
    assert server.bodies[3] == b'{"a": 7}'
    assert "Origin" not in server.requests[0] + server.requests[1]


async def test_a_redirect_is_an_answer_where_a_step_says_so() -> None:
    steps = [{"name": "login", "form": {}, "redirects": 0, "status": [302], "capture": {"to": {"header": "Location"}}}]
    async with answering(answer(headers="Location: /home\r\n", status="302 Found")) as server:
        assert (await ask(server, steps=steps)).failure is None
    assert len(server.requests) == 1


async def test_after_a_redirect_the_body_and_what_belongs_to_it_are_gone() -> None:
    def say(request: str) -> bytes:
        if request.startswith("POST"):
            return answer(headers="Location: /home\r\nSet-Cookie: id=1; HttpOnly\r\n", status="302 Found")
        return answer(b"welcome")

    async with answering(say) as server:
        measured = await ask(server, steps=[{"name": "login", "form": {"a": "b"}, "body_contains": ["welcome"]}])
    assert measured.failure is None
    assert server.requests[1].startswith("GET /home HTTP/1.1\r\n")
    assert "Cookie: id=1\r\n" in server.requests[1]
    assert "Content-" not in server.requests[1]
    assert "Origin" not in server.requests[1]


# What goes wrong


async def test_a_wrong_password_names_the_step_and_shows_no_secret(site: DjangoSite) -> None:
    options = scenario(site, secrets={"username": site.user, "password": "wrong-password"})
    measured = await measure(PROTOCOL, target(), options)
    assert cause(measured.failure) == ("expect", "mismatch")
    assert measured.failure is not None
    assert measured.failure.detail == "step login: the body holds 'errornote'"
    assert measured.facts["step"] == "login"
    assert "step_seconds:users" not in measured.values


@pytest.mark.parametrize(
    ("capture", "code"),
    [
        ({"matches": "token=([0-9]+)"}, "mismatch"),
        ({"field": "token"}, "mismatch"),
        ({"header": "X-Token"}, "mismatch"),
        ({"cookie": "token"}, "mismatch"),
        ({"json_path": "$.token"}, "protocol_error"),
        ({"matches": "(?s)(x+)"}, "too_large"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_is_not_there_to_capture_is_a_failure(capture: dict[str, str], code: str) -> None:
    async with answering(answer(b"x" * 70_000)) as server:
        measured = await ask(server, steps=[{"name": "page", "capture": {"token": capture}}])
    assert cause(measured.failure) == ("expect", code)
    assert str(measured.failure).count("step page") == 1


async def test_a_step_has_a_time_of_its_own_and_the_last_one_is_named_at_the_deadline() -> None:
    def say(request: str) -> bytes:
        return answer(b"ok") if "GET /quick" in request else b"HTTP/1.1 200 OK\r\n"  # and never the rest

    steps = [{"name": "quick", "path": "/quick"}, {"name": "slow", "path": "/slow", "timeout": 0.2}]
    async with answering(say, stay=True) as server:
        own = await ask(server, 5.0, steps=steps)
        whole = await ask(server, 0.5, steps=[steps[0], {"name": "slow", "path": "/slow"}])
    for measured in (own, whole):
        assert cause(measured.failure) == ("transfer", "timed_out")
        assert measured.failure is not None
        assert measured.failure.detail.startswith("step slow: no answer within")
    assert 0.2 <= own.took < 2
    assert whole.took < 2


async def test_a_secret_is_never_shown_even_where_the_site_echoes_it() -> None:
    secret = "Pa'ss/w\"ord-123"

    def echo(_request: str) -> bytes:
        body = json.dumps({"said": "x" * 100 + secret}).encode()
        return answer(body, f"Server: {secret}\r\n", status=f"200 {secret}")

    steps = [
        {"name": "a", "form": {"p": "{password}"}},
        {"name": "b", "expect_json": [{"path": "$.said", "equals": "yes"}]},
    ]
    async with answering(echo) as server:
        measured = await ask(server, steps=steps, secrets={"password": secret})
        moved = answer(headers=f"Location: http://other.example/?p={secret}\r\n", status="302 Found")
        async with answering(moved) as other:
            elsewhere = await ask(other, steps=steps, secrets={"password": secret})
    assert cause(measured.failure) == ("expect", "mismatch")
    assert cause(elsewhere.failure) == ("expect", "bad_status")
    assert measured.facts["status"] == "200 ***"
    said = str(measured) + str(elsewhere)
    assert "Pa" not in said.replace("Path", "").replace("Pattern", "")
    assert "ord-1" not in said
    assert secret not in repr(HttpOptions.model_validate({"steps": steps, "secrets": {"password": secret}}))


async def test_another_host_gets_no_body_no_cookie_and_no_credential() -> None:
    async with answering(answer(b"mine now")) as thief:
        lure = answer(
            headers=f"Location: http://localhost:{thief.port}/\r\nSet-Cookie: id=1\r\n", status="307 Temporary Redirect"
        )
        steps = [{"name": "login", "form": {"p": "{password}"}, "headers": {"X-Own": "{password}"}}]
        async with answering(lure) as server:
            own: dict[str, Any] = {
                "steps": steps,
                "secrets": {"password": "s3cret-word"},
                "username": "u",
                "password": "p",
            }
            measured = await ask(server, **own, redirect_hosts="any")
            stayed = await ask(server, **own)
    assert measured.failure is None
    assert cause(stayed.failure) == ("expect", "bad_status")
    assert thief.bodies == [b""]
    for word in ("s3cret", "Cookie", "Authorization", "X-Own", "Referer", "Origin", "x-www-form"):
        assert word not in thief.requests[0]


async def test_a_captured_link_to_another_host_is_not_followed() -> None:
    async with answering(answer(b"mine now")) as thief:
        page = f'<a href="http://localhost:{thief.port}/next?a=1&amp;b=2">'.encode()
        steps = [
            {"name": "page", "capture": {"link": {"matches": 'href="([^"]+)"'}}},
            {"name": "next", "path": "{link}"},
        ]
        async with answering(answer(page)) as server:
            measured = await ask(server, steps=steps)
        assert cause(measured.failure) == ("prepare", "mismatch")
        assert thief.requests == []
        async with answering(answer(page.replace(f"localhost:{thief.port}".encode(), b"127.0.0.1:%d"))) as server:
            assert cause((await ask(server, steps=steps)).failure) == ("prepare", "mismatch")  # no URL at all
    async with answering(answer(b'<a href="next?a=1&amp;b=2">')) as server:
        assert (await ask(server, steps=steps)).failure is None
        assert server.requests[1].startswith("GET /next?a=1&b=2 HTTP/1.1")
        assert f"Referer: http://127.0.0.1:{server.port}/\r\n" in server.requests[1]


async def test_a_line_end_that_was_captured_is_no_header_of_its_own() -> None:
    steps = [
        {"name": "page", "capture": {"token": {"json_path": "$"}}},
        {"name": "next", "headers": {"X-Token": "{token}"}},
    ]
    async with answering(answer(json.dumps("a\r\nX-Evil: 1").encode())) as server:
        measured = await ask(server, steps=steps)
    assert cause(measured.failure) == ("prepare", "mismatch")
    assert len(server.requests) == 1


async def test_a_cookie_bomb_ends_the_run() -> None:
    count = iter(range(1000))

    def bomb(_request: str) -> bytes:
        cookies = "".join(f"Set-Cookie: c{next(count)}={'x' * 100}; Path=/\r\n" for _ in range(40))
        return answer(headers=cookies)

    async with answering(bomb) as server:
        measured = await ask(server, steps=[{"name": f"s{number}"} for number in range(10)])
        big = answer(headers="".join(f"Set-Cookie: big{n}={'x' * 4_000}\r\n" for n in range(9)))
        async with answering(big) as other:
            large = await ask(other, steps=[{"name": "one"}])
    assert cause(measured.failure) == ("transfer", "too_large")
    assert len(server.requests) == 3
    assert cause(large.failure) == ("transfer", "too_large")


@pytest.mark.parametrize("step", [{"body_contains": ["x"]}, {"capture": {"a": {"field": "a"}}}])
async def test_an_endless_body_ends_at_the_limit(step: dict[str, Any]) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", endless=b"<input " * 9_000) as server:
        measured = await ask(server, steps=[{"name": "page", **step}], max_body_bytes=1 << 20)
    assert cause(measured.failure) == ("transfer", "too_large")


async def test_redirects_in_a_circle_end() -> None:
    async with answering(answer(headers="Location: /\r\n", status="302 Found")) as server:
        measured = await ask(server, steps=[{"name": "page"}])
    assert cause(measured.failure) == ("expect", "too_many_redirects")
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "page",
    ['<input "' * 130_000, "<input a=" * 110_000, "<input '\"" * 110_000, "<input >" * 130_000, "İ<INPUT x" * 90_000],
    ids=["quote", "attribute", "both quotes", "short", "other letters"],
)
def test_a_page_made_to_be_slow_is_not(page: str) -> None:
    began = time.process_time()
    assert form_field(page, "token") is None
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("page", "value"),
    [
        ("<INPUT TYPE=hidden NAME=t VALUE=abc>", "abc"),
        ('<input value="a&amp;b&#39;" type="hidden" name="t"/>', "a&b'"),
        ("<input\n name='t'\n value='x>y'>", "x>y"),
        ("<input name=other value=1><input disabled name=t>", ""),
        ('<input name="t" value="' + "v" * 60_000 + '">', "v" * 60_000),
        ("<inputs name=t value=1>", None),
        ('<input data-name="t" value=1>', None),
        ('<input name="t" value="x', None),
    ],
)
def test_form_fields_are_found_as_browsers_do(page: str, value: str | None) -> None:
    assert form_field(page, "t") == value


# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": [{"name": "a"}], "path": "/x"}, "belong to a step: path"),
        ({"steps": [{"name": "a"}], "status": [200]}, "belong to a step: status"),
        ({"steps": [{"name": "a"}, {"name": "a"}]}, "two steps are called a"),
        ({"steps": [{"name": "a", "path": "/{x}"}]}, "step a has a placeholder {x}"),
        ({"steps": [{"name": "a", "path": "/{x}", "capture": {"x": {"cookie": "c"}}}]}, "placeholder {x}"),
        ({"steps": [{"name": "a", "capture": {"x": {}}}]}, "give one of matches"),
        ({"steps": [{"name": "a", "capture": {"x": {"cookie": "c", "header": "h"}}}]}, "give one of matches"),
        ({"steps": [{"name": "a", "form": {}, "body": "x"}]}, "exclude each other"),
        ({"steps": [{"name": "a", "form": {}, "method": "GET"}]}, "a GET has no body"),
        ({"steps": [{"name": "a", "path": "x"}]}, "pattern"),
        ({"steps": [{"name": "a", "path": "http://other.example/"}]}, "pattern"),
        ({"steps": [{"name": "a", "status": ["299-200"]}]}, "is empty"),
        ({"steps": [{"name": "a", "capture": {"s": {"cookie": "c"}}}], "secrets": {"s": "x"}}, "a secret's name"),
        ({"steps": [{"name": f"s{n}"} for n in range(21)]}, "at most 20"),
    ],
)
def test_scenarios_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        HttpOptions.model_validate(options)


def test_placeholders_are_filled_once_and_braces_stay() -> None:
    values = {"a": "{b}", "b": "x"}
    assert fill('{"k": {"n": {b}}, "{{b}}": "{a}", {}', values) == '{"k": {"n": x}, "{b}": "{b}", {}'
    assert hide("http://h/?p=a%20long%20secret&q=a long sec", ["a long secret"]) == "http://h/?p=***&q=***"
    assert hide("nothing of it", ["a long secret", ""]) == "nothing of it"
