"""onvif against devices that want to harm: every one ends at the deadline, in bounded memory, with the right code."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from sentinel.domain.observation import Measurement
from sentinel.protocols.onvif import PROTOCOL
from tests.support.fixtures import StartHostile
from tests.support.hostile import Manner
from tests.support.onvif_device import CLOCK, device, http, soap
from tests.support.probing import measure, target

HOST = "127.0.0.1"
TIMEOUT = 1.0
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<Envelope><Body><GetSystemDateAndTimeResponse>&d;</GetSystemDateAndTimeResponse></Body></Envelope>"""
OUTSIDE = b"""<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Envelope><Body><A>&f;</A></Body></Envelope>"""
DEEP = b"<Envelope><Body>" + b"<a>" * 100_000
WIDE = b"<Envelope><Body>" + b"<a/>" * 200_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

ANSWERS = {
    "bomb": (http("200 OK", BOMB), "protocol_error"),
    "file": (http("200 OK", OUTSIDE), "protocol_error"),
    "deep": (http("200 OK", DEEP), "protocol_error"),
    "wide": (http("200 OK", WIDE), "protocol_error"),
    "not-utf8": (http("200 OK", b"\xff\xfe\x00\x80" * 100), "protocol_error"),
    "empty": (http("200 OK"), "protocol_error"),
    "huge-length": (b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + b"x" * 70_000, "too_large"),
    "longest-length": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "too_large"),
    "no-length": (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "protocol_error"),
    "huge-chunk": (CHUNKED + b"FFFFFFFFFF\r\n", "too_large"),
    "no-chunk": (CHUNKED + b"zz\r\n", "protocol_error"),
    "long-chunk": (CHUNKED + b"1\r\nabcdef\r\n", "protocol_error"),
    "cut-short": (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n<Envelope>", "closed"),
    "many-headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, "too_large"),
    "long-header": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", "too_large"),
    "gzip": (http("200 OK", b"\x1f\x8b" + b"\0" * 50, "Content-Encoding: gzip"), "unsupported"),
    "informational": (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "protocol_error"),
    "no-http": (b"SSH-2.0-dropbear\r\n", "protocol_error"),
}


@pytest.fixture
async def traced() -> AsyncIterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def look(port: int, seconds: float = TIMEOUT, **options: object) -> Measurement:
    return await measure(PROTOCOL, target(HOST), {"port": port, **options}, seconds)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_that_is_none(case: str) -> None:
    answer, code = ANSWERS[case]
    async with device({"GetSystemDateAndTime": answer}) as asked:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        found = await look(asked.port, 5.0)
        peak = tracemalloc.get_traced_memory()[1] - before
    assert found.failure is not None
    assert (found.failure.stage, found.failure.code) == ("exchange", code), found.failure
    assert peak < 12 * 2**20
    assert len(asked.requests) == 1


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("manner", "text", "code"),
    [
        ("hang", b"", "timed_out"),
        ("drip", b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 1000, "timed_out"),
        ("endless", b"HTTP/1.1 200 OK\r\n\r\n", "too_large"),
        ("endless", CHUNKED, "too_large"),
        ("endless", b"HTTP/1.1 200 OK\r\nX: ", "too_large"),
        ("garbage", b"", "closed"),
        ("huge", b"", "too_large"),
        ("reset", b"", "reset"),
        ("close", b"", "closed"),
        ("refuse", b"", "refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_hostile_device_ends_at_the_deadline(
    manner: Manner, text: bytes, code: str, hostile: StartHostile
) -> None:
    server = await hostile(manner, text=text)
    tracemalloc.reset_peak()
    before, started = tracemalloc.get_traced_memory()[0], time.monotonic()
    found = await look(server.port)
    peak = tracemalloc.get_traced_memory()[1] - before
    assert time.monotonic() - started < TIMEOUT + 0.5
    assert found.failure is not None
    assert found.failure.code == code, found.failure
    assert peak < 12 * 2**20
    async with asyncio.timeout(5):
        await server.all_closed()


async def test_a_picture_without_end_is_dropped(hostile: StartHostile) -> None:
    server = await hostile("endless", text=b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8")
    space = "http://www.onvif.org/ver10/media/wsdl"
    service = f"<Service><Namespace>{space}</Namespace><XAddr>http://h/m</XAddr></Service>"
    picture = f"<MediaUri><Uri>http://{HOST}:{server.port}/</Uri></MediaUri>"
    answers = {
        "GetSystemDateAndTime": soap("<GetSystemDateAndTimeResponse/>"),
        "GetDeviceInformation": soap("<GetDeviceInformationResponse/>"),
        "GetServices": soap(f"<GetServicesResponse>{service}</GetServicesResponse>"),
        "GetProfiles": soap('<GetProfilesResponse><Profiles token="p"/></GetProfilesResponse>'),
        "GetSnapshotUri": soap(f"<GetSnapshotUriResponse>{picture}</GetSnapshotUriResponse>"),
    }
    async with device(answers) as asked:
        found = await look(asked.port, 5.0, stream=False, max_snapshot_bytes=100_000)
    assert found.failure is not None
    assert (found.failure.stage, found.failure.code) == ("transfer", "too_large")
    assert found.facts["clock"] == "no UTC is told"
    async with asyncio.timeout(5):
        await server.all_closed()


async def test_a_name_of_the_makers_is_handed_on_as_it_is_and_short() -> None:
    evil = "<Manufacturer>&lt;script&gt;\x1b]0;x\u202e" + "长" * 10_000 + "</Manufacturer>"
    answers = {
        "GetSystemDateAndTime": soap(f"<GetSystemDateAndTimeResponse>{CLOCK}</GetSystemDateAndTimeResponse>".replace(
            "{0.year}", "1970").replace("{0.month}", "1").replace("{0.day}", "1").replace("{0.hour}", "0")
            .replace("{0.minute}", "0").replace("{0.second}", "60")),
        "GetDeviceInformation": soap(f"<GetDeviceInformationResponse>{evil}</GetDeviceInformationResponse>"),
        "GetServices": soap("<GetServicesResponse/>"),
    }  # fmt: skip
    async with device(answers) as asked:
        found = await look(asked.port)
    assert found.values["clock_drift_seconds"] < -1e9  # a clock whose battery is flat
    assert found.facts["maker"].startswith("<script>\ufffd]0;x\u202e长")
    assert len(found.facts["maker"]) == 100
