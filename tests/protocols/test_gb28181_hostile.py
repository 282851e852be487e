"""gb28181 and its registrar against floods, bombs, lies and silence: bounded, in time, with the right code."""

import asyncio
import contextlib
import random
import resource
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.gb28181 import PROTOCOL
from sentinel.protocols.gb28181.listening import MAX_OF_A_HOST, Way
from sentinel.protocols.gb28181.registrar import Identity, Known, Registrar
from sentinel.protocols.gb28181.service import Service
from sentinel.wire import sdp
from sentinel.wire.digest import Login
from sentinel.wire.manscdp import compose, peek
from sentinel.wire.sip import (
    Dialog,
    Message,
    Request,
    Response,
    build,
    new_branch,
    new_call_id,
    parse_datagram,
    respond,
)
from sentinel.wire.sip_headers import MalformedMessage, Via
from sentinel.wire.sip_login import challenge_of
from tests.support.gb28181_peers import DEVICE, DOMAIN, PASSWORD, PLATFORM
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.sip_peers import HOST

Act = Callable[["Device", Request], None]


class Device(asyncio.DatagramProtocol):
    """A device that registers properly, and then does as ``act`` tells to each request."""

    def __init__(self, registrar: int, act: Act) -> None:
        self.registrar, self.act = (HOST, registrar), act
        self.heard: asyncio.Queue[Response] = asyncio.Queue()
        self.methods: list[str] = []
        self.proof = ""
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as typeshed has it
        self.transport = transport
        self.place: tuple[str, int] = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        message: Message = parse_datagram(data)
        if isinstance(message, Response):
            self.heard.put_nowait(message)
        elif isinstance(message, Request):
            self.methods.append(message.method)
            if message.method == "BYE":
                self.say(message, 200)
            self.act(self, message)

    def request(self, method: str, *headers: tuple[str, str], body: bytes = b"", device: str = DEVICE) -> bytes:
        to = device if method == "REGISTER" else PLATFORM
        dialog = Dialog(f"<sip:{device}@{DOMAIN}>;tag=1", f"<sip:{to}@{DOMAIN}>", new_call_id())
        via = Via("UDP", *self.place, {"rport": None, "branch": new_branch()})
        uri = f"sip:{PLATFORM}@{DOMAIN}"
        return build(method, uri, dialog, via=via, number=1, headers=headers, body=body).encode()

    def say(self, request: Request, status: int, body: bytes = b"") -> None:
        headers = [("content-type", "application/sdp")] if body else []
        self.transport.sendto(respond(request, status, tag="7", headers=headers, body=body).encode(), self.registrar)

    def tell(self, body: bytes) -> None:
        self.transport.sendto(self.request("MESSAGE", body=body), self.registrar)

    async def ask(self, data: bytes) -> Response:
        self.transport.sendto(data, self.registrar)
        async with asyncio.timeout(5):
            return await self.heard.get()

    async def register(self, proof: str = "") -> Response:
        contact = ("contact", f"<sip:{DEVICE}@{HOST}:{self.place[1]}>")
        if not proof:
            challenge = challenge_of(await self.ask(self.request("REGISTER", contact)))
            assert challenge is not None
            proof = Login(challenge, DEVICE, PASSWORD).authorization("REGISTER", f"sip:{PLATFORM}@{DOMAIN}")
        self.proof = proof
        return await self.ask(self.request("REGISTER", contact, ("authorization", proof)))

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        async def run() -> None:
            while True:
                work()
                await asyncio.sleep(seconds)

        self.tasks.add(asyncio.get_running_loop().create_task(run()))


class Side:
    def __init__(self, service: Service, port: int, device: Device) -> None:
        self.service, self.port, self.device = service, port, device

    async def measure(self, mode: str, timeout: float = 2.0, **options: Any) -> Measurement:
        wanted = {"listen": HOST, "listen_port": self.port, "device": DEVICE, "password": PASSWORD, "mode": mode}
        started = time.monotonic()
        found = await measure(PROTOCOL, target(HOST), wanted | options, timeout, service=self.service)
        assert time.monotonic() - started < timeout + 0.5
        return found

    async def registrar(self) -> Registrar:
        options = PROTOCOL.options.model_validate(
            {"listen": HOST, "listen_port": self.port, "device": DEVICE, "password": PASSWORD, "mode": "registered"}
        )
        return await self.service.registrar(options)  # type: ignore[arg-type]  # they are this protocol's


@contextlib.asynccontextmanager
async def registered(act: Act = lambda _device, _request: None, *, host: str = HOST) -> AsyncIterator[Side]:
    assert PROTOCOL.service is not None
    port = free_port(HOST)
    loop = asyncio.get_running_loop()
    async with PROTOCOL.service() as service:
        transport, device = await loop.create_datagram_endpoint(lambda: Device(port, act), local_addr=(host, 0))
        side = Side(service, port, device)
        await side.registrar()
        try:
            assert (await device.register()).status == 200
            yield side
        finally:
            for task in device.tasks:
                task.cancel()
            await asyncio.gather(*device.tasks, return_exceptions=True)
            transport.close()


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


# -- questions ----------------------------------------------------------------------------------------------------


async def test_silence_ends_at_the_deadline() -> None:
    async with registered() as side:
        assert cause((await side.measure("catalog", 1)).failure) == ("query", "timed_out")
        assert side.device.methods.count("MESSAGE") == 2  # sent again after T1


@pytest.mark.parametrize(("status", "code"), [(403, "forbidden"), (404, "not_found"), (500, "bad_status")])
async def test_a_refused_question_is_told(status: int, code: str) -> None:
    async with registered(lambda device, request: device.say(request, status)) as side:
        assert cause((await side.measure("catalog")).failure) == ("query", code)


def answering(body: Callable[[int], bytes]) -> Act:
    def act(device: Device, request: Request) -> None:
        number = peek(request.body)[1]
        if request.method == "MESSAGE" and number is not None:
            device.say(request, 200)
            device.tell(body(number))

    return act


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("mode", ["catalog", "status"])
async def test_a_bomb_in_xml_is_a_broken_protocol(mode: str) -> None:
    def body(number: int) -> bytes:
        command = "Catalog" if mode == "catalog" else "DeviceStatus"
        return f"{BOMB}<Response><CmdType>{command}</CmdType><SN>{number}</SN><Name>&b;</Name></Response>".encode()

    async with registered(answering(body)) as side:
        found = await side.measure(mode)
    assert cause(found.failure) == ("query", "protocol_error")
    assert "document type" in str(found.failure)


def endless(device: Device, request: Request) -> None:
    number = peek(request.body)[1]
    if request.method != "MESSAGE" or number is None:
        return
    device.say(request, 200)
    names = iter(range(10**9))

    def more() -> None:
        items = [{"DeviceID": f"{next(names):020}", "Status": "ON"} for _ in range(100)]
        device.tell(compose("Response", "Catalog", number, DEVICE, {"SumNum": 999_999_999}, items=items))

    device.every(0.002, more)


async def test_an_endless_catalogue_is_cut_off() -> None:
    async with registered(endless) as side:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = await side.measure("catalog", 5, max_items=3_000)
        assert cause(found.failure) == ("query", "too_large")
        assert found.values["catalog_total"] == 3_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_768  # KiB


async def test_a_catalogue_that_drips_ends_at_the_deadline() -> None:
    def drip(device: Device, request: Request) -> None:
        number = peek(request.body)[1]
        if request.method == "MESSAGE" and number is not None:
            device.say(request, 200)
            items = [{"DeviceID": "1", "Status": "ON"}]
            device.every(
                0.1, lambda: device.tell(compose("Response", "Catalog", number, DEVICE, {"SumNum": 9}, items=items))
            )

    async with registered(drip) as side:
        found = await side.measure("catalog", 1.5, silence=1)
        assert cause(found.failure) == ("query", "timed_out")
        assert found.values["catalog_missing"] == 8


async def test_statuses_by_the_thousand_are_counted_as_others() -> None:
    def body(number: int) -> bytes:
        items = [{"DeviceID": f"{each}", "Status": f"<{each}\x1b"} for each in range(400)]
        return compose("Response", "Catalog", number, DEVICE, {"SumNum": 400}, items=items)

    async with registered(answering(body)) as side:
        found = await side.measure("catalog")
    assert found.failure is None
    kinds = {name for name in found.values if name.startswith("catalog_status:")}
    assert len(kinds) <= 17
    assert all(name.isascii() and name.isprintable() and "<" not in name for name in kinds)


# -- pictures -----------------------------------------------------------------------------------------------------


def sending(packets: Callable[[int], bytes], pause: float = 0.001) -> Act:
    def act(device: Device, request: Request) -> None:
        if request.method == "INVITE":
            device.port = sdp.parse(request.body).media[0].port  # type: ignore[attr-defined]  # for the ACK
            lines = ["v=0", "s=Play", f"c=IN IP4 {HOST}", "m=video 6000 RTP/AVP 96", "a=rtpmap:96 PS/90000", ""]
            device.say(request, 200, "\r\n".join(lines).encode())
        elif request.method == "ACK":
            numbers = iter(range(10**9))
            place = (HOST, device.port)  # type: ignore[attr-defined]  # of the INVITE
            device.every(pause, lambda: [device.transport.sendto(packets(next(numbers)), place) for _ in range(20)])  # type: ignore[func-returns-value,arg-type]  # a loop in a lambda

    return act


def rtp(number: int, payload: bytes) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, 0, 1) + payload


def junk(_number: int) -> bytes:
    return bytes([random.randrange(0x40)]) + random.randbytes(200)


def nothing_but_packs(number: int) -> bytes:
    return rtp(number, b"\x00\x00\x01\xba\x44\x00\x04\x00\x04\x01\x00\x00\x0b\xf8" * 50)


def picture_without_end(number: int) -> bytes:
    start = (
        b"\x00\x00\x01\xe0\xff\xff\x80\x00\x00\x00\x00\x01\x67\x42\x00\x1e\xff\x00\x00\x01\x68\xce\x00\x00\x01\x65\x88"
    )
    return rtp(
        number, b"\x00\x00\x01\xba\x44\x00\x04\x00\x04\x01\x00\x00\x0b\xf8" + start if not number else b"\xff" * 1_400
    )


@pytest.mark.parametrize(
    ("packets", "wanted"),
    [
        (junk, ("first_packet", "protocol_error")),
        (nothing_but_packs, ("first_key_frame", "no_key_frame")),
        (picture_without_end, ("first_key_frame", "too_large")),
    ],
)
async def test_what_is_no_picture_is_told_in_time_and_hung_up_on(
    packets: Callable[[int], bytes], wanted: tuple[str, str]
) -> None:
    async with registered(sending(packets)) as side:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = await side.measure("play", 2.5, max_key_frame_bytes=65_536)
        assert cause(found.failure) == wanted
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_768  # KiB
        async with asyncio.timeout(5):
            while "BYE" not in side.device.methods:
                await asyncio.sleep(0.01)


async def test_a_device_that_hangs_up_first_is_not_told_bye() -> None:
    def act(device: Device, request: Request) -> None:
        if request.method == "INVITE":
            device.say(request, 200, b"v=0\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\nm=video 6000 RTP/AVP 96\r\n")
            device.invite = request  # type: ignore[attr-defined]  # for the ACK
        elif request.method == "ACK":
            invite: Request = device.invite  # type: ignore[attr-defined]
            dialog = Dialog(f"{invite.header('to')};tag=7", invite.header("from") or "", invite.call_id)
            via = Via("UDP", *device.place, {"rport": None, "branch": new_branch()})
            device.transport.sendto(build("BYE", "sip:x@y", dialog, via=via, number=1).encode(), device.registrar)

    async with registered(act) as side:
        found = await side.measure("play")
        assert cause(found.failure) == ("first_packet", "closed")
    assert "BYE" not in side.device.methods


async def test_an_answer_that_comes_after_the_end_is_acknowledged_and_hung_up_on() -> None:
    def act(device: Device, request: Request) -> None:
        if request.method == "INVITE" and device.methods.count("INVITE") == 1:
            body = b"v=0\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\nm=video 6000 RTP/AVP 96\r\n"
            asyncio.get_running_loop().call_later(1.2, device.say, request, 200, body)

    async with registered(act) as side:
        found = await side.measure("play", 0.9)
        assert cause(found.failure) == ("invite", "timed_out")
        async with asyncio.timeout(5):
            while "BYE" not in side.device.methods:
                await asyncio.sleep(0.01)
    assert "ACK" in side.device.methods


# -- strangers ----------------------------------------------------------------------------------------------------


async def test_a_flood_of_strangers_leaves_nothing_behind() -> None:
    async with registered() as side:
        registrar = await side.registrar()
        for number in range(3_000):
            device = f"{number:020}"
            login = f'Digest username="{device}", realm="{DOMAIN}", nonce="{number:x}.0", uri="sip:x", response="0"'
            side.device.transport.sendto(
                side.device.request("REGISTER", ("authorization", login), device=device), side.device.registrar
            )
            if number % 50 == 0:
                await asyncio.sleep(0.001)
        assert (await side.measure("registered")).failure is None
        assert set(registrar.registrations) == {DEVICE}
        assert registrar.refusals["unknown device"] > 100
        assert len(registrar._proofs) + len(registrar._ended) <= 2
        assert len(registrar._logged) <= 64


async def test_only_the_host_that_registered_speaks_for_a_device() -> None:
    keepalive = compose("Notify", "Keepalive", 1, DEVICE, {"Status": "OK"})
    async with registered() as side:
        registrar = await side.registrar()
        way = registrar.registrations[DEVICE].way
        loop = asyncio.get_running_loop()
        transport, stranger = await loop.create_datagram_endpoint(
            lambda: Device(side.port, lambda _device, _request: None), local_addr=("127.0.0.2", 0)
        )
        try:
            assert (await stranger.ask(stranger.request("MESSAGE", body=keepalive))).status == 403
            assert (await stranger.register(side.device.proof)).status == 401  # what it has overheard
            assert registrar.registrations[DEVICE].way is way
        finally:
            transport.close()
        assert (await side.device.ask(side.device.request("MESSAGE", body=keepalive))).status == 200


async def test_without_a_registration_nobody_is_listened_to() -> None:
    async with registered() as side:
        registrar = await side.registrar()
        registrar.admit({})
        assert (await side.device.ask(side.device.request("MESSAGE", body=b"<Notify/>"))).status == 403
        for method, status in (("INVITE", 405), ("SUBSCRIBE", 405), ("BYE", 481), ("OPTIONS", 200)):
            assert (await side.device.ask(side.device.request(method))).status == status


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\x01\x02" * 100,
        b"REGISTER sip:x SIP/2.0\r\nContent-Length: 999999999\r\n\r\n",
        b"REGISTER sip:x SIP/2.0\r\n" + b"X: " + b"y" * 40_000,
        b"REGISTER sip:x SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n",
    ],
)
async def test_a_connection_that_makes_no_sense_is_ended(said: bytes) -> None:
    async with registered() as side:
        reader, writer = await asyncio.open_connection(HOST, side.port)
        writer.write(said)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert (await side.measure("registered")).failure is None
        assert side.service.refusals()["malformed"] == 1


async def test_one_host_takes_not_all_connections() -> None:
    async with registered() as side:
        connections = [await asyncio.open_connection(HOST, side.port) for _ in range(MAX_OF_A_HOST + 4)]
        async with asyncio.timeout(5):
            while side.service.refusals()["too many connections"] < 4:
                await asyncio.sleep(0.01)
        for _, writer in connections:
            writer.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    method=st.sampled_from(["REGISTER", "MESSAGE", "NOTIFY", "BYE", "INVITE", "ACK", "SIP/2.0 200 OK"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["via", "from", "to", "contact", "cseq", "call-id", "expires", "authorization"]),
            st.one_of(
                st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60),
                st.sampled_from(
                    [
                        "SIP/2.0/UDP h;branch=z9hG4bK1",
                        f"<sip:{DEVICE}@x>;tag=1",
                        "1 REGISTER",
                        'Digest nonce="1.2"',
                        "9",
                    ]
                ),
            ),
        ),
        max_size=9,
    ),
    body=st.binary(max_size=60),
)
def test_any_message_is_answered_or_counted(method: str, headers: list[tuple[str, str]], body: bytes) -> None:
    registrar = Registrar(Identity(PLATFORM, DOMAIN, "MD5"), (HOST, 5060), lambda _: None, lambda _, __: None)
    from pydantic import SecretStr

    registrar.admit({DEVICE: Known(SecretStr(PASSWORD), 60.0)})
    start = method if method.startswith("SIP") else f"{method} sip:{PLATFORM}@{DOMAIN} SIP/2.0"
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}", "", ""]
    way = Way("UDP", HOST, 5061, (HOST, 5060))
    with contextlib.suppress(MalformedMessage):
        registrar.receive(parse_datagram("\r\n".join(lines).encode() + body), way)
    assert not registrar.registrations


# -- what the daemon sees of it -----------------------------------------------------------------------------------


class Box:
    """An inbox of one check."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.hastened: list[str] = []
        self.memories: list[Mapping[str, float]] = []

    def checks(self) -> list[Check]:
        return [self._check]

    def report(self, check: str, measurement: Measurement) -> None:
        raise AssertionError(check, measurement)

    def hasten(self, check: str) -> None:
        self.hastened.append(check)

    def kept(self, _check: str) -> dict[str, float]:
        return {}

    def keep(self, check: str, memory: Mapping[str, float]) -> None:
        assert check == self._check.id
        self.memories.append(memory)


async def test_what_comes_goes_or_falls_silent_hastens_its_checks() -> None:
    assert PROTOCOL.service is not None
    assert PROTOCOL.attach is not None
    port = free_port(HOST)
    options = PROTOCOL.options.model_validate(
        {
            "listen": HOST, "listen_port": port, "device": DEVICE, "password": PASSWORD, "mode": "registered",
            "keepalive": 1,
        }
    )  # fmt: skip
    box = Box(Check("peer.sip", "sip", target(HOST), "probe", "gb28181", options, 60.0, 5.0, "centre"))
    loop = asyncio.get_running_loop()
    async with PROTOCOL.service() as service:
        PROTOCOL.attach(service, box)
        registrar = await service.registrar(options)
        transport, device = await loop.create_datagram_endpoint(
            lambda: Device(port, lambda _device, _request: None), local_addr=(HOST, 0)
        )
        try:
            assert (await device.register()).status == 200
            assert len(box.hastened) == 1  # it has come
            async with asyncio.timeout(6):
                while len(box.hastened) < 2:
                    await asyncio.sleep(0.02)
            found = await measure(PROTOCOL, target(HOST), options, service=service)
            assert found.failure is None
            assert found.values["keepalives_missed"] >= 3
            registrar.registrations[DEVICE].expires_at = 0
            async with asyncio.timeout(3):
                while len(box.hastened) < 3:
                    await asyncio.sleep(0.02)
            assert not registrar.registrations
            assert [one.get("silent") for one in box.memories] == [0, 1, None]  # it came, fell silent, went
            assert PASSWORD not in str(box.memories)
        finally:
            transport.close()


async def test_a_registrar_that_cannot_be_had_is_our_trouble() -> None:
    assert PROTOCOL.service is not None
    wanted = {"device": DEVICE, "password": PASSWORD, "mode": "registered"}
    async with PROTOCOL.service() as service:
        for more, code in (
            ({"listen": "192.0.2.1"}, "no_resource"),
            ({"listen": HOST, "listen_port": 1}, "no_privilege"),
        ):
            found = await measure(PROTOCOL, target(HOST), wanted | more, 0.3, service=service)
            if found.failure is not None and found.failure.code != "too_early":  # root may have any port
                assert cause(found.failure) == ("prepare", code)
                assert found.failure.local
        port = free_port(HOST)
        await measure(PROTOCOL, target(HOST), wanted | {"listen_port": port}, 0.2, service=service)
        other = wanted | {"listen_port": port, "server_id": "11000000002000000009"}
        found = await measure(PROTOCOL, target(HOST), other, 0.2, service=service)
        assert cause(found.failure) == ("prepare", "bad_option")
