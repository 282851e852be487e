"""dns against Knot, a zone's own server that signs, and Unbound, which resolves and authenticates, over TLS as well."""

import asyncio
import contextlib
import os
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rrset
import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.dns import PROTOCOL, DnsOptions
from tests.support.authority import Authority
from tests.support.fixtures import NewFolder, StartHostile
from tests.support.hostile import Manner
from tests.support.peers import SEARCH_PATH, require
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.process import accepts, running

HOST = "127.0.0.1"

ZONE = """
$ORIGIN {zone}.
$TTL 300
@    IN SOA ns hostmaster 2026112201 3600 600 86400 60
@    IN NS ns
@    IN MX 10 mail
ns   IN A 192.0.2.53
www  IN A 192.0.2.1
www  IN A 192.0.2.2
www  IN AAAA 2001:db8::1
mail 30 IN A 192.0.2.25
door 60 IN CNAME www
text IN TXT "v=spf1 ip4:192.0.2.0/24 " "-all"
_sip._tcp IN SRV 1 2 5060 www
{large}
"""
LARGE = "\n".join(f"large IN A 192.0.2.{number}" for number in range(1, 150))

KNOT = """
server:
    rundir: "{folder}"
    listen: {host}@{port}
    udp-max-payload: 4096
    {user}
log:
  - target: stderr
    any: info
database:
    storage: "{folder}/db"
policy:
  - id: signing
    algorithm: ecdsap256sha256
template:
  - id: default
    storage: "{folder}"
    file: "%s.zone"
zone:
  - domain: plain.example
  - domain: 2.0.192.in-addr.arpa
  - domain: signed.example
    dnssec-signing: on
    dnssec-policy: signing
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
  - domain: bogus.example
    dnssec-signing: on
    dnssec-policy: signing
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
"""

UNBOUND = """
server:
    interface: {host}@{port}
    interface: {host}@{tls_port}
    tls-port: {tls_port}
    tls-service-key: "{key}"
    tls-service-pem: "{certificate}"
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: "{folder}/unbound.pid"
    use-syslog: no
    do-not-query-localhost: no
    do-ip6: no
    module-config: "validator iterator"
    ede: yes
    target-fetch-policy: "0 0 0 0 0"
    local-zone: "example." nodefault
    local-zone: "2.0.192.in-addr.arpa." nodefault
    access-control: 127.0.0.0/8 allow
    access-control: 127.0.9.0/24 refuse
    trust-anchor: "{anchor}"
    trust-anchor: "{wrong}"
remote-control:
    control-enable: no
{stubs}
"""


@dataclass(frozen=True, slots=True)
class Resolver:
    port: int
    tls_port: int


@pytest.fixture(scope="module")
def knot(new_folder: NewFolder) -> Iterator[tuple[int, Path]]:
    """A zone's own server: its port, and where its configuration lies."""
    folder = new_folder("knot")
    (folder / "db").mkdir()
    port = free_port(HOST)
    for zone in ("plain.example", "signed.example", "bogus.example"):
        (folder / f"{zone}.zone").write_text(ZONE.format(zone=zone, large=LARGE), "utf-8")
    (folder / "2.0.192.in-addr.arpa.zone").write_text(
        "$TTL 60\n@ IN SOA ns.plain.example. a. 1 2 3 4 5\n@ IN NS ns.plain.example.\n1 IN PTR www.plain.example.\n",
        "utf-8",
    )
    user = "user: root" if os.geteuid() == 0 else ""
    (folder / "knot.conf").write_text(KNOT.format(folder=folder, host=HOST, port=port, user=user), "utf-8")
    log = folder / "knot.log"
    with running(
        [require("knotd"), "-c", folder / "knot.conf"],
        ready=lambda: log.read_text("utf-8").count("next signing at") == 2 and accepts(HOST, port),
        log=log,
    ):
        yield port, folder / "knot.conf"


@pytest.fixture(scope="module")
def resolver(knot: tuple[int, Path], new_folder: NewFolder, authority: Authority) -> Iterator[Resolver]:
    """A server that resolves: it knows the key of signed.example, and a wrong one of bogus.example."""
    port, configuration = knot
    folder = new_folder("unbound")
    environment = os.environ | {"PATH": SEARCH_PATH}
    asked = ["keymgr", "-c", os.fspath(configuration), "signed.example", "ds"]
    said = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10, env=environment).stdout
    anchor = next(line for line in said.splitlines() if " 13 2 " in line)
    found = Resolver(free_port(HOST), free_port(HOST))
    zones = ("plain.example", "signed.example", "bogus.example", "2.0.192.in-addr.arpa")
    stubs = "".join(f'stub-zone:\n    name: "{zone}"\n    stub-addr: {HOST}@{port}\n' for zone in zones)
    (folder / "unbound.conf").write_text(
        UNBOUND.format(
            host=HOST,
            port=found.port,
            tls_port=found.tls_port,
            key=authority.valid.key,
            certificate=authority.valid.certificate,
            folder=folder,
            anchor=anchor,
            wrong=anchor.replace("signed.example", "bogus.example"),
            stubs=stubs,
        ),
        "utf-8",
    )
    command: list[str | Path] = [require("unbound"), "-d", "-p", "-c", folder / "unbound.conf"]
    with running(command, ready=lambda: accepts(HOST, found.tls_port), log=folder / "unbound.log"):
        yield found


async def ask(port: int, name: str, kind: str = "A", seconds: float = 5.0, **options: Any) -> Measurement:
    return await measure(PROTOCOL, target(HOST), {"port": port, "name": name, "type": kind, **options}, seconds)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def test_a_zones_own_server_answers(knot: tuple[int, Path]) -> None:
    measured = await ask(knot[0], "WWW.plain.example", recursion=False)
    assert measured.failure is None, measured.failure
    values = dict(measured.values)
    assert 0 < values.pop("round_trip_seconds") < 2
    assert values.pop("response_bytes") > 60
    assert values == {
        "answers": 2,
        "ttl_seconds": 300,
        "rcode": 0,
        "authenticated": 0,
        "authoritative": 1,
        "truncated": 0,
        "retransmissions": 0,
    }
    assert measured.facts == {"rcode": "NOERROR", "flags": "QR AA", "answers": "192.0.2.1, 192.0.2.2"}
    assert set(measured.stages) == {"prepare", "exchange", "expect"}


@pytest.mark.parametrize(
    ("name", "kind", "expect", "ttl"),
    [
        ("www", "A", ["192.0.2.2", "192.0.2.1"], 300),
        ("www", "AAAA", ["2001:0db8::1"], 300),
        ("door", "CNAME", ["WWW.plain.example"], 60),
        ("door", "A", ["192.0.2.1"], 60),
        ("", "MX", ["10 mail.plain.example."], 300),
        ("", "NS", ["ns.plain.example"], 300),
        ("", "SOA", ["ns.plain.example. hostmaster.plain.example. 2026112201 3600 600 86400 60"], 300),
        ("_sip._tcp", "SRV", ["1 2 5060 www.plain.example"], 300),
        ("text", "TXT", ["v=spf1 ip4:192.0.2.0/24 -all"], 300),
    ],
)
async def test_each_type_is_compared_as_what_it_is(
    knot: tuple[int, Path], name: str, kind: str, expect: list[str], ttl: float
) -> None:
    measured = await ask(knot[0], f"{name}.plain.example".lstrip("."), kind, expect=expect)
    assert measured.failure is None, measured.failure
    assert measured.values["ttl_seconds"] == ttl
    assert measured.values.get("serial") == (2026112201 if kind == "SOA" else None)
    assert measured.facts.get("aliases") == ("www.plain.example." if (name, kind) == ("door", "A") else None)


async def test_an_address_has_a_name(knot: tuple[int, Path]) -> None:
    measured = await ask(knot[0], "192.0.2.1", "PTR", expect=["www.plain.example"], expect_mode="exact")
    assert measured.failure is None, measured.failure


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"expect": ["192.0.2.1"]}, None),
        ({"expect": ["192.0.2.1", "192.0.2.9"]}, ("expect", "mismatch")),
        ({"expect": ["192.0.2.1", "192.0.2.9"], "expect_mode": "any"}, None),
        ({"expect": ["192.0.2.8", "192.0.2.9"], "expect_mode": "any"}, ("expect", "mismatch")),
        ({"expect": ["192.0.2.1"], "expect_mode": "exact"}, ("expect", "mismatch")),
        ({"expect": ["192.0.2.1", "192.0.2.2"], "expect_mode": "exact"}, None),
        ({"expect_matches": r"\.2$"}, None),
        ({"expect_matches": r"\.3$"}, ("expect", "mismatch")),
        ({"rcode": ["NXDOMAIN"]}, ("expect", "bad_status")),
    ],
)
async def test_what_is_expected_of_the_records(
    knot: tuple[int, Path], options: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    measured = await ask(knot[0], "www.plain.example", **options)
    assert cause(measured.failure) == expected, measured.failure
    assert measured.values.get("answers") == (None if "rcode" in options else 2)


async def test_names_that_do_not_exist_and_records_that_are_missing(knot: tuple[int, Path]) -> None:
    nowhere = await ask(knot[0], "nowhere.plain.example")
    assert cause(nowhere.failure) == ("expect", "name_not_found")
    assert nowhere.values["rcode"] == 3
    assert (await ask(knot[0], "nowhere.plain.example", rcode=["NXDOMAIN"])).failure is None
    none = await ask(knot[0], "mail.plain.example", "AAAA")
    assert cause(none.failure) == ("expect", "not_found")
    assert none.values["answers"] == 0
    assert (await ask(knot[0], "mail.plain.example", "AAAA", empty=True)).failure is None
    other = await ask(knot[0], "www.elsewhere.test")
    assert cause(other.failure) == ("expect", "bad_status")
    assert "REFUSED" in str(other.failure)


async def test_what_is_cut_off_is_asked_for_over_tcp(knot: tuple[int, Path]) -> None:
    measured = await ask(knot[0], "large.plain.example")
    assert measured.failure is None, measured.failure
    assert (measured.values["truncated"], measured.values["answers"]) == (1, 149)
    assert measured.values["response_bytes"] > 1232
    assert {"exchange", "connect"} <= set(measured.stages)
    short = await ask(knot[0], "large.plain.example", tcp_fallback=False)
    assert short.values["truncated"] == 1
    assert short.values["response_bytes"] <= 1232
    whole = await ask(knot[0], "large.plain.example", edns_bytes=4096)
    assert (whole.values["truncated"], whole.values["answers"]) == (0, 149)
    assert "connect" not in whole.stages
    bare = await ask(knot[0], "large.plain.example", edns_bytes=0, tcp_fallback=False)
    assert bare.values["response_bytes"] <= 512  # RFC 1035, 4.2.1


async def test_over_tcp(knot: tuple[int, Path]) -> None:
    measured = await ask(knot[0], "text.plain.example", "TXT", transport="tcp", expect_matches="^v=spf1 .* -all$")
    assert measured.failure is None, measured.failure
    assert set(measured.stages) == {"connect", "exchange", "expect"}
    assert "truncated" not in measured.values


async def test_a_resolver_says_what_it_has_authenticated(resolver: Resolver) -> None:
    signed = await ask(resolver.port, "www.signed.example", dnssec=True)
    assert signed.failure is None, signed.failure
    assert (signed.values["authenticated"], signed.values["authoritative"]) == (1, 0)
    assert signed.values["answers"] == 2  # the signature beside them is none
    plain = await ask(resolver.port, "www.plain.example", dnssec=True)
    assert cause(plain.failure) == ("expect", "mismatch")
    assert plain.values["authenticated"] == 0
    bogus = await ask(resolver.port, "www.bogus.example")
    assert cause(bogus.failure) == ("expect", "bad_status")
    assert "SERVFAIL" in str(bogus.failure)
    assert bogus.facts["explanation"]  # RFC 8914
    nowhere = await ask(resolver.port, "nowhere.signed.example", dnssec=True, rcode=["NXDOMAIN"])
    assert nowhere.failure is None


async def test_over_tls(resolver: Resolver, authority: Authority) -> None:
    trusted: dict[str, Any] = {"transport": "tls", "tls_ca_file": str(authority.ca_file)}
    measured = await ask(resolver.tls_port, "www.signed.example", dnssec=True, **trusted)
    assert measured.failure is None, measured.failure
    assert measured.values["certificate_days_left"] == pytest.approx(90, abs=1)
    assert set(measured.stages) == {"connect", "tls", "exchange", "expect"}
    stranger = await ask(resolver.tls_port, "www.signed.example", transport="tls")
    assert cause(stranger.failure) == ("tls", "tls_untrusted")
    name = await ask(resolver.tls_port, "www.signed.example", **trusted, tls_server_name="elsewhere.example")
    assert cause(name.failure) == ("tls", "tls_wrong_name")
    plain = await ask(resolver.port, "www.signed.example", seconds=0.5, **trusted)
    assert plain.failure is not None
    assert plain.failure.stage == "tls"


# -- servers that are none ------------------------------------------------------------------------------------------

Reply = Callable[[bytes], list[bytes]]


@asynccontextmanager
async def answering(answers: Reply) -> AsyncIterator[int]:
    """A server that answers each datagram with these; its port."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for answer in answers(data):
                self.transport.sendto(answer, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=(HOST, 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@asynccontextmanager
async def connected(answers: Reply) -> AsyncIterator[int]:
    """The same over TCP, without the lengths: they are the answers' affair."""

    gone: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone.append(asyncio.Event())
        with contextlib.suppress(OSError):
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            for answer in answers(await reader.readexactly(size)):
                writer.write(answer)
            await writer.drain()
            await reader.read()
        writer.transport.abort()
        gone[-1].set()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
        for each in gone:
            await each.wait()
        await asyncio.sleep(0)  # the transports are closed in the loop's next turn
    finally:
        server.close()


def reply(question: bytes, *records: str, name: str | None = None, number: int = 0, flags: int = 0x8180) -> bytes:
    """An answer to a question; ``number`` is added to its own."""
    asked = dns.message.from_wire(question)
    message = dns.message.make_response(asked)
    if name is not None:
        message.question[0].name = dns.name.from_text(name)
    message.answer = [dns.rrset.from_text("www.example.", 60, "IN", "A", each) for each in records]
    wire = bytearray(message.to_wire())
    wire[0:4] = struct.pack("!HH", (asked.id + number) % 65536, flags)
    return bytes(wire)


def bomb(question: bytes, size: int) -> bytes:
    """An answer of that many bytes, made to take long: each record has a name of 120 labels."""
    labels = b"".join(bytes([1, 97 + number % 26]) for number in range(120)) + b"\0"
    data = bytearray(question[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 0, 0, 0) + labels + b"\0\1\0\1")
    count = 0
    while len(data) + 14 <= size:
        data += bytes([1, count % 250, 0xC0, 14]) + struct.pack("!HHIH", 60_000 + count % 5_000, 1, 60, 0)
        count += 1
    data[6:8] = struct.pack("!H", count)
    return bytes(data)


def loop_of_names(question: bytes) -> bytes:
    """An answer whose name points at itself (RFC 1035, 4.1.4)."""
    return question[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1, 0, 0) + b"\xc0\x0c\0\1\0\1"


async def test_a_question_is_sent_again_until_it_is_answered() -> None:
    questions: list[bytes] = []

    def third(question: bytes) -> list[bytes]:
        questions.append(question)
        return [reply(question, "192.0.2.1")] if len(questions) == 3 else []

    async with answering(third) as port:
        measured = await ask(port, "www.example", resend_after=0.05)
    assert measured.failure is None, measured.failure
    assert measured.values["retransmissions"] == 2
    assert measured.values["round_trip_seconds"] < measured.stages["exchange"] - 0.1  # of the sending that it answers
    assert len({question[:2] for question in questions}) == 3


async def test_a_late_answer_to_the_first_sending_is_one() -> None:
    questions: list[bytes] = []

    def late(question: bytes) -> list[bytes]:
        questions.append(question)
        return [reply(questions[0], "192.0.2.1")] if len(questions) == 2 else []

    async with answering(late) as port:
        measured = await ask(port, "www.example", resend_after=0.05)
    assert measured.failure is None, measured.failure
    assert measured.values["round_trip_seconds"] >= 0.05


@pytest.mark.parametrize(
    "forge",
    [
        lambda question: reply(question, "192.0.2.66", number=1),
        lambda question: reply(question, "192.0.2.66", name="www.elsewhere."),
        lambda question: reply(question, "192.0.2.66", flags=0x0100),
        lambda question: reply(question, "192.0.2.66")[:-3],
        lambda question: question[:2] + b"\x81\x80" + os.urandom(3),
        loop_of_names,
    ],
    ids=["another number", "another question", "a question", "cut", "short", "a loop of names"],
)
async def test_a_forgery_is_passed_over(forge: Callable[[bytes], bytes]) -> None:
    async with answering(lambda question: [forge(question), reply(question, "192.0.2.1")]) as port:
        measured = await ask(port, "www.example", expect=["192.0.2.1"], expect_mode="exact")
    assert measured.failure is None, measured.failure
    async with answering(lambda question: [forge(question)]) as port:
        alone = await ask(port, "www.example", seconds=0.4)
    assert cause(alone.failure) == ("exchange", "protocol_error")
    async with connected(lambda question: [struct.pack("!H", len(forge(question))) + forge(question)]) as port:
        over_tcp = await ask(port, "www.example", transport="tcp")
    assert cause(over_tcp.failure) == ("exchange", "protocol_error")


async def test_a_flood_of_wrong_numbers_ends_before_the_deadline() -> None:
    async with answering(lambda question: [reply(question, "192.0.2.66", number=n) for n in range(1, 60)]) as port:
        measured = await ask(port, "www.example", seconds=1.0, resend_after=0.05)
    assert cause(measured.failure) == ("exchange", "protocol_error")
    assert measured.took < 1.3


@pytest.mark.parametrize("size", [8_000, 65_000])
async def test_an_answer_that_would_hold_the_loop_is_not_taken_apart(size: int) -> None:
    async with answering(lambda question: [bomb(question, size)]) as port:
        measured = await ask(port, "www.example")
    assert cause(measured.failure) == ("exchange", "too_large")
    assert measured.values["response_bytes"] > size - 20
    assert measured.took < 0.5
    async with connected(lambda _: [struct.pack("!H", 65_535)]) as port:
        announced = await ask(port, "www.example", transport="tcp")
    assert cause(announced.failure) == ("exchange", "too_large")


@pytest.mark.parametrize("name", ["www.example.", "a.example."])
async def test_aliases_in_a_circle_are_no_answer(name: str) -> None:
    def circle(question: bytes) -> list[bytes]:
        message = dns.message.make_response(dns.message.from_wire(question))
        for one, other in (("www", "a"), ("a", "www")):
            message.answer.append(dns.rrset.from_text(f"{one}.example.", 60, "IN", "CNAME", f"{other}.example."))
        return [message.to_wire()]

    async with answering(circle) as port:
        measured = await ask(port, name)
    assert cause(measured.failure) == ("expect", "protocol_error")


@pytest.mark.parametrize(
    ("manner", "over_udp", "over_tcp"),
    [
        ("hang", "timed_out", "timed_out"),
        ("garbage", "protocol_error", None),
        ("drip", "protocol_error", "protocol_error"),
        ("endless", "protocol_error", "too_large"),
        ("huge", "protocol_error", "too_large"),
        ("close", "protocol_error", "closed"),
        ("refuse", "refused", "refused"),
    ],
)
async def test_a_hostile_peer_has_its_code(
    hostile: StartHostile, manner: Manner, over_udp: str, over_tcp: str | None
) -> None:
    peer = await hostile(manner, "udp")
    measured = await ask(peer.port, "www.example", seconds=0.5)
    assert cause(measured.failure) == ("exchange", over_udp)
    assert measured.took < 1.5
    peer = await hostile(manner, text=b"\0\x0c" + b"x" * 12 if manner == "drip" else b"\xff\xff" * 9)
    measured = await ask(peer.port, "www.example", seconds=1.8 if manner == "drip" else 0.5, transport="tcp")
    assert measured.failure is not None
    assert not measured.failure.local
    assert over_tcp in {None, measured.failure.code}
    assert measured.took < 2.5


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "a..b"},
        {"type": "AXFR"},
        {"type": "MX", "expect": ["mail.example"]},
        {"edns_bytes": 100},
        {"edns_bytes": 0, "dnssec": True},
        {"rcode": ["NXDOMAIN"], "expect": ["192.0.2.1"]},
        {"rcode": []},
        {"expect": ["192.0.2.1"], "empty": True},
        {"expect_mode": "exact"},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DnsOptions.model_validate({"name": "www.example", **options})


def test_over_tls_the_port_is_another() -> None:
    assert DnsOptions.model_validate({"name": "a", "transport": "tls"}).port == 853
    assert DnsOptions.model_validate({"name": "a", "transport": "tls", "port": 53}).port == 53
    assert DnsOptions.model_validate({"name": "a"}).port == 53
