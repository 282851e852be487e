"""Streams over UDP: lost, overtaken, mixed with what strangers send, and flooded."""

import asyncio
import errno
import socket
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.picture import decoder_pool
from sentinel.protocols.rtsp import PROTOCOL, datagrams
from sentinel.protocols.rtsp.datagrams import Announced, Ports
from sentinel.wire.rtp import Packet
from tests.support.probing import measure, target
from tests.unit.protocols.rtsp.camera import Camera, stream
from tests.unit.protocols.rtsp.senders import STRANGER, Sender
from tests.unit.wire.streams import raw


async def look(sender: Sender, *, timeout: float = 10.0, **options: Any) -> Measurement:
    async with sender.listening() as camera, decoder_pool() as pool:
        await pool.prepare()
        chosen = {"port": camera.port, "path": "/live", "transport": "udp"} | options
        return await measure(PROTOCOL, target(), chosen, timeout, service=pool)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


def overtaken() -> list[Packet]:
    """Every two neighbours change places, but the first."""
    sent = stream()
    for at in range(1, len(sent) - 1, 2):
        sent[at], sent[at + 1] = sent[at + 1], sent[at]
    return sent


def lost_in_the_first_key_frame() -> list[Packet]:
    sent = stream()
    del sent[4]
    return sent


def twice() -> list[Packet]:
    return [one for packet in stream() for one in (packet, packet)]


def after_strangers() -> Callable[[socket.socket, tuple[str, int]], None]:
    """A stranger's whole stream comes first, from another address."""

    def send(stranger: socket.socket, place: tuple[str, int]) -> None:
        for packet in stream("libx264")[:40]:
            stranger.sendto(raw(replace(packet, ssrc=1, payload=b"\x41" + b"x" * 40)), place)

    return send


@pytest.mark.parametrize(
    ("sender", "lost", "reordered"),
    [
        (lambda: Sender(stream()), 0, 0),
        (lambda: Sender(stream(), announces=False), 0, 0),
        (lambda: Sender(stream(), from_elsewhere=True), 0, 0),
        (lambda: Sender(stream(), before=after_strangers()), 0, 0),
        (lambda: Sender(stream(), transport="RTP/AVP/UDP;unicast;source=127.0.0.1;server_port={server}"), 0, 0),
        (lambda: Sender(overtaken()), 0, 1),
        (lambda: Sender(twice()), 0, 1),
    ],
    ids=["as it should be", "no server_port", "another port", "strangers", "a source", "overtaken", "twice"],
)
async def test_a_picture_comes(sender: Callable[[], Sender], lost: int, reordered: int) -> None:
    seen = await look(sender())
    assert seen.failure is None
    assert seen.values["lost_packets"] == lost
    assert (seen.values["reordered_packets"] > 0) == bool(reordered)
    assert seen.values["dropped_packets"] == 0


async def test_what_is_lost_is_counted() -> None:
    sent = lost_in_the_first_key_frame()
    tail = [replace(sent[-1], sequence=sent[-1].sequence + number & 0xFFFF) for number in range(1, 80)]
    seen = await look(Sender([*sent, *tail]))
    assert seen.failure is None  # the second key frame is whole
    assert seen.values["lost_packets"] == 1
    assert seen.values["loss_ratio"] == pytest.approx(1 / (seen.values["packets"] + 1))


async def test_the_way_back_is_opened_and_media_is_asked_for_in_datagrams() -> None:
    sender = Sender(stream())
    await look(sender)
    assert sender.camera.requests[2].headers["transport"].startswith("RTP/AVP;unicast;client_port=")
    assert sender.client[0] % 2 == 0
    assert sender.client[1] == sender.client[0] + 1
    assert [(which, data[0] >> 6) for which, data in sender.heard] == [(0, 2), (1, 2)]


async def test_nothing_is_sent_to_an_address_that_an_answer_names() -> None:
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind((STRANGER, 0))
    elsewhere.setblocking(False)
    port = elsewhere.getsockname()[1]
    answer = f"RTP/AVP;unicast;source={STRANGER};server_port={port}-{port + 1}"
    assert (await look(Sender(stream(), transport=answer, from_elsewhere=True))).failure is None
    with pytest.raises(BlockingIOError):
        elsewhere.recv(100)
    elsewhere.close()


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        (lambda: Sender([]), ("first_packet", "no_packets")),
        (lambda: Sender([], before=after_strangers()), ("first_packet", "no_packets")),
        (lambda: Sender([replace(one, ssrc=n) for n, one in enumerate(stream())]), ("first_key_frame", "no_key_frame")),
        (lambda: Sender([replace(one, payload=b"\x1f" * 9) for one in stream()]), ("first_key_frame", "no_key_frame")),
        (lambda: Sender([], flood=lambda _: b"\xff" * 1400), ("first_packet", "no_packets")),
        (lambda: Sender([], flood=lambda n: raw(replace(stream()[0], ssrc=n))), ("first_packet", "no_packets")),
        (
            lambda: Sender([], transport="RTP/AVP;multicast;destination=239.1.1.1;port=5000-5001"),
            ("setup", "unsupported"),
        ),
        (lambda: Sender([], transport="RTP/AVP/TCP;unicast;interleaved=0-1"), ("setup", "unsupported")),
    ],
    ids=["nothing", "only strangers", "a source a packet", "no NAL units", "junk", "sources", "multicast", "tcp"],
)
async def test_no_picture_comes(sender: Callable[[], Sender], expected: tuple[str, str]) -> None:
    seen = await look(sender(), timeout=1.0)
    assert cause(seen.failure) == expected
    assert seen.took < 1.2


async def test_a_flood_of_strangers_does_not_hide_the_picture_nor_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        seen = await look(Sender(stream(), flood=lambda number: b"\x80" + number.to_bytes(4, "big") * 300))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen.failure is None
    assert peak < 2 * 1024 * 1024


async def test_what_this_host_dropped_is_told_and_not_held_against_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ports, "dropped", 7)
    seen = await look(Sender([replace(one, payload=b"\x41" * 9) for one in stream()]), timeout=1.0)
    assert cause(seen.failure) == ("first_key_frame", "overloaded")
    assert seen.failure is not None
    assert seen.failure.local
    assert "7 dropped by this host" in seen.failure.detail


async def test_a_refusal_of_udp_is_said_clearly() -> None:
    camera = Camera(answers={"SETUP": lambda camera, asked: camera.status(asked, "461 Unsupported Transport")})
    async with camera.listening(), decoder_pool() as pool:
        seen = await measure(PROTOCOL, target(), {"port": camera.port, "transport": "udp"}, service=pool)
    assert cause(seen.failure) == ("setup", "unsupported")
    assert seen.failure is not None
    assert "461" in seen.failure.detail


async def test_the_kernels_own_count_of_what_did_not_fit() -> None:
    ports = Ports("127.0.0.1", "127.0.0.1")
    got: list[bytes] = []
    ports.open(got.append, got.append, lambda: None)
    ports.pause()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(20_000):
            sender.sendto(b"\x80" * 1400, ("127.0.0.1", ports.numbers[0]))
    assert ports.dropped > 0
    ports.close()
    assert ports.dropped > 0


async def test_a_pair_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "PAIRS_TRIED", 0)
    with pytest.raises(OSError, match="no pair") as error:
        Ports("127.0.0.1", "127.0.0.1")
    assert error.value.errno == errno.EADDRNOTAVAIL
    seen = await look(Sender([]), timeout=2.0)
    assert cause(seen.failure) == ("setup", "no_resource")


async def test_ipv6() -> None:
    ports = Ports("::1", "::1")
    ports.announced = Announced(None, None, None)
    got: list[bytes] = []
    came = asyncio.Event()
    ports.open(got.append, got.append, came.set)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\x80" * 12, ("::1", ports.numbers[0]))
        async with asyncio.timeout(5):
            await came.wait()
    ports.close()
    assert got == [b"\x80" * 12]
