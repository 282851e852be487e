"""The lab's SIP endpoints and gatekeeper, asked by sipsak, by the probes, and by what is no client at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from sentinel.domain.target import Check
from sentinel.lab.authority import Authority
from sentinel.lab.servers import SIMULATIONS
from sentinel.lab.simulation import Ground, Server, Service
from sentinel.protocols import h323, sip
from sentinel.sdk.protocol import Protocol
from sentinel.wire.sip import Dialog, Response, build, parse_datagram
from sentinel.wire.sip_headers import Via
from tests.support.hostile import HOST
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.sip_peers import sipsak


@asynccontextmanager
async def played(folder: Path, protocol: Protocol, *options: dict[str, Any]) -> AsyncIterator[tuple[Server, int, Path]]:
    """The lab's server for checks with these options, its port, and the file of who signed its certificate."""
    port = free_port(HOST)
    simulation = SIMULATIONS[protocol.name]
    checks = tuple(
        Check(
            f"peer.{number}", str(number), target(HOST), "probe", protocol.name,
            protocol.options.model_validate(each | {"port": port}), 10.0, 0.5, "centre",
        )
        for number, each in enumerate(options)
    )  # fmt: skip
    place = simulation.place(checks[0])
    assert place is not None
    ground = Ground(Authority(folder), folder, monotonic)
    server: Server = await simulation.server(Service(simulation, place[0], HOST, port, checks), ground)
    await server.open()
    try:
        yield server, port, ground.authority.file
    finally:
        await server.close()


async def test_sipsak_is_content_with_the_endpoint(tmp_path: Path) -> None:
    async with played(tmp_path, sip.PROTOCOL, {}) as (_, port, _):
        ended, said = await asyncio.to_thread(sipsak, port)
    assert ended == 0, said
    assert "200 OK" in said
    assert "sentinel-lab" in said


async def test_sipsak_logs_in(tmp_path: Path) -> None:
    async with played(tmp_path, sip.PROTOCOL, {"username": "room", "password": "secret-1"}) as (_, port, _):
        good, said = await asyncio.to_thread(sipsak, port, "-a", "secret-1", "-u", "room")
        bad, _ = await asyncio.to_thread(sipsak, port, "-a", "wrong", "-u", "room")
    assert good == 0, said
    assert bad != 0


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_the_probe_logs_in_over_every_transport(tmp_path: Path, transport: str) -> None:
    options = {"transport": transport, "username": "room", "password": "secret-1", "expect": ["2xx"]}
    async with played(tmp_path, sip.PROTOCOL, options) as (server, port, signed):
        asked = options | {"port": port, "tls_ca_file": str(signed)}
        good = await measure(sip.PROTOCOL, target(), asked)
        wrong = await measure(sip.PROTOCOL, target(), asked | {"password": "wrong"})
        await server.show(frozenset({"sip-silent"}))
        silent = await measure(sip.PROTOCOL, target(), asked, 0.3)
        await server.show(frozenset({"slow"}))
        slow = await measure(sip.PROTOCOL, target(), asked)
    assert good.failure is None
    assert wrong.failure is not None
    assert wrong.failure.code == "unauthorized"
    assert silent.failure is not None
    assert silent.failure.code == "timed_out"
    assert slow.failure is None
    assert slow.took >= 0.6  # a challenge and an answer, each 0.35 s late


async def test_an_expected_status_is_played(tmp_path: Path) -> None:
    async with played(tmp_path, sip.PROTOCOL, {"expect": [404]}, {"expect": ["4xx"]}) as (_, port, _):
        measured = await measure(sip.PROTOCOL, target(), {"port": port, "expect": [404]})
    assert measured.failure is None


async def test_no_call_is_taken_and_an_answer_is_given_twice(tmp_path: Path) -> None:
    heard: list[bytes] = []

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _addr: object) -> None:
            heard.append(data)

    async with played(tmp_path, sip.PROTOCOL, {}) as (_, port, _):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=(HOST, port))
        try:
            dialog = Dialog("<sip:a@127.0.0.1>;tag=1", "<sip:b@127.0.0.1>", "call")
            via = Via("UDP", HOST, 5060, {"rport": None, "branch": "z9hG4bKx"})
            invite = build("INVITE", "sip:b@127.0.0.1", dialog, via=via, number=1)
            ack = build("ACK", "sip:b@127.0.0.1", dialog, via=via, number=1)
            for data in (
                b"",
                b"garbage",
                b"OPTIONS sip:b SIP/2.0\r\n\r\n",
                ack.encode(),
                invite.encode(),
                invite.encode(),
            ):
                transport.sendto(data)
            async with asyncio.timeout(5):
                while len(heard) < 2:
                    await asyncio.sleep(0.01)
        finally:
            transport.close()
    answer = parse_datagram(heard[0])
    assert isinstance(answer, Response)
    assert answer.status == 405
    assert heard[0] == heard[1]  # the tag as well: it is the same answer
    assert answer.recipient.tag


async def test_a_connection_that_speaks_no_sip_is_ended(tmp_path: Path) -> None:
    async with played(tmp_path, sip.PROTOCOL, {"transport": "tcp"}) as (_, port, _):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_the_gatekeeper_knows_its_name(tmp_path: Path) -> None:
    async with played(tmp_path, h323.PROTOCOL, {"gatekeeper": "市局网守"}) as (server, port, _):
        anyone = await measure(h323.PROTOCOL, target(), {"port": port})
        own = await measure(h323.PROTOCOL, target(), {"port": port, "gatekeeper": "市局网守"})
        other = await measure(h323.PROTOCOL, target(), {"port": port, "gatekeeper": "another"})
        await server.show(frozenset({"h323-reject"}))
        rejected = await measure(h323.PROTOCOL, target(), {"port": port})
        await server.show(frozenset({"down"}))
        down = await measure(h323.PROTOCOL, target(), {"port": port}, 0.3)
    assert [each.values["confirmed"] for each in (anyone, own, other, rejected)] == [1, 1, 0, 0]
    assert anyone.facts["gatekeeper"] == "市局网守"
    assert other.facts["reason"] == "terminalExcluded"
    assert down.failure is not None
    assert down.failure.code == "timed_out"


async def test_the_call_port_takes_connections(tmp_path: Path) -> None:
    async with played(tmp_path, h323.PROTOCOL, {"mode": "call_signalling"}) as (server, port, _):
        options = {"port": port, "mode": "call_signalling"}
        assert (await measure(h323.PROTOCOL, target(), options)).failure is None
        await server.show(frozenset({"down"}))
        refused = await measure(h323.PROTOCOL, target(), options)
    assert refused.failure is not None
    assert refused.failure.code == "refused"
