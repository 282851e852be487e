"""The lab's camera, measured by the daemon's own probe: what each of its faults looks like."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check, Target
from sentinel.lab.camera import clip
from sentinel.lab.camera.requests import Door, Request
from sentinel.lab.camera.server import BLACK, FROZEN, LOSS, NO_SIGNAL, SNOW, SOUND_ONLY, Camera
from sentinel.lab.servers import SIMULATIONS
from sentinel.lab.simulation import Service
from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.rtsp import PROTOCOL
from tests.support.probing import measure, target


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with decoder_pool() as pool:
        await pool.prepare()
        yield pool


@asynccontextmanager
async def camera(state: Path, **options: Any) -> AsyncIterator[tuple[Camera, int]]:
    """A camera that has what these options ask for, and its port."""
    place = Target("cam", "摄像机", "127.0.0.1", "camera", "internal")
    given = PROTOCOL.options.model_validate(options)
    check = Check("cam.picture", "picture", place, "rtsp", "rtsp", given, 10, 3, "centre")
    found = Camera(Service(SIMULATIONS["rtsp"], "tcp", "127.0.0.1", 0, (check,)), clip.load(state), state)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.serve(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield found, server.sockets[0].getsockname()[1]


async def look(state: Path, pool: DecoderPool, faults: set[str], **options: Any) -> Measurement:
    async with camera(state, **options) as (found, port):
        found.faults = frozenset(faults)
        return await measure(PROTOCOL, target(), {"port": port} | options, 10.0, service=pool)


Values = Mapping[str, float]


@pytest.mark.parametrize("transport", ["udp"])
@pytest.mark.parametrize(
    ("fault", "shows"),
    [
        (None, lambda found: found["lost_packets"] == 0 and 20 < found["frame_rate_hertz"] < 30),
        (LOSS, lambda found: 0.02 < found["loss_ratio"] < 0.1),
        (BLACK, lambda found: found["picture_luma_mean_ratio"] < 0.05),
        (NO_SIGNAL, lambda found: found["picture_uniform_ratio"] > 0.9),
        (SNOW, lambda found: found["picture_noise_ratio"] > 0.02),
        (FROZEN, lambda found: found["picture_still_seconds"] > 1.5),
    ],
)
async def test_what_is_seen_of_a_fault(
    state: Path, pool: DecoderPool, transport: str, fault: str | None, shows: Callable[[Values], bool]
) -> None:
    seen = await look(state, pool, {fault} if fault else set(), transport=transport, watch=2.2)
    assert seen.failure is None
    assert shows(seen.values), dict(seen.values)
    assert seen.values["audio_packets"] > 10


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_sound_without_a_picture(state: Path, pool: DecoderPool, transport: str) -> None:
    async with camera(state) as (found, port):
        found.faults = frozenset({SOUND_ONLY})
        chosen = {"port": port, "transport": transport, "watch": 1}
        seen = await measure(PROTOCOL, target(), chosen, 2.0, service=pool)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("first_packet", "no_video")
    assert "audio runs" in seen.failure.detail


async def test_a_scene_changes_while_somebody_watches(state: Path, pool: DecoderPool) -> None:
    async with camera(state) as (found, port), asyncio.TaskGroup() as group:
        chosen = {"port": port, "watch": 3}
        task = group.create_task(measure(PROTOCOL, target(), chosen, 10.0, service=pool))
        await asyncio.sleep(1)
        found.faults = frozenset({BLACK})
    seen = task.result()
    assert seen.failure is None
    assert seen.values["picture_luma_mean_ratio"] < 0.05  # the last picture; no picture was broken by the change
    assert seen.values["malformed_packets"] == 0


async def test_every_channel_of_a_platform_is_there(state: Path, pool: DecoderPool) -> None:
    channels = {"numbers": "1-60", "named": {"大厅": "/live/hall"}, "favourites": {"重点": ["大厅", 7]}, "sample": 6}
    options = {"path": "/Streaming/Channels/{channel}01", "channels": channels}
    seen = await look(state, pool, set(), **options)
    assert seen.failure is None
    assert (seen.values["channels_ok"], seen.values["channels_total"]) == (6, 61)
    missing = await look(state, pool, set(), path="/live")
    assert missing.failure is None


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_a_login_by_digest(state: Path, pool: DecoderPool, algorithm: str) -> None:
    login = {"username": "admin", "password": "camera-1"}
    async with camera(state, path="/live", **login) as (found, port):
        found.door.algorithm = algorithm
        chosen = {"port": port, "path": "/live", **login}
        assert (await measure(PROTOCOL, target(), chosen, 10.0, service=pool)).failure is None
        wrong = await measure(PROTOCOL, target(), chosen | {"password": "wrong"}, 10.0, service=pool)
    assert wrong.failure is not None
    assert (wrong.failure.stage, wrong.failure.code) == ("describe", "unauthorized")


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_curl_opens_the_door(algorithm: str) -> None:
    """An independent client's answer is what ``wire.digest`` computes (RFC 7616, 3.4).

    curl speaks HTTP here: the request line and the login are the same, and its RTSP is not to be had as a command.
    """
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    door = Door({"admin": "camera-1"}, algorithm=algorithm)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        method, uri, _ = line.split(" ")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
        good = door.admits(Request(method, uri, headers))
        status = "200 OK" if good else f"401 Unauthorized\r\nWWW-Authenticate: {door.challenge}"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/Streaming/Channels/101?a=b"
        for password, status in (("camera-1", b"200"), ("wrong", b"401")):
            process = await asyncio.create_subprocess_exec(
                *(curl, "--silent", "--digest", "--max-time", "10", "--request", "DESCRIBE"),
                *("--user", f"admin:{password}", "--write-out", "%{http_code}", url),
                stdout=subprocess.PIPE,
            )
            out, _ = await process.communicate()
            assert out == status


def test_a_door_takes_no_answer_twice_over() -> None:
    door = Door({"admin": "camera-1"}, algorithm="SHA-256")
    assert not door.admits(Request("DESCRIBE", "rtsp://x/", {"authorization": 'Digest username="admin"'}))
    assert not door.admits(Request("DESCRIBE", "rtsp://x/", {"authorization": "Basic YWRtaW46Y2FtZXJhLTE="}))
    assert "qop" in door.challenge
