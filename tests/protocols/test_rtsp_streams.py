"""rtsp over UDP, and streams that are watched for a while, against GStreamer's server."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from sentinel.domain.observation import Measurement
from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.rtsp import PROTOCOL
from sentinel.protocols.rtsp.session import Session
from tests.support import gst_rtsp as gst_rtsp_peer
from tests.support.fixtures import NewFolder, StartGstRtsp
from tests.support.gst_rtsp import GstRtsp
from tests.support.probing import measure, target


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with decoder_pool() as pool:
        await pool.prepare()
        yield pool


@pytest.fixture(scope="module")
def forgetful(new_folder: NewFolder) -> Iterator[GstRtsp]:
    """A server that ends a session after two seconds in which nobody kept it alive: we do so each second."""
    with gst_rtsp_peer.serve(new_folder("gst_rtsp"), session_timeout=2) as server:
        yield server


async def look(server: GstRtsp, mount: str, pool: DecoderPool, timeout: float = 15.0, **options: Any) -> Measurement:
    chosen = {"port": server.port, "path": f"/{mount}"} | options
    return await measure(PROTOCOL, target(server.host), chosen, timeout, service=pool)


@pytest.mark.parametrize(
    ("mount", "codec", "size"),
    [
        ("h264", "H.264", (640, 360)),
        ("h265", "H.265", (640, 360)),
        ("mjpeg", "MJPEG", (640, 360)),
        ("hd", "H.264", (1920, 1080)),
    ],
)
@pytest.mark.parametrize("udp_only", [False, True])
async def test_pictures_over_udp(
    gst_rtsp: StartGstRtsp, pool: DecoderPool, mount: str, codec: str, size: tuple[float, float], *, udp_only: bool
) -> None:
    seen = await look(gst_rtsp(udp_only=udp_only), mount, pool, transport="udp")
    assert seen.failure is None
    assert seen.facts["codec"] == codec
    assert (seen.values["picture_width_pixels"], seen.values["picture_height_pixels"]) == size
    assert (seen.values["lost_packets"], seen.values["dropped_packets"], seen.values["loss_ratio"]) == (0, 0, 0)
    assert seen.values["packets"] >= 1
    assert 0 < seen.values["picture_seconds"] <= seen.took


async def test_login_over_udp(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    server = gst_rtsp("digest")
    seen = await look(server, "h264", pool, transport="udp", username=server.user, password=server.password)
    assert seen.failure is None


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_stream_that_is_watched(gst_rtsp: StartGstRtsp, pool: DecoderPool, transport: str) -> None:
    seen = await look(gst_rtsp(), "sound", pool, transport=transport, watch=2.5)
    assert seen.failure is None
    values = seen.values
    assert 2.5 <= values["watched_seconds"] < 3.6
    assert 9 < values["frame_rate_hertz"] < 11  # the mount's rate is 10, with a key frame each second
    assert 0.9 < values["key_frame_interval_seconds"] < 1.1
    assert values["audio_packets"] > 10
    assert values["video_missing_seconds"] < 1.5
    assert values["longest_gap_seconds"] < 1.5
    assert values["jitter_seconds"] < 0.5
    assert values["lost_packets"] == 0
    assert list(seen.stages)[-2:] == ["picture", "watch"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_video_that_goes_missing_while_audio_runs(
    gst_rtsp: StartGstRtsp, pool: DecoderPool, transport: str
) -> None:
    seen = await look(gst_rtsp(), "sound-only", pool, transport=transport, watch=2.5)
    assert seen.failure is None  # a picture came; that it ended is for the rules
    assert seen.values["video_missing_seconds"] > 1.5
    assert seen.values["longest_gap_seconds"] > 1.5
    assert seen.values["audio_packets"] > 10
    assert seen.took < 5.5


async def test_a_stream_that_stalls_without_a_sound(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    seen = await look(gst_rtsp(), "stall", pool, watch=2.5)
    assert seen.failure is None
    assert seen.values["longest_gap_seconds"] > 1.5
    assert "video_missing_seconds" not in seen.values


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_long_session_is_kept_alive(forgetful: GstRtsp, pool: DecoderPool, transport: str) -> None:
    seen = await look(forgetful, "h264", pool, transport=transport, watch=6)
    assert seen.failure is None
    assert seen.facts["keep_alive"] == "GET_PARAMETER: 200 OK"
    assert seen.values["watched_seconds"] >= 6
    assert seen.values["longest_gap_seconds"] < 1.5


async def test_without_that_the_server_ends_it(
    forgetful: GstRtsp, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof of the test above: this server means it."""
    monkeypatch.setattr(Session, "keep_alive", lambda _session: None)
    monkeypatch.setattr("sentinel.protocols.rtsp.watch.REPORT_SECONDS", 60)
    seen = await look(forgetful, "h264", pool, transport="udp", watch=6)
    assert seen.failure is not None or seen.values["longest_gap_seconds"] > 1.5


async def test_a_watch_needs_its_time(gst_rtsp: StartGstRtsp, pool: DecoderPool) -> None:
    seen = await look(gst_rtsp(), "h264", pool, timeout=2.0, watch=5)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code, seen.failure.local) == ("prepare", "bad_option", True)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_few_channels_of_a_platform(gst_rtsp: StartGstRtsp, pool: DecoderPool, transport: str) -> None:
    named = {"大厅": "/h264", "东门": "/h265", "西门": "/mjpeg", "拆除": "/nothing", "停车场": "/snow"}
    channels = {"named": named, "favourites": {"重点": ["大厅"]}, "sample": 3, "at_once": 2}
    memory: dict[str, Any] = {}
    server = gst_rtsp()
    options = {"port": server.port, "transport": transport, "channels": channels}
    seen = [await measure(PROTOCOL, target(server.host), options, 15.0, service=pool, memory=memory) for _ in range(2)]
    assert [one.failure for one in seen] == [None, None]
    assert [one.facts["sampled"].count("大厅") for one in seen] == [1, 1]
    assert seen[1].values["coverage_ratio"] == 1
    assert [one.facts["failed"] for one in seen if "failed" in one.facts] == ["拆除 (describe not_found)"]
    assert {name for name in seen[1].values if name.startswith("last_seen_seconds:")} == {
        f"last_seen_seconds:{name}" for name in named
    }
