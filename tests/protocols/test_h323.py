"""h323 against answers that an independent codec has written, and against peers that misbehave."""

import ast
import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pycrate_asn1dir import H225  # type: ignore[import-untyped]  # it ships without types
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.protocols.h323 import PROTOCOL, H323Options
from tests.support.fixtures import StartHostile
from tests.support.hostile import HOST, Manner
from tests.support.probing import measure, target

VERSION = (0, 0, 8, 2250, 0, 4)

Fields = dict[str, Any]
Peer = Callable[[Fields, int], list[bytes]]
"""What a gatekeeper of a test says to the request that came as the so-manieth."""


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


def written(kind: str, fields: Fields) -> bytes:
    message = H225.H323_MESSAGES.RasMessage
    message.set_val((kind, fields))
    encoded: bytes = message.to_aper()
    return encoded


def confirm(request: Fields, **more: Any) -> bytes:
    where = ("ipAddress", {"ip": bytes((127, 0, 0, 1)), "port": 1719})
    fields = {"requestSeqNum": request["requestSeqNum"], "protocolIdentifier": VERSION, "rasAddress": where}
    return written("gatekeeperConfirm", fields | {"gatekeeperIdentifier": "测试网守"} | more)


def reject(request: Fields, reason: str) -> bytes:
    fields = {"requestSeqNum": request["requestSeqNum"], "protocolIdentifier": VERSION, "rejectReason": (reason, 0)}
    return written("gatekeeperReject", fields)


class Gatekeeper(asyncio.DatagramProtocol):
    """Reads requests with pycrate, answers as a test tells it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.came: list[Fields] = []
        self.sources: list[int] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as typeshed has it
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = H225.H323_MESSAGES.RasMessage
        message.from_aper(data)
        kind, fields = message.get_val()
        assert kind == "gatekeeperRequest"
        self.came.append(fields)
        self.sources.append(addr[1])
        for reply in self.peer(fields, len(self.came)):
            self.transport.sendto(reply, addr)


@asynccontextmanager
async def gatekeeper(peer: Peer) -> AsyncIterator[tuple[int, Gatekeeper]]:
    loop = asyncio.get_running_loop()
    transport, heard = await loop.create_datagram_endpoint(lambda: Gatekeeper(peer), local_addr=(HOST, 0))
    try:
        yield transport.get_extra_info("sockname")[1], heard
    finally:
        transport.close()


async def test_a_gatekeeper_that_confirms_is_alive() -> None:
    async with gatekeeper(lambda request, _: [confirm(request)]) as (port, heard):
        measured = await measure(PROTOCOL, target(), {"port": port, "gatekeeper": "测试网守"})
    assert measured.failure is None
    assert measured.values["confirmed"] == 1
    assert measured.values["retransmissions"] == 0
    assert measured.facts == {"answer": "confirmed", "gatekeeper": "测试网守"}
    [request] = heard.came
    assert request["gatekeeperIdentifier"] == "测试网守"
    # The answer is asked for where it is awaited.
    assert request["rasAddress"] == ("ipAddress", {"ip": bytes((127, 0, 0, 1)), "port": heard.sources[0]})


@pytest.mark.parametrize("reason", ["terminalExcluded", "invalidRevision", "securityDenial"])
async def test_a_gatekeeper_that_rejects_is_alive_and_says_why(reason: str) -> None:
    async with gatekeeper(lambda request, _: [reject(request, reason)]) as (port, _):
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert measured.failure is None
    assert measured.values["confirmed"] == 0
    assert measured.facts == {"answer": "rejected", "reason": reason}


async def test_a_question_that_is_lost_is_asked_again_under_its_number() -> None:
    async with gatekeeper(lambda request, number: [confirm(request)] if number == 3 else []) as (port, heard):
        measured = await measure(PROTOCOL, target(), {"port": port, "resend_after": 0.2})
    assert measured.failure is None
    assert measured.values["retransmissions"] == 2
    assert measured.values["round_trip_seconds"] >= 0.38
    assert len({request["requestSeqNum"] for request in heard.came}) == 1


async def test_two_runs_have_two_numbers() -> None:
    async with gatekeeper(lambda request, _: [confirm(request)]) as (port, heard):
        for _ in range(4):
            await measure(PROTOCOL, target(), {"port": port})
    assert len({request["requestSeqNum"] for request in heard.came}) > 1


async def test_strays_are_passed_over_and_who_asks_to_wait_is_waited_for() -> None:
    def peer(request: Fields, number: int) -> list[bytes]:
        other = {"requestSeqNum": request["requestSeqNum"] % 65_535 + 1}
        if number > 1:
            return []
        progress = written("requestInProgress", {"requestSeqNum": request["requestSeqNum"], "delay": 100})
        return [b"", b"garbage", reject(other, "terminalExcluded"), progress, confirm(request)]

    async with gatekeeper(peer) as (port, _):
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert measured.failure is None
    assert measured.values["confirmed"] == 1  # not what was said to another


async def test_what_came_in_place_of_an_answer_is_told() -> None:
    def waits(request: Fields, _number: int) -> list[bytes]:
        return [written("requestInProgress", {"requestSeqNum": request["requestSeqNum"], "delay": 60_000})]

    async with gatekeeper(waits) as (port, heard):
        measured = await measure(PROTOCOL, target(), {"port": port, "resend_after": 0.2}, timeout=0.8)
    assert cause(measured.failure) == ("exchange", "timed_out")
    assert measured.failure is not None
    assert "60 s" in measured.failure.detail
    assert len(heard.came) == 1  # it was told to wait

    def another(request: Fields, _number: int) -> list[bytes]:
        return [written("unknownMessageResponse", {"requestSeqNum": request["requestSeqNum"]})]

    async with gatekeeper(another) as (port, _):
        measured = await measure(PROTOCOL, target(), {"port": port})
    assert cause(measured.failure) == ("exchange", "unsupported")


async def test_the_call_port_is_connected_to_and_nothing_is_said(hostile: StartHostile) -> None:
    server = await hostile("hang")
    options = {"port": server.port, "mode": "call_signalling"}
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert list(measured.stages) == ["connect"]
    async with asyncio.timeout(5):
        while not server.connections:
            await asyncio.sleep(0.005)
        await server.all_closed()
    assert not server.received


async def test_a_call_port_where_nobody_listens(hostile: StartHostile) -> None:
    server = await hostile("refuse")
    measured = await measure(PROTOCOL, target(), {"port": server.port, "mode": "call_signalling"})
    assert cause(measured.failure) == ("connect", "refused")


def test_no_call_can_be_made() -> None:
    """What leaves over UDP is a GatekeeperRequest; over TCP nothing is written at all."""
    tree = ast.parse(inspect.getsource(importlib.import_module("sentinel.protocols.h323")))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    sent = [ast.unparse(call) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "send"]
    assert sent == ["peer.send(data)", "peer.send(data)"]
    encoded = [
        ast.unparse(call) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "encode"
    ]
    assert encoded == ["request.encode()"]
    writes = {"write", "sendall", "sock_sendall", "writelines", "sendto"}
    assert not [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in writes]


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
    # GCF with an object identifier of 16 KiB and more, as PER writes a length that is a fragment's.
    server = await hostile(manner, "udp", text=b"\x04\x80\x00\x06\xc4" + b"a" * 1000 if manner == "huge" else b"")
    measured = await measure(PROTOCOL, target(), {"port": server.port, "resend_after": 0.2}, timeout=0.6)
    assert measured.took < 1.2
    assert cause(measured.failure) == ("exchange", expected)


def test_options() -> None:
    assert H323Options().usual_port == 1719
    assert H323Options().transport == "udp"
    assert H323Options(mode="call_signalling").usual_port == 1720
    assert PROTOCOL.carrier(H323Options(mode="call_signalling")) == "tcp"
    assert PROTOCOL.carrier(H323Options()) == "udp"
    for options in (
        {"mode": "setup"},
        {"mode": "call_signalling", "gatekeeper": "GK"},
        {"gatekeeper": ""},
        {"gatekeeper": "G" * 129},
        {"gatekeeper": "a\nb"},
        {"gatekeeper": "\U0001f600"},
        {"resend_after": 0},
    ):
        with pytest.raises(ValidationError):
            H323Options.model_validate(options)
