"""gb28181 against Kamailio as the platform, and against sipp as a device whose pictures ffmpeg and GStreamer make."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.gb28181 import PROTOCOL
from sentinel.protocols.gb28181.service import Service
from tests.support import peers
from tests.support.fixtures import NewFolder
from tests.support.gb28181_peers import CHANNEL, DEVICE, PASSWORD, PLATFORM, Device, ffmpeg, platform, sender
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.sip_peers import HOST


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


# -- a platform above ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def above(new_folder: NewFolder) -> Iterator[tuple[int, Path]]:
    with platform(new_folder("platform")) as found:
        yield found


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_platform_answers_options(above: tuple[int, Path], transport: str) -> None:
    found = await measure(PROTOCOL, target(HOST), {"port": above[0], "transport": transport, "device": PLATFORM})
    assert found.failure is None
    assert found.values["status"] == 200
    assert "amailio" in found.facts["server"]
    assert "options" in found.stages


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_challenge_is_enough_without_a_password(above: tuple[int, Path], transport: str) -> None:
    found = await measure(PROTOCOL, target(HOST), {"mode": "register", "port": above[0], "transport": transport})
    assert found.failure is None
    assert found.values["status"] == 401
    assert found.facts["realm"] == "1100000000"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_with_a_password_we_register_and_unregister(above: tuple[int, Path], transport: str) -> None:
    port, log = above
    before = log.read_text("utf-8").count("REGISTERED")
    options = {"mode": "register", "port": port, "transport": transport, "password": PASSWORD, "realm": "1100000000"}
    found = await measure(PROTOCOL, target(HOST), options)
    assert found.failure is None
    assert found.values["status"] == 200
    async with asyncio.timeout(5):
        while log.read_text("utf-8").count("REGISTERED") < before + 2:
            await asyncio.sleep(0.02)
    lines = [line for line in log.read_text("utf-8").splitlines() if "REGISTERED" in line]
    assert "EXPIRES 60" in lines[before]
    assert "EXPIRES 0" in lines[before + 1]


async def test_a_wrong_password_is_told(above: tuple[int, Path]) -> None:
    options = {"mode": "register", "port": above[0], "password": "wrong", "realm": "1100000000"}
    found = await measure(PROTOCOL, target(HOST), options)
    assert cause(found.failure) == ("login", "unauthorized")
    assert "wrong" not in str(found.failure)


# -- what registers with us ---------------------------------------------------------------------------------------


@asynccontextmanager
async def registrar(**options: Any) -> AsyncIterator["Registrar"]:
    assert PROTOCOL.service is not None
    async with PROTOCOL.service() as service:
        yield Registrar(service, free_port(HOST), options)


class Registrar:
    """Our registrar on a free port, and its probes."""

    def __init__(self, service: Service, port: int, options: Mapping[str, Any]) -> None:
        self.service, self.port = service, port
        self._options = {"listen": HOST, "listen_port": port, "device": DEVICE, "password": PASSWORD, **options}

    async def measure(self, mode: str, timeout: float = 8.0, **options: Any) -> Measurement:
        wanted = self._options | {"mode": mode} | options
        return await measure(PROTOCOL, target(HOST), wanted, timeout, service=self.service)

    async def listen(self) -> None:
        await self.service.registrar(PROTOCOL.options.model_validate(self._options | {"mode": "registered"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_a_device_registers_and_keeps_alive(tmp_path: Path, transport: str) -> None:
    device = Device(transport=transport)
    device.register(expires=1800)
    device.keepalive("ERROR")
    async with registrar() as ours:
        await ours.listen()
        with device.running(tmp_path, ours.port) as run:
            found = await ours.measure("registered")
            assert found.failure is None
            assert await run.ended_well(), run.messages
        found = await ours.measure("registered")
        assert found.values["registered"] == 1
        assert 1790 < found.values["registration_expires_seconds"] <= 1800
        assert found.values["keepalive_age_seconds"] < 5
        assert found.facts["agent"] == "sipp device"
        assert found.facts["keepalive_status"] == "ERROR"
        assert "Date: 2" in run.messages


async def registered(ours: Registrar, folder: Path, **more: Any) -> int:
    """A device has registered: the port that it did so from."""
    device = Device()
    device.register(**more)
    await ours.listen()
    (folder / "register").mkdir()
    with device.running(folder / "register", ours.port) as run:
        assert await run.ended_well(), run.messages
    return device.port


async def test_a_device_that_unregisters_is_gone_and_one_that_expires_too(tmp_path: Path) -> None:
    async with registrar(warm_up=0) as ours:
        await registered(ours, tmp_path)
        assert (await ours.measure("registered")).failure is None
        (tmp_path / "again").mkdir()
        await registered(ours, tmp_path / "again", expires=0)
        found = await ours.measure("registered")
        assert cause(found.failure) == ("register", "not_registered")
        assert found.failure is not None
        assert found.failure.detail == "unregistered"
        assert found.values["registered"] == 0
        (tmp_path / "short").mkdir()
        await registered(ours, tmp_path / "short", expires=1)
        assert (await ours.measure("registered")).failure is None
        await asyncio.sleep(1.6)
        found = await ours.measure("registered")
        assert found.failure is not None
        assert (found.failure.code, found.failure.detail) == ("not_registered", "expired")


async def test_with_a_wrong_password_nobody_registers(tmp_path: Path) -> None:
    async with registrar(warm_up=0) as ours:
        await registered(ours, tmp_path, password="wrong", expect=401)
        found = await ours.measure("registered")
        assert cause(found.failure) == ("register", "not_registered")
        assert "wrong password from 127.0.0.1" in str(found.failure)
        assert ours.service.refusals()["wrong password"] >= 1


async def test_after_a_start_a_device_that_is_missing_is_no_fault_of_its_own() -> None:
    async with registrar(warm_up=60) as ours:
        found = await ours.measure("registered", timeout=0.5)
        assert cause(found.failure) == ("register", "too_early")
        assert found.failure is not None
        assert found.failure.local


ITEM = "<Item><DeviceID>{id}</DeviceID><Name>{name}</Name><Status>{status}</Status></Item>"


def items(*numbers: int, off: int = 0) -> str:
    listed = "".join(
        ITEM.format(
            id=f"110100000013200{number:05d}", name=f"六里桥{number}号", status="OFF" if number == off else "ON"
        )
        for number in numbers
    )
    return f"<DeviceList Num='{len(numbers)}'>{listed}</DeviceList>"


def packet(total: int, listed: str, declared: str = "GB2312") -> str:
    return (
        f"<?xml version='1.0' encoding='{declared}'?><Response><CmdType>Catalog</CmdType><SN>[$sn]</SN>"
        f"<DeviceID>{DEVICE}</DeviceID><SumNum>{total}</SumNum>{listed}</Response>"
    )


@pytest.mark.parametrize(
    ("packets", "encoding", "values"),
    [
        ([packet(3, items(1, 2, 3, off=3))], "gb18030", (3, 3, 0, 2, 1)),
        ([packet(4, items(3, 4)), packet(4, items(1, 2))], "gb18030", (4, 4, 0, 4, 0)),
        ([packet(3, items(1)), packet(3, items(1)), packet(3, items(2, 3))], "utf-8", (3, 3, 0, 3, 0)),
        ([packet(5, items(1, 2))], "gb18030", (2, 5, 3, 2, 0)),
        ([packet(2, items(1, 2), declared="UTF-8")], "gb18030", (2, 2, 0, 2, 0)),
        ([packet(0, "")], "utf-8", (0, 0, 0, 0, 0)),
        ([packet(1, items(1, 2, 3))], "utf-8", (3, 1, 0, 3, 0)),
    ],
    ids=["one", "out of order", "twice", "fewer than announced", "another encoding", "empty", "more than announced"],
)
async def test_a_catalogue_is_put_together(
    tmp_path: Path, packets: list[str], encoding: str, values: tuple[int, ...]
) -> None:
    async with registrar(silence=0.5) as ours:
        device = Device(await registered(ours, tmp_path))
        device.asked()
        for one in packets:
            device.message(one, content_type="" if encoding == "utf-8" else "Application/MANSCDP+xml")
        with device.running(tmp_path, ours.port, encoding=encoding) as run:
            found = await ours.measure("catalog")
            assert await run.ended_well(), run.messages
        assert found.failure is None
        names = ("total", "announced", "missing", "on", "off")
        assert tuple(found.values[f"catalog_{name}"] for name in names) == values
        if values[4]:
            assert (found.values["catalog_status:ON"], found.values["catalog_status:OFF"]) == (2, 1)


STATUS = f"""<?xml version="1.0" encoding="GB2312"?><Response><CmdType>DeviceStatus</CmdType><SN>[$sn]</SN>
<DeviceID>{DEVICE}</DeviceID><Result>OK</Result><Online>ONLINE</Online><Status>ERROR</Status><Reason>硬盘故障</Reason>
<Encode>ON</Encode><Record>OFF</Record><DeviceTime>2026-01-01T00:00:00</DeviceTime></Response>"""

INFORMATION = f"""<?xml version="1.0" encoding="GB2312"?><Response><CmdType>DeviceInfo</CmdType><SN>[$sn]</SN>
<DeviceID>{DEVICE}</DeviceID><DeviceName>图像平台</DeviceName><Result>OK</Result><Manufacturer>某厂</Manufacturer>
<Model>M-1</Model><Firmware>V1.0</Firmware><Channel>32</Channel></Response>"""


@pytest.mark.parametrize("informed", [True, False])
async def test_a_device_says_how_and_what_it_is(tmp_path: Path, *, informed: bool) -> None:
    async with registrar() as ours:
        device = Device(await registered(ours, tmp_path))
        device.asked()  # by both questions in turn: the one that is not asked goes unheard
        device.message(STATUS)
        if informed:
            device.message(INFORMATION)
        with device.running(tmp_path, ours.port, calls=2) as run:
            found = await ours.measure("status", timeout=4)
            assert await run.ended_well(), run.messages
        assert found.failure is None
        assert (found.values["online"], found.values["healthy"]) == (1, 0)
        assert (found.values["encoding"], found.values["recording"]) == (1, 0)
        assert found.values["clock_offset_seconds"] < -86_400
        assert found.facts["reason"] == "硬盘故障"
        if informed:
            assert found.facts["name"] == "图像平台"
            assert found.facts["model"] == "M-1"
            assert found.values["channels"] == 32


# -- live pictures ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clips(new_folder: NewFolder) -> Mapping[str, Path]:
    """Two seconds of a test picture: program streams by ffmpeg and by GStreamer, bare streams and an MP4 file."""
    folder = new_folder("clips")
    tool = peers.require("ffmpeg")
    source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=352x288:rate=25:duration=2", "-pix_fmt", "yuv420p"]
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-bf", "0"]
    h265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=10:bframes=0"]
    found = {name: folder / f"{name}.bin" for name in ("ps", "ps265", "gst", "h264", "h265", "mpeg4")}
    for name, codec, container in (
        ("ps", h264, "vob"),
        ("ps265", h265, "vob"),
        ("h264", h264, "h264"),
        ("h265", h265, "hevc"),
        ("mpeg4", ["-c:v", "mpeg4"], "vob"),
    ):
        command = [tool, *source, *codec, "-f", container, str(found[name])]
        subprocess.run(command, check=True, timeout=15, stdin=subprocess.DEVNULL)
    pipeline = f"filesrc location={found['h264']} ! h264parse ! mpegpsmux ! filesink location={found['gst']}"
    subprocess.run([peers.require("gst-launch"), "-q", *pipeline.split()], check=True, timeout=15)
    return found


def description(port: str = "6000", transport: str = "RTP/AVP", more: str = "y=[$ssrc]") -> str:
    lines = ["v=0", f"o={DEVICE} 0 0 IN IP4 {HOST}", "s=Play", f"c=IN IP4 {HOST}", "t=0 0"]
    lines += [f"m=video {port} {transport} 96", "a=sendonly", "a=rtpmap:96 PS/90000", more, ""]
    return "\n".join(lines)


async def played(folder: Path, command: str, *, described: str = "", timeout: float = 8, **options: Any) -> Measurement:
    """One picture of a device that sends it by ``command`` and has to be told BYE."""
    async with registrar(channel=CHANNEL) as ours:
        device = Device(await registered(ours, folder))
        device.invited(command, described or description(), listens=options.get("media") == "tcp-active")
        device.hung_up()
        with device.running(folder, ours.port) as run:
            found = await ours.measure("play", timeout, **options)
            assert await run.ended_well(), run.messages
        return found


@pytest.mark.parametrize(
    ("clip", "codec"), [("ps", "H.264"), ("ps265", "H.265"), ("gst", "H.264")], ids=["ffmpeg", "H.265", "GStreamer"]
)
async def test_a_program_stream_becomes_a_picture(
    tmp_path: Path, clips: Mapping[str, Path], clip: str, codec: str
) -> None:
    found = await played(tmp_path, sender(str(clips[clip]), HOST, "[$port]", "[$ssrc]"))
    assert found.failure is None
    assert (found.values["picture_width_pixels"], found.values["picture_height_pixels"]) == (352, 288)
    assert (found.facts["container"], found.facts["codec"], found.facts["payload_type"]) == ("PS", codec, "96")
    assert found.values["ssrc_mismatch"] == 0
    assert found.values["lost_packets"] == 0
    assert {"register", "invite", "first_packet", "first_key_frame", "picture"} <= set(found.stages)


@pytest.mark.parametrize("media", ["tcp-passive", "tcp-active"])
async def test_the_picture_comes_over_tcp(tmp_path: Path, clips: Mapping[str, Path], media: str) -> None:
    port = str(free_port(HOST))
    how = ("[$port]", "[$ssrc]", "96", "tcp") if media == "tcp-passive" else (port, "[$ssrc]", "96", "listen")
    described = description(port, "TCP/RTP/AVP", "a=setup:" + ("active" if media == "tcp-passive" else "passive"))
    found = await played(tmp_path, sender(str(clips["ps"]), HOST, *how), described=described, media=media)
    assert found.failure is None
    assert found.facts["container"] == "PS"


async def test_a_transport_stream_in_its_place_is_a_picture_too(tmp_path: Path, clips: Mapping[str, Path]) -> None:
    output = ffmpeg(clips["h264"], "-t", "8", "-f", "rtp_mpegts", f"rtp://{HOST}:[$port]")
    found = await played(tmp_path, output)
    assert found.failure is None
    assert (found.facts["container"], found.facts["codec"], found.facts["payload_type"]) == ("TS", "H.264", "33")
    assert found.values["ssrc_mismatch"] == 1
    assert "asked for 0" in found.facts["ssrc"]


@pytest.mark.parametrize(("clip", "codec"), [("h264", "H.264"), ("h265", "H.265")])
async def test_bare_video_is_a_picture_too(tmp_path: Path, clips: Mapping[str, Path], clip: str, codec: str) -> None:
    found = await played(tmp_path, ffmpeg(clips[clip], "-t", "8", "-f", "rtp", f"rtp://{HOST}:[$port]"))
    assert found.failure is None
    assert (found.facts["container"], found.facts["codec"]) == (codec, codec)


async def test_a_byte_stream_without_any_format_is_a_picture_too(tmp_path: Path, clips: Mapping[str, Path]) -> None:
    found = await played(tmp_path, sender(str(clips["h264"]), HOST, "[$port]", "4242"))
    assert found.failure is None
    assert found.facts["container"] == "byte stream"
    assert found.values["ssrc_mismatch"] == 1


async def test_a_stream_is_watched_for_as_long_as_is_asked(tmp_path: Path, clips: Mapping[str, Path]) -> None:
    found = await played(tmp_path, sender(str(clips["gst"]), HOST, "[$port]", "[$ssrc]"), watch=1.2)
    assert found.failure is None
    assert found.values["watched_seconds"] >= 1.2
    assert "watch" in found.stages


async def test_a_codec_that_nobody_decodes_is_named(tmp_path: Path, clips: Mapping[str, Path]) -> None:
    found = await played(tmp_path, sender(str(clips["mpeg4"]), HOST, "[$port]", "[$ssrc]"), timeout=2)
    assert found.failure is not None
    assert found.failure.stage == "first_key_frame"
    assert found.failure.code in ("no_video", "no_key_frame")  # ffmpeg's program stream has no map that would say


async def test_no_packets_and_bye_all_the_same(tmp_path: Path) -> None:
    found = await played(tmp_path, "true", timeout=1.5)
    assert cause(found.failure) == ("first_packet", "no_packets")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("404 Not Found", "not_found"),
        ("486 Busy Here", "busy"),
        ("403 Forbidden", "forbidden"),
        ("488 Not Acceptable Here", "unsupported"),
        ("480 Temporarily Unavailable", "bad_status"),
    ],
)
async def test_a_refusal_is_told_and_acknowledged(tmp_path: Path, status: str, code: str) -> None:
    async with registrar() as ours:
        device = Device(await registered(ours, tmp_path))
        device.refuses(status)
        with device.running(tmp_path, ours.port) as run:
            found = await ours.measure("play")
            assert await run.ended_well(), run.messages
    assert cause(found.failure) == ("invite", code)
    assert status in str(found.failure)


async def test_a_cancelled_run_says_bye(tmp_path: Path) -> None:
    async with registrar() as ours:
        device = Device(await registered(ours, tmp_path))
        device.invited("true", description())
        device.hung_up()
        with device.running(tmp_path, ours.port) as run:
            playing = asyncio.get_running_loop().create_task(ours.measure("play"))
            async with asyncio.timeout(5):
                while "ACK sip" not in run.messages:
                    await asyncio.sleep(0.02)
            playing.cancel()
            assert await run.ended_well(), run.messages
            with pytest.raises(asyncio.CancelledError):
                await playing


async def test_what_is_not_answered_in_time_is_cancelled(tmp_path: Path) -> None:
    async with registrar() as ours:
        device = Device(await registered(ours, tmp_path))
        device.step('<recv request="INVITE"/>')
        device.answer("100 Trying")
        device.step('<recv request="CANCEL"/>')
        device.answer("200 OK")
        device.step(
            "<send><![CDATA[\nSIP/2.0 487 Request Terminated\n[last_Via:]\n[last_From:]\n[last_To:];tag=1\n"
            "[last_Call-ID:]\nCSeq: 1 INVITE\nContent-Length: 0\n\n]]></send>"
        )
        device.step('<recv request="ACK"/>')
        with device.running(tmp_path, ours.port) as run:
            found = await ours.measure("play", timeout=1)
            assert await run.ended_well(), run.messages
    assert cause(found.failure) == ("invite", "timed_out")
