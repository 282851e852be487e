"""sip against Kamailio, sipp and baresip, and against peers that misbehave."""

import ast
import asyncio
import importlib
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.protocols.sip import PROTOCOL
from sentinel.protocols.sip.options import SipOptions
from sentinel.wire.sip import Request, StreamParser, new_tag, parse_datagram, respond
from sentinel.wire.sip_login import Realm
from tests.support.authority import Authority
from tests.support.fixtures import NewFolder, StartHostile
from tests.support.hostile import Manner
from tests.support.probing import measure, target
from tests.support.sip_peers import HOST, PASSWORD, baresip, kamailio, sipp


@dataclass(frozen=True, slots=True)
class Proxies:
    """Kamailio's ports."""

    port: int
    tls_port: int
    sha_port: int


@pytest.fixture(scope="module")
def proxy(new_folder: NewFolder, authority: Authority) -> Iterator[Proxies]:
    md5 = kamailio(new_folder("kamailio"), tls=authority.valid)
    sha256 = kamailio(new_folder("kamailio"), algorithm="SHA-256")
    with md5 as (port, tls_port), sha256 as (sha_port, _):
        yield Proxies(port, tls_port, sha_port)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


Reply = bytes | None
Peer = Callable[[Request, int], list[Reply]]
"""What a peer of a test says to the request that came as the so-manieth."""


class Datagrams(asyncio.DatagramProtocol):
    """Answers datagrams as a test tells it; keeps what came, and when."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.came: list[Request] = []
        self.at: list[float] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as typeshed has it
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = parse_datagram(data)
        assert isinstance(request, Request)
        self.came.append(request)
        self.at.append(asyncio.get_running_loop().time())
        for reply in self.peer(request, len(self.came)):
            if reply is not None:
                self.transport.sendto(reply, addr)


@asynccontextmanager
async def answering(peer: Peer) -> AsyncIterator[tuple[int, Datagrams]]:
    """A port whose datagrams are answered as told."""
    loop = asyncio.get_running_loop()
    transport, heard = await loop.create_datagram_endpoint(lambda: Datagrams(peer), local_addr=(HOST, 0))
    try:
        yield transport.get_extra_info("sockname")[1], heard
    finally:
        transport.close()


def ok(request: Request, status: int = 200, *more: tuple[str, str]) -> bytes:
    return respond(request, status, tag="t", source=(HOST, 9), headers=more).encode()


# -- real peers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_kamailio_answers(proxy: Proxies, transport: str) -> None:
    measured = await measure(PROTOCOL, target(), {"port": proxy.port, "transport": transport})
    assert measured.failure is None
    assert measured.values["status"] == 200
    assert 0 < measured.values["round_trip_seconds"] < 5
    assert measured.facts["server"].startswith("kamailio")
    assert "OPTIONS" in measured.facts["allow"]
    assert measured.facts["answer"] == "200 OK"
    assert "seen_as" not in measured.facts  # nobody translates addresses on loopback
    assert list(measured.stages) == (["prepare", "options"] if transport == "udp" else ["connect", "options"])


async def test_kamailio_over_tls(proxy: Proxies, authority: Authority) -> None:
    options = {"port": proxy.tls_port, "transport": "tls", "tls_ca_file": str(authority.ca_file)}
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert list(measured.stages) == ["connect", "tls", "options"]
    assert 80 < measured.values["certificate_days_left"] < 100
    untrusted = await measure(PROTOCOL, target(), {"port": proxy.tls_port, "transport": "tls"})
    assert cause(untrusted.failure) == ("tls", "tls_untrusted")
    name = await measure(PROTOCOL, target(), options | {"tls_server_name": "mcu.example.org"})
    assert cause(name.failure) == ("tls", "tls_wrong_name")
    unverified = await measure(PROTOCOL, target(), {"port": proxy.tls_port, "transport": "tls", "tls_verify": False})
    assert unverified.failure is None


@pytest.mark.parametrize("user", ["user", "proxy", "old"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_login_is_made_where_it_is_asked_for(proxy: Proxies, user: str, algorithm: str, transport: str) -> None:
    port = proxy.port if algorithm == "MD5" else proxy.sha_port
    options = {"port": port, "user": user, "transport": transport, "username": "sentinel", "password": PASSWORD}
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert measured.values["status"] == 200
    assert "login" in measured.stages


async def test_a_wrong_password_is_a_failure_and_being_asked_is_none(proxy: Proxies) -> None:
    options = {"port": proxy.port, "user": "user"}
    asked = await measure(PROTOCOL, target(), options)
    assert asked.failure is None
    assert asked.values["status"] == 401
    wrong = await measure(PROTOCOL, target(), options | {"username": "sentinel", "password": "not-that"})
    assert cause(wrong.failure) == ("login", "unauthorized")
    assert "not-that" not in str(wrong)


async def test_an_expected_status(proxy: Proxies) -> None:
    broken: dict[str, Any] = {"port": proxy.port, "user": "broken"}
    assert (await measure(PROTOCOL, target(), broken)).failure is None
    for expect, expected in (["2xx"], ("expect", "bad_status")), ([503], None), (["5xx", 200], None):
        measured = await measure(PROTOCOL, target(), broken | {"expect": expect})
        assert cause(measured.failure) == expected
        assert measured.values["status"] == 503


async def test_baresip_says_404_and_is_alive(new_folder: NewFolder) -> None:
    with baresip(new_folder("baresip")) as port:
        stranger = await measure(PROTOCOL, target(), {"port": port})
        known = await measure(PROTOCOL, target(), {"port": port, "user": "room", "transport": "tcp"})
    assert stranger.failure is None
    assert stranger.values["status"] == 404
    assert stranger.facts["server"].startswith("baresip")
    assert known.failure is None
    assert known.values["status"] == 200


async def test_sipp_is_busy_and_is_alive(new_folder: NewFolder) -> None:
    with sipp(new_folder("sipp")) as port:
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert measured.failure is None
    assert measured.values["status"] == 486
    assert measured.facts["server"] == "sipp endpoint"


async def test_sipp_is_trying_first(new_folder: NewFolder) -> None:
    with sipp(new_folder("sipp"), trying_for=300) as port:
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert measured.failure is None
    assert measured.values["status"] == 486
    assert measured.values["round_trip_seconds"] >= 0.25


# -- what a peer of our own shows ---------------------------------------------------------------------------------


async def test_it_sends_options_and_nothing_else() -> None:
    realm = Realm("conference")

    def peer(request: Request, _number: int) -> list[Reply]:
        judged, _ = realm.judge(request.header("authorization"), request.method, lambda _: PASSWORD, 0.0)
        return [ok(request) if judged == "good" else ok(request, 401, ("www-authenticate", realm.challenge(0.0)))]

    async with answering(peer) as (port, heard):
        options = {"port": port, "user": "8001", "domain": "mcu.example.org", "username": "u", "password": PASSWORD}
        measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert [request.method for request in heard.came] == ["OPTIONS", "OPTIONS"]
    first, second = heard.came
    assert first.uri == second.uri == "sip:8001@mcu.example.org"
    assert first.header("max-forwards") == "70"
    assert first.cseq[0] + 1 == second.cseq[0]
    assert first.call_id == second.call_id
    assert first.vias[0].branch != second.vias[0].branch
    assert "rport" in first.vias[0].parameters
    assert measured.facts["seen_as"] == f"{HOST}:9"  # what the peer wrote into Via


def test_no_other_method_can_leave() -> None:
    """The one place that names a method, and nothing that an option says reaches the start line unchecked."""
    probe = importlib.import_module("sentinel.protocols.sip.probe")
    for module in (probe, importlib.import_module("sentinel.protocols.sip.channel")):
        tree = ast.parse(inspect.getsource(module))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        built = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in {"build", "Request"}]
        assert [ast.unparse(call.args[0]) for call in built] == (["_METHOD"] if module is probe else [])
    assert probe._METHOD == "OPTIONS"
    for option in ("user", "domain", "from_user", "username"):
        for text in ("a\r\nINVITE sip:b SIP/2.0", "a\0", "a\n"):
            with pytest.raises(ValidationError):
                SipOptions.model_validate({option: text, "password": "x"} if option == "username" else {option: text})


async def test_a_request_that_is_lost_is_sent_again() -> None:
    async with answering(lambda request, number: [ok(request) if number == 3 else None]) as (port, heard):
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert measured.failure is None
    assert measured.values["retransmissions"] == 2
    assert measured.values["round_trip_seconds"] >= 1.4
    assert len({request.encode() for request in heard.came}) == 1  # the same bytes
    pauses = [later - earlier for earlier, later in itertools.pairwise(heard.at)]
    assert pauses[0] >= 0.45
    assert pauses[1] >= 0.95


async def test_stray_datagrams_are_passed_over() -> None:
    def peer(request: Request, _number: int) -> list[Reply]:
        good = ok(request)
        return [
            b"garbage",
            b"",
            request.encode(),
            good.replace(b"z9hG4bK", b"z9hG4bKx"),
            good.replace(b"1 OPTIONS", b"2 OPTIONS"),
            ok(request, 100),
            ok(request, 480),
        ]

    async with answering(peer) as (port, _):
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert measured.failure is None
    assert measured.values["status"] == 480


async def test_what_came_in_place_of_an_answer_is_told() -> None:
    async with answering(lambda request, _: [ok(request, 100)]) as (port, _):
        trying = await measure(PROTOCOL, target(), {"port": port}, timeout=0.5)
    assert cause(trying.failure) == ("options", "timed_out")
    assert trying.failure is not None
    assert "100 Trying" in trying.failure.detail
    async with answering(lambda _, __: [b"HTTP/1.1 200 OK\r\n\r\n"]) as (port, _):
        other = await measure(PROTOCOL, target(), {"port": port}, timeout=0.5)
    assert cause(other.failure) == ("options", "protocol_error")


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        ('Basic realm="x"', ("login", "unsupported")),
        ('Digest realm="x", nonce="1", algorithm=AKAv1-MD5', ("login", "unsupported")),
        ('Digest realm="x"', ("login", "protocol_error")),
        ('Digest realm="x", nonce="1", stale=true', ("login", "unauthorized")),
    ],
)
async def test_a_challenge_that_cannot_be_met(challenge: str, expected: tuple[str, str]) -> None:
    async with answering(lambda request, _: [ok(request, 401, ("www-authenticate", challenge))]) as (port, heard):
        measured = await measure(PROTOCOL, target(), {"port": port, "username": "u", "password": PASSWORD})
    assert cause(measured.failure) == expected
    assert len(heard.came) <= 4
    assert not any(b"Basic" in request.encode() for request in heard.came)


async def test_a_stale_nonce_is_asked_for_again_and_a_refusal_is_forbidden() -> None:
    def peer(request: Request, number: int) -> list[Reply]:
        if number < 3:
            stale = ", stale=true" if number == 2 else ""
            return [ok(request, 401, ("www-authenticate", f'Digest realm="x", nonce="{number}"{stale}'))]
        return [ok(request, 403)]

    async with answering(peer) as (port, heard):
        measured = await measure(PROTOCOL, target(), {"port": port, "username": "u", "password": PASSWORD})
    assert cause(measured.failure) == ("login", "forbidden")
    assert len(heard.came) == 3


# -- peers that misbehave -----------------------------------------------------------------------------------------

HUGE = b"SIP/2.0 200 OK\r\nContent-Length: 4294967295\r\n\r\nx"
HEADERS = b"SIP/2.0 200 OK\r\nX: "


@pytest.mark.parametrize(
    ("manner", "text", "expected"),
    [
        ("hang", b"", "timed_out"),
        ("garbage", b"", "protocol_error"),
        ("drip", HEADERS + b"s" * 1000, "timed_out"),
        ("endless", HEADERS, "too_large"),
        ("huge", HUGE, "too_large"),
        ("reset", b"", "reset"),
        ("close", b"", "closed"),
    ],
)
async def test_a_hostile_connection(manner: Manner, text: bytes, expected: str, hostile: StartHostile) -> None:
    server = await hostile(manner, text=text)
    measured = await measure(PROTOCOL, target(), {"port": server.port, "transport": "tcp"}, timeout=0.6)
    assert measured.took < 1.2
    assert measured.failure is not None
    assert measured.failure.code == expected
    assert not measured.failure.local
    async with asyncio.timeout(5):
        await server.all_closed()


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("hang", "timed_out"),
        ("garbage", "protocol_error"),
        ("drip", "protocol_error"),
        ("endless", "protocol_error"),
        ("huge", "protocol_error"),
        ("close", "protocol_error"),
        ("refuse", "refused"),
    ],
)
async def test_hostile_datagrams(manner: Manner, expected: str, hostile: StartHostile) -> None:
    server = await hostile(manner, "udp", text=HUGE if manner in {"endless", "huge"} else b"")
    measured = await measure(PROTOCOL, target(), {"port": server.port}, timeout=0.6)
    assert measured.took < 1.2
    assert cause(measured.failure) == ("options", expected)


async def test_a_flood_of_answers_to_others_ends_at_the_deadline() -> None:
    """On a connection; whoever floods must not hold the loop."""
    flood = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = StreamParser()
        parser.feed(await reader.read(65_536))
        request = parser.next()
        assert isinstance(request, Request)
        other = respond(request, 200, tag=new_tag()).encode().replace(b"z9hG4bK", b"z9hG4bKx")
        try:
            while not flood.is_set():
                writer.write(other * 20)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(talk, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        measured = await measure(PROTOCOL, target(), {"port": port, "transport": "tcp"}, timeout=1.0)
        flood.set()
    assert cause(measured.failure) == ("options", "protocol_error")
    assert measured.took < 1.5


def test_options_that_cannot_work_are_refused() -> None:
    for options in (
        {"username": "u"},
        {"password": "p"},
        {"expect": [100]},
        {"expect": ["1xx"]},
        {"port": 0},
        {"transport": "sctp"},
        {"host": "192.0.2.1"},
    ):
        with pytest.raises(ValidationError):
            SipOptions.model_validate(options)
    with pytest.raises(ValidationError):
        SipOptions(user="a b")
    assert SipOptions().usual_port == 5060
    assert SipOptions(transport="tls").usual_port == 5061
