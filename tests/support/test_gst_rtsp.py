import asyncio
import subprocess
from pathlib import Path

import av
import pytest

from tests.support.fixtures import StartGstRtsp
from tests.support.gst_rtsp import GstRtsp

QUICK = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32"}


async def describe(server: GstRtsp, mount: str = "h264") -> str:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"DESCRIBE {server.url(mount)} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    await writer.wait_closed()
    return head


def first_frame(url: str) -> av.VideoFrame:
    with av.open(url, options=QUICK, timeout=(10, 10)) as stream:
        return next(stream.decode(video=0))


@pytest.mark.parametrize(
    ("mount", "codec", "size"),
    [("h264", "h264", (640, 360)), ("h265", "hevc", (640, 360)), ("hd", "h264", (1920, 1080))],
)
def test_plays(gst_rtsp: StartGstRtsp, mount: str, codec: str, size: tuple[int, int]) -> None:
    with av.open(gst_rtsp().url(mount), options={"rtsp_transport": "tcp"}, timeout=(10, 10)) as stream:
        assert stream.streams.video[0].codec_context.name == codec
        frame = next(stream.decode(video=0))
    assert (frame.width, frame.height) == size


def test_black_is_black(gst_rtsp: StartGstRtsp) -> None:
    frame = first_frame(gst_rtsp().url("black"))
    assert frame.to_ndarray(format="gray").max() < 20


@pytest.mark.parametrize(("auth", "scheme"), [("basic", "Basic"), ("digest", "Digest")])
async def test_asks_for_the_password(gst_rtsp: StartGstRtsp, auth: str, scheme: str) -> None:
    server = gst_rtsp("basic") if auth == "basic" else gst_rtsp("digest")
    answer = await describe(server)
    assert answer.startswith("RTSP/1.0 401")
    assert f"WWW-Authenticate: {scheme}" in answer
    with_password = server.url("h264").replace("//", f"//{server.user}:{server.password}@")
    assert (await asyncio.to_thread(first_frame, with_password)).width == 640


def test_stall_stops_but_stays_connected(gst_rtsp: StartGstRtsp) -> None:
    frames: list[av.VideoFrame] = []
    with av.open(gst_rtsp().url("stall"), options=QUICK, timeout=(10, 1.5)) as stream:
        decoded = stream.decode(video=0)
        with pytest.raises(av.error.FFmpegError):
            frames.extend(decoded)
    assert 1 <= len(frames) < 40


def test_speaks_rtsps_that_the_authority_vouches_for(gst_rtsp: StartGstRtsp) -> None:
    server = gst_rtsp(tls="valid")
    assert server.url("h264").startswith("rtsps://")
    assert first_frame(server.url("h264")).width == 640


def test_servers_that_are_alike_are_one(gst_rtsp: StartGstRtsp) -> None:
    assert gst_rtsp() is gst_rtsp("none")
    assert gst_rtsp("digest") is not gst_rtsp()


def test_the_launcher_runs_alone() -> None:
    script = Path(__file__).with_name("gst_rtsp_server.py")
    compile(script.read_text("utf-8"), str(script), "exec")
    ended = subprocess.run(
        ["/usr/bin/python3", script, "--auth", "nonsense"], check=False, capture_output=True, timeout=15
    )
    assert ended.returncode in {1, 2}
