"""Who may read, and where the daemon listens at all."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from sentinel.web import auth
from sentinel.web.server import Listener, ListenRefused, listening
from tests.support import fleet
from tests.support.authority import Authority
from tests.support.served import Centre, centre, served

TOKEN = "a-token-of-the-test-令牌"
PATHS = ["/metrics", "/api/v1/checks", "/api/v1/openapi.json", "/events", "/static/wall.js"]


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Centre:
    monkeypatch.setattr(auth, "WRONG_TOKEN_PAUSE", 0.0)
    return centre(token=TOKEN)


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_token_nothing_is_read(one: Centre, path: str) -> None:
    async with served(one) as url, aiohttp.ClientSession(url) as client:
        wrong = {"Authorization": "Bearer wrong-令牌"}
        async with client.get(path) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="sentinel"')
        async with client.get(path, headers=wrong) as answer:
            assert answer.status == 401
        async with client.get(path, params={"token": TOKEN}) as answer:
            assert answer.status == 401, "a token in an address is logged and remembered"
        async with client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200


async def test_probes_of_life_need_no_token_and_tell_nothing(one: Centre) -> None:
    one.reasons.append("the store is broken")
    async with served(one) as url, aiohttp.ClientSession(url) as client:
        async with client.get("/livez") as answer:
            assert answer.status == 200
        async with client.get("/readyz") as answer:
            assert await answer.json() == {"status": "not_ready", "reasons": []}


async def test_a_browser_exchanges_the_token_for_a_cookie(one: Centre) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address
    async with served(one) as url, aiohttp.ClientSession(url, cookie_jar=jar) as client:
        async with client.get("/") as answer:
            assert answer.url.path == "/login"
        async with client.post("/login", data={"token": "wrong"}) as answer:
            assert answer.status == 401
            assert "Set-Cookie" not in answer.headers
        async with client.post("/login", data={"token": TOKEN}, allow_redirects=False) as answer:
            assert answer.status == 303
            cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        async with client.get("/") as answer:
            assert answer.url.path == "/"
            assert answer.status == 200
        one.clock.time += auth.SESSION
        async with client.get("/api/v1/sla") as answer:
            assert answer.status == 401, "the session is over"


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "9" * 400, f"{int(fleet.NOW) + 100}.", f"{int(fleet.NOW) + 100}.00ff", "١٢٣.x"],
)
async def test_a_made_up_cookie_is_refused(one: Centre, cookie: str) -> None:
    headers = {"Cookie": f"{auth.COOKIE}={cookie}"}
    async with (
        served(one) as url,
        aiohttp.ClientSession(url) as client,
        client.get("/api/v1/sla", headers=headers) as answer,
    ):
        assert answer.status == 401


async def test_a_cookie_of_another_token_or_of_too_late_an_end_is_refused(one: Centre) -> None:
    now = int(fleet.NOW)
    async with served(one) as url, aiohttp.ClientSession(url) as client:
        for value, status in (
            (auth.session(SecretStr("another token here"), now + 100), 401),
            (auth.session(SecretStr(TOKEN), now + auth.SESSION + 100), 401),
            (auth.session(SecretStr(TOKEN), now + 100), 200),
        ):
            async with client.get("/api/v1/sla", headers={"Cookie": f"{auth.COOKIE}={value}"}) as answer:
                assert answer.status == status


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
async def test_the_form_of_another_site_is_refused(one: Centre, headers: dict[str, str]) -> None:
    async with (
        served(one) as url,
        aiohttp.ClientSession(url) as client,
        client.post("/login", data={"token": TOKEN}, headers=headers, allow_redirects=False) as answer,
    ):
        assert answer.status == 403


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8640", True),
        ("localhost:8640", True),
        ("[::1]:8640", True),
        ("198.18.0.5", True),
        ("wall.example:443", True),
        ("wall.example.evil.example", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("a\x00b", False),
    ],
)
def test_which_hosts_are_answered(host: str, *, allowed: bool) -> None:
    assert auth.host_allowed(host, "https://wall.example/") is allowed


async def test_a_rebound_name_reads_nothing(one: Centre) -> None:
    open_ = centre()
    async with (
        served(open_) as url,
        aiohttp.ClientSession(url) as client,
        client.get("/api/v1/checks", headers={"Host": "evil.example"}) as answer,
    ):
        assert answer.status == 421


@pytest.mark.parametrize("path", ["/", "/api/v1/sla", "/nowhere", "/metrics", "/static/wall.css", "/events"])
async def test_every_answer_is_hardened(path: str) -> None:
    async with served(centre()) as url, aiohttp.ClientSession(url) as client, client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "sentinel"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "198.18.0.5", "wall.example"])
def test_other_addresses_are_refused_without_tls_and_a_token(host: str, tmp_path: Path) -> None:
    secure = Listener(host, tls_cert=tmp_path / "c", tls_key=tmp_path / "k")
    for listener, said in (
        (Listener(host), "TLS (tls_cert and tls_key) and a token"),
        (Listener(host, token=SecretStr(TOKEN)), "TLS"),
        (secure, "a token of at least 16"),
        (replace(secure, token=SecretStr("short")), "a token of at least 16"),
        (Listener(host, tls_cert=tmp_path / "c", token=SecretStr(TOKEN)), "both a certificate and a key"),
    ):
        with pytest.raises(ListenRefused) as refused:
            listener.refuse()
        assert said in str(refused.value)
        assert TOKEN not in str(refused.value)
    replace(secure, token=SecretStr(TOKEN)).refuse()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    Listener(host).refuse()


async def test_tls_is_spoken_and_the_cookie_is_secure(one: Centre, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    listener = Listener("0.0.0.0", 0, authority.valid.certificate, authority.valid.key, SecretStr(TOKEN))
    async with listening(one.view, listener, None) as url:
        assert url.startswith("https://")
        here = url.replace("0.0.0.0", "127.0.0.1")
        connector = aiohttp.TCPConnector(ssl=authority.client_context())
        form = {"token": TOKEN}
        async with (
            aiohttp.ClientSession(here, connector=connector) as client,
            client.post("/login", data=form, allow_redirects=False) as answer,
        ):
            assert "Secure" in answer.headers["Set-Cookie"]


async def test_a_bad_certificate_is_said(one: Centre, tmp_path: Path) -> None:
    listener = Listener("127.0.0.1", 0, tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(ListenRefused, match=r"none\.pem"):
        async with listening(one.view, listener, None):
            pytest.fail("it listens")


async def test_a_port_that_is_taken_is_said(one: Centre) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenRefused, match=f"port {port}"):
            async with listening(one.view, Listener(port=port), None):
                pytest.fail("it listens")


async def test_the_control_socket_of_a_killed_daemon_is_taken_over_and_that_of_a_living_one_is_not(
    one: Centre, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with served(one, control=path):
        with pytest.raises(ListenRefused, match="another daemon"):
            async with served(one, control=path):
                pytest.fail("it listens")
        assert path.exists()
    path.write_text("precious")
    with pytest.raises(ListenRefused, match="something else"):
        async with served(one, control=path):
            pytest.fail("it listens")
    assert path.read_text() == "precious"


async def test_wrong_guesses_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "WRONG_TOKEN_PAUSE", 0.1)
    async with served(centre(token=TOKEN)) as url, aiohttp.ClientSession(url) as client:
        started = asyncio.get_running_loop().time()

        async def guess() -> None:
            async with client.post("/login", data={"token": "wrong"}) as answer:
                assert answer.status == 401

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(guess())
        assert asyncio.get_running_loop().time() - started >= 0.4
