"""rtsp against GStreamer's server, and against peers that misbehave."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.rtsp import PROTOCOL
from tests.support.authority import Authority
from tests.support.fixtures import CertificateKind, StartGstRtsp, StartHostile
from tests.support.gst_rtsp import GstRtsp
from tests.support.hostile import HUGE_RTSP, Manner
from tests.support.probing import SERVICE, measure, target
from tests.unit.protocols.rtsp.camera import Camera, frame

STAGES = ["options", "describe", "setup", "play", "first_packet", "first_key_frame", "picture"]


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    """Decoding processes that are there already, as in a daemon that has run for a while."""
    async with decoder_pool() as pool:
        await pool.prepare()
        yield pool


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def look(
    server: GstRtsp, mount: str, pool: DecoderPool | None = None, timeout: float = 10.0, **options: Any
) -> Measurement:
    service = SERVICE if pool is None else pool
    chosen = {"port": server.port, "path": f"/{mount}"} | options
    return await measure(PROTOCOL, target(server.host), chosen, timeout, service=service)


@pytest.mark.parametrize(
    ("mount", "codec", "size"),
    [
        ("h264", "H.264", (640, 360)),
        ("h265", "H.265", (640, 360)),
        ("mjpeg", "MJPEG", (640, 360)),
        ("hd", "H.264", (1920, 1080)),
        ("black", "H.264", (640, 360)),
        ("stall", "H.264", (640, 360)),  # it stalls after its first second, and the picture has come by then
    ],
)
async def test_pictures(
    gst_rtsp: StartGstRtsp, pool: DecoderPool, mount: str, codec: str, size: tuple[float, float]
) -> None:
    seen = await look(gst_rtsp(), mount, pool)
    assert seen.failure is None
    assert seen.facts["codec"] == codec
    assert "GStreamer" in seen.facts["server"]
    assert seen.facts["profile"] != ""
    assert (seen.values["picture_width_pixels"], seen.values["picture_height_pixels"]) == size
    assert seen.values["key_frame_bytes"] > 500
    assert seen.values["packets"] >= 1
    assert (seen.values["lost_packets"], seen.values["malformed_packets"]) == (0, 0)
    assert list(seen.stages) == ["prepare", "connect", *STAGES]
    assert all(0 <= seconds < seen.took for seconds in seen.stages.values())


@pytest.mark.parametrize("auth", ["basic", "digest"])
async def test_login(gst_rtsp: StartGstRtsp, pool: DecoderPool, auth: Any) -> None:
    server = gst_rtsp(auth)
    assert (await look(server, "h264", pool, username=server.user, password=server.password)).failure is None
    wrong: dict[str, Any] = {"username": server.user, "password": "wrong"}
    for options in ({}, wrong):
        seen = await look(server, "h264", pool, **options)
        assert cause(seen.failure) == ("describe", "unauthorized")
        assert seen.failure is not None
        assert "wrong" not in seen.failure.detail


async def test_a_mount_that_is_not_there(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    assert cause((await look(gst_rtsp(), "nothing", pool)).failure) == ("describe", "not_found")


async def test_a_server_that_only_sends_datagrams(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    assert cause((await look(gst_rtsp(udp_only=True), "h264", pool)).failure) == ("setup", "unsupported")


async def test_a_track_that_is_not_there(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    assert cause((await look(gst_rtsp(), "h264", pool, track=1)).failure) == ("describe", "no_video")


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [("valid", None), ("expired", ("tls", "tls_expired")), ("wrong_name", ("tls", "tls_wrong_name"))],
)
async def test_rtsps(
    gst_rtsp: StartGstRtsp,
    authority: Authority,
    pool: DecoderPool,
    certificate: CertificateKind,
    expected: tuple[str, str] | None,
) -> None:
    server = gst_rtsp(tls=certificate)
    seen = await look(server, "h264", pool, tls=True, tls_ca_file=str(authority.ca_file))
    assert cause(seen.failure) == expected
    if expected is None:
        assert 88 < seen.values["certificate_days_left"] < 91
        assert "tls" in seen.stages


async def test_rtsps_is_verified_and_need_not_be(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    server = gst_rtsp(tls="valid")
    assert cause((await look(server, "h264", pool, tls=True)).failure) == ("tls", "tls_untrusted")
    assert (await look(server, "h264", pool, tls=True, tls_verify=False)).failure is None
    assert cause((await look(server, "h264", pool)).failure) in {("options", "closed"), ("options", "reset")}


async def test_many_at_once_share_the_processes(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    server = gst_rtsp()
    seen = await asyncio.gather(*(look(server, "h264", pool) for _ in range(8)))
    assert [one.failure for one in seen] == [None] * 8
    assert len(pool.processes) <= 2


async def test_no_process_of_ours_gets_one_started(gst_rtsp: StartGstRtsp) -> None:
    seen = await look(gst_rtsp(), "mjpeg")
    assert seen.failure is None
    assert seen.stages["prepare"] > 0.01


@pytest.mark.parametrize(
    ("manner", "text", "after", "expected"),
    [
        ("refuse", b"", None, ("connect", "refused")),
        ("hang", b"", None, ("options", "timed_out")),
        ("garbage", b"", None, ("options", "protocol_error")),
        ("garbage", b"", b"\r\n\r\n", ("options", "protocol_error")),
        ("drip", b"RTSP/1.0 200 OK\r\nX-Slow: " + b"s" * 1000, b"\r\n\r\n", ("options", "timed_out")),
        ("endless", b"RTSP/1.0 200 OK\r\nX: ", b"\r\n\r\n", ("options", "too_large")),
        ("endless", b"", b"\r\n\r\n", ("options", "protocol_error")),  # it speaks HTTP
        ("huge", HUGE_RTSP, b"\r\n\r\n", ("options", "too_large")),
        ("close", b"", None, ("options", "closed")),
        ("reset", b"", None, ("options", "reset")),
    ],
)
async def test_hostile_peers(
    hostile: StartHostile,
    pool: DecoderPool,
    manner: Manner,
    text: bytes,
    after: bytes | None,
    expected: tuple[str, str],
) -> None:
    server = await hostile(manner, text=text, after=after)
    started = time.monotonic()
    seen = await measure(PROTOCOL, target(), {"port": server.port}, 1.0, service=pool)
    assert cause(seen.failure) == expected
    assert time.monotonic() - started < 1.3
    async with asyncio.timeout(2):
        await server.all_closed()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", ("first_packet", "no_packets")),
        (frame(b"\xff" * 1400) * 400, ("first_packet", "protocol_error")),
        (frame(b"\x80\x60" + bytes(10) + b"\x1f" * 1400) * 400, ("first_key_frame", "no_key_frame")),
        (frame(b"\x80\x60" + bytes(10) + b"\x7c\x85" + b"x" * 1400) * 400, ("first_key_frame", "no_key_frame")),
        (b"$", ("first_packet", "no_packets")),
        (b"\x00" * 100_000, ("first_packet", "protocol_error")),
    ],
)
async def test_a_camera_that_plays_no_picture(pool: DecoderPool, sent: bytes, expected: tuple[str, str]) -> None:
    camera = Camera(after_play=sent)
    async with camera.listening():
        seen = await measure(PROTOCOL, target(), {"port": camera.port}, 1.0, service=pool)
    assert cause(seen.failure) == expected
    assert seen.took < 1.3


@pytest.mark.parametrize(
    ("junk", "expected"),
    [
        (frame(b"\xff" * 1400), ("first_packet", "protocol_error")),
        (frame(b"\x80\x60" + bytes(10) + b"\x1f" * 1400), ("first_key_frame", "no_key_frame")),
        (frame(b"x" * 1400, 7), ("first_packet", "no_packets")),
        (b"\r\n" * 700, ("first_packet", "no_packets")),
    ],
)
async def test_junk_for_ever_does_not_pile_up(pool: DecoderPool, junk: bytes, expected: tuple[str, str]) -> None:
    camera = Camera(forever=junk)
    tracemalloc.start()
    try:
        async with camera.listening():
            seen = await measure(PROTOCOL, target(), {"port": camera.port}, 1.0, service=pool)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cause(seen.failure) == expected
    assert seen.took < 1.3
    assert peak < 1024 * 1024  # both ends are in this process; asyncio alone takes 256 KiB at a time from the system
