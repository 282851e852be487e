from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Callable

import pytest

from sentinel.protocols.snmp import datagram
from sentinel.protocols.snmp.codec import Codec, GetIter, Tube
from sentinel.protocols.snmp.credentials import Credentials, master_key
from sentinel.protocols.snmp.session import Patience, Session
from tests.unit.protocols.snmp import ber

UPTIME = "1.3.6.1.2.1.1.3.0"
ENGINE = b"engine-of-test"
USM_STATS = "1.3.6.1.6.3.15.1.1"
ONCE = Patience(attempts=1)


async def test_the_answer_to_another_request_does_not_reach_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder goes on reading as long as such answers are there, and the event loop stands still meanwhile."""

    def strange_then_right(data: bytes) -> list[bytes]:
        request = ber.read(data)
        rows = [(UPTIME, ber.ticks(7))]
        return [*(request.answer(rows, number=n) for n in range(1, 50)), request.answer(rows)]

    decoded: list[bytes] = []
    decode = Codec.decode

    def spy(codec: Codec, data: bytes, receive: Callable[[], object]) -> object:
        decoded.append(data)
        return decode(codec, data, receive)

    monkeypatch.setattr(Codec, "decode", spy)
    tube = Tube()
    async with ber.agent(strange_then_right) as agent:
        session = Session("127.0.0.1", agent.port, Credentials("v2c", "public"), tube)
        rows, _ = await session.bulk(GetIter("1.3.6.1.2.1.1", 5), ONCE)
        assert rows == [(UPTIME, 7)]
        session.close()
    tube.close()
    assert len(decoded) == 1


async def test_an_old_refusal_is_not_held_against_an_agent_that_is_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    tube = Tube()
    session = Session("127.0.0.1", port, Credentials("v2c", "public"), tube)
    with pytest.raises(ConnectionRefusedError):
        await session.get([UPTIME], ONCE)
    session._socket.send(b"x")  # its refusal comes while nobody waits
    await asyncio.sleep(0.01)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: ber.Agent(ber.view({UPTIME: ber.ticks(7)})), local_addr=("127.0.0.1", port)
    )
    assert await session.get([UPTIME], ONCE) == {UPTIME: 7}
    transport.close()
    session.close()
    tube.close()


async def test_a_cancelled_request_leaves_the_session_usable() -> None:
    silent = True
    tube = Tube()
    async with ber.agent(lambda data: [] if silent else ber.view({UPTIME: ber.ticks(7)})(data)) as agent:
        session = Session("127.0.0.1", agent.port, Credentials("v2c", "public"), tube)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.get([UPTIME], ONCE)
        silent = False
        assert await session.get([UPTIME], ONCE) == {UPTIME: 7}
        session.close()
    tube.close()


async def test_ipv6() -> None:
    tube = Tube()
    transport, agent = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: ber.Agent(ber.view({UPTIME: ber.ticks(7)})), local_addr=("::1", 0)
    )
    session = Session("::1", agent.port, Credentials("v2c", "public"), tube)
    assert await session.get([UPTIME], ONCE) == {UPTIME: 7}
    session.close()
    transport.close()
    tube.close()


async def test_an_agent_that_restarted_is_asked_for_its_time_again() -> None:
    """RFC 3414 section 3.2 (7): a signed report, notInTimeWindow, bears the new boots; the request is then repeated."""
    who = Credentials("v3", user="u", authentication="sha", auth_master=master_key("sha", "password1"))
    key = who.key(ENGINE)
    assert key is not None
    boots = 3

    def signed(number: int, body: bytes) -> bytes:
        blank = v3(number, boots, body, flags=1, digest=bytes(12))
        digest = hmac.digest(key.secret, blank, "sha1")[:12]
        return v3(number, boots, body, flags=1, digest=digest)

    def answer(data: bytes) -> list[bytes]:
        number = datagram.request_number(data)
        if ENGINE not in data:
            return [v3(number, boots, ber.pdu(ber.REPORT, 0, [(f"{USM_STATS}.4.0", ber.counter32(1))]), user=b"")]
        if ber.octets(ENGINE) + ber.integer(boots) not in data:
            return [signed(number, ber.pdu(ber.REPORT, 0, [(f"{USM_STATS}.2.0", ber.counter32(1))]))]
        context = ber.octets(ENGINE) + ber.octets(b"")
        _, at, end = datagram._header(data, data.rindex(context) + len(context), len(data))
        asked, _ = datagram._integer(data, at, end)
        return [signed(number, ber.pdu(ber.RESPONSE, asked, [(UPTIME, ber.ticks(boots))]))]

    tube = Tube()
    async with ber.agent(answer) as agent:
        session = Session("127.0.0.1", agent.port, who, tube)
        await session.login(ONCE)
        async with asyncio.timeout(5):
            assert await session.get([UPTIME], ONCE) == {UPTIME: 3}
            boots = 4
            assert await session.get([UPTIME], ONCE) == {UPTIME: 4}
        assert session.fit
        session.close()
    tube.close()


def v3(number: int, boots: int, body: bytes, *, flags: int = 0, digest: bytes = b"", user: bytes = b"u") -> bytes:
    header = ber.tlv(0x30, ber.integer(number) + ber.integer(2048) + ber.octets(bytes((flags,))) + ber.integer(3))
    usm = [
        ber.octets(ENGINE),
        ber.integer(boots),
        ber.integer(9),
        ber.octets(user),
        ber.octets(digest),
        ber.octets(b""),
    ]
    scoped = ber.tlv(0x30, ber.octets(ENGINE) + ber.octets(b"") + body)
    return ber.tlv(0x30, ber.integer(3) + header + ber.octets(ber.tlv(0x30, b"".join(usm))) + scoped)
