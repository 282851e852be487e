"""The lab of the whole shipped inventory, a real process, measured by the daemon's own probes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from sentinel.lab.servers import FAULTS
from tests.support.lab import Prober, RunningLab, environment, prober, running, start
from tests.support.peers import SEARCH_PATH, require

pytestmark = pytest.mark.timeout(120)

AT_ONCE = 20

SHOWN = [
    ("hall-01", "down", "hall-01.desktop", ("connect", "refused")),
    ("biz-01", "down", "biz-01.web", ("connect", "refused")),
    ("img-02-cam-1", "down", "img-02-cam-1.picture", ("connect", "refused")),
    ("core-1", "down", "core-1.agent", ("get", "timed_out")),
    ("biz-30", "http-500", "biz-30.web", ("expect", "bad_status")),
    ("biz-02", "http-500", "biz-02.web", ("expect", "bad_status")),
    ("biz-01", "cert-expired", "biz-01.web", ("tls", "tls_expired")),
    ("biz-02", "cert-expired", "biz-02.certificate", ("tls", "tls_expired")),
    ("dns-internal", "dns-servfail", "dns-internal.names", ("expect", "bad_status")),
    ("dns-internal", "dns-empty", "dns-internal.zone", ("expect", "not_found")),
    ("dns-internal", "down", "dns-internal.names-tcp", ("connect", "refused")),
    ("hall-mixer", "snmp-silent", "hall-mixer.agent", ("get", "timed_out")),
    ("img-01-cam-1", "rtsp-unauthorized", "img-01-cam-1.picture", ("describe", "unauthorized")),
    ("img-01-cam-1", "rtsp-hang", "img-01-cam-1.picture", ("options", "timed_out")),
    ("img-01-cam-1", "no-packets", "img-01-cam-1.picture", ("first_packet", "no_packets")),
    ("img-01-cam-1", "rtsp-sound-only", "img-01-cam-1.picture", ("first_packet", "no_packets")),
    ("img-01", "no-packets", "img-01.pictures", ("first_packet", "no_packets")),
    ("set-209", "sip-silent", "set-209.sip", ("options", "timed_out")),
    ("sip-server", "sip-silent", "sip-server.sip-tls", ("options", "timed_out")),
    ("sip-server", "sip-unavailable", "sip-server.sip", ("expect", "bad_status")),
    ("sip-server", "cert-expired", "sip-server.sip-tls", ("tls", "tls_expired")),
    ("img-02-cam-1", "onvif-unauthorized", "img-02-cam-1.onvif", ("query", "unauthorized")),
    ("gatekeeper", "h323-silent", "gatekeeper.gatekeeper", ("exchange", "timed_out")),
    ("surveillance-platform", "gb28181-no-picture", "surveillance-platform.play", ("first_packet", "no_packets")),
    ("surveillance-platform", "down", "surveillance-platform.sip", ("options", "timed_out")),
    ("set-209", "down", "set-209.call", ("connect", "refused")),
    ("time-server", "clock-unsynchronised", "time-server.clock", ("expect", "mismatch")),
    ("biz-01", "login-refused", "biz-01.login", ("expect", "forbidden")),
    ("recorder-1", "host-key-changed", "recorder-1.load", ("key_exchange", "host_key_changed")),
    ("access-internal", "switch-down", "access-internal.agent", ("get", "timed_out")),
    ("access-internal", "switch-down", "duty-int-1.desktop", ("connect", "refused")),
]

MEASURED = {"rtsp-loss", "picture-frozen", "picture-black", "picture-no-signal", "picture-snow", "gb28181-cameras-off"}
MEASURED |= {"unregistered", "packet-loss", "camera-unplugged", "microphone-unplugged"}  # tests/unit/lab/test_codec.py
MEASURED |= {"mcu-not-full", "mcu-partly-connected"}
MEASURED |= {"clock-drift"}  # tests/protocols/test_onvif.py
ELSEWHERE = {"heartbeat-fails"}  # test_demo.py: only a daemon that runs is called
ELSEWHERE |= {"gb28181-unregistered"}  # tests/unit/lab/test_gb28181.py: an order from here would block the registrar
"""Faults that fail no probe and are seen in its values: tests/unit/lab/test_camera.py and test_gb28181.py."""


VALUES: list[tuple[str, str, str, str, float]] = [
    ("time-server", "clock-wrong", "time-server.clock", "offset_seconds", 300),
    ("hall-display", "lamp-failed", "hall-display.control", "error:lamp", 2),
    ("hall-display", "display-off", "hall-display.control", "power", 0),
    ("recorder-1", "recording-missing", "recorder-1.recordings", "missing_numbers", 2),
    ("recorder-1", "recording-stopped", "recorder-1.recordings", "newest_age_seconds", 10_800),
    ("access-internal", "link-down", "access-internal.interfaces", "if_up:ge0/0/1", 0),
    ("hall-ups", "mains-lost", "hall-ups.state", "ups_on_battery", 1),
]
"""Faults that fail no probe either, what they change, and to what."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running(tmp_path_factory.mktemp("lab")) as found:
        yield found


@pytest.fixture
async def probe() -> AsyncIterator[Prober]:
    async with prober() as found:
        yield found


@pytest.fixture(autouse=True)
def healed(lab: RunningLab) -> Iterator[None]:
    yield
    lab.order("heal")


async def measure_all(lab: RunningLab, probe: Prober, checks: list[str]) -> dict[str, tuple[str, str] | None]:
    places = asyncio.Semaphore(AT_ONCE)
    found: dict[str, tuple[str, str] | None] = {}

    async def one(check: str) -> None:
        async with places:
            failure = (await probe(lab, check)).failure
        found[check] = None if failure is None else (failure.stage, failure.code)

    await asyncio.gather(*map(one, checks))
    return found


async def test_every_check_of_the_shipped_inventory_is_well(lab: RunningLab, probe: Prober) -> None:
    checks = dict(lab.configuration.checks)
    if not lab.status["pings"] and os.geteuid() != 0:  # without privilege a ping may be UNKNOWN: that is its own test
        checks = {id_: check for id_, check in checks.items() if check.protocol != "icmp"}
    # Only a daemon that runs is called: see test_demo.
    checks = {id_: check for id_, check in checks.items() if check.protocol != "heartbeat"}
    found = await measure_all(lab, probe, list(checks))
    assert {check: failure for check, failure in found.items() if failure} == {}
    assert len(found) > 300
    assert lab.status["notes"] == []


@pytest.mark.parametrize(("target", "fault", "check", "shown"), SHOWN, ids=str)
async def test_a_fault_shows_and_heals(
    lab: RunningLab, probe: Prober, target: str, fault: str, check: str, shown: tuple[str, str]
) -> None:
    assert (await probe(lab, check)).failure is None
    answer = lab.order("break", target, fault)
    assert answer["ok"], answer
    assert target in {each["id"] for each in answer["changed"]}
    failure = (await probe(lab, check)).failure
    assert failure is not None
    assert (failure.stage, failure.code) == shown
    assert lab.order("heal", target)["ok"]
    assert (await probe(lab, check)).failure is None


@pytest.mark.parametrize(("target", "fault", "check", "value", "shown"), VALUES, ids=str)
async def test_a_fault_changes_a_value_and_heals(
    lab: RunningLab, probe: Prober, target: str, fault: str, check: str, value: str, shown: float
) -> None:
    well = await probe(lab, check)
    assert well.failure is None
    assert lab.order("break", target, fault)["ok"]
    ill = await probe(lab, check)
    assert ill.failure is None
    assert ill.values[value] == pytest.approx(shown, rel=0.2)
    assert well.values[value] != pytest.approx(shown, rel=0.2)
    assert lab.order("heal", target)["ok"]
    assert (await probe(lab, check)).values[value] != pytest.approx(shown, rel=0.2)


def test_every_fault_is_shown_above() -> None:
    shown = {fault for _, fault, *_ in (*SHOWN, *VALUES)} | {"slow", "h323-reject"}
    assert set(FAULTS) == shown | MEASURED | ELSEWHERE


@pytest.mark.parametrize(
    ("check", "late_by"), [("biz-30.web", 1.4), ("core-1.agent", 0.7), ("img-01-cam-1.picture", 2.1)]
)
async def test_slow_is_late_and_in_time(lab: RunningLab, probe: Prober, check: str, late_by: float) -> None:
    assert lab.order("break", check.partition(".")[0], "slow")["ok"]
    late = await probe(lab, check)
    assert late.failure is None
    assert late.took >= late_by - 0.01


async def test_a_gatekeeper_that_rejects_is_alive(lab: RunningLab, probe: Prober) -> None:
    assert (await probe(lab, "gatekeeper.gatekeeper")).values["confirmed"] == 1
    assert lab.order("break", "gatekeeper", "h323-reject")["ok"]
    rejected = await probe(lab, "gatekeeper.gatekeeper")
    assert rejected.failure is None
    assert rejected.values["confirmed"] == 0
    assert rejected.facts["reason"] == "resourceUnavailable"


async def test_a_broken_switch_takes_all_that_has_no_other_way(lab: RunningLab, probe: Prober) -> None:
    answer = lab.order("break", "core-1", "switch-down")
    assert [each["id"] for each in answer["changed"]] == ["core-1"]
    assert any("access-hall-1" in note for note in answer["notes"])
    assert (await probe(lab, "hall-01.desktop")).failure is None

    answer = lab.order("break", "core-2", "switch-down")
    gone = {each["id"] for each in answer["changed"]}
    assert {"core-2", "access-hall-1", "hall-01", "biz-45", "img-12-cam-3", "set-liuliqiao"} <= gone
    assert (await probe(lab, "hall-01.desktop")).failure is not None
    refused = lab.order("heal", "hall-01")
    assert not refused["ok"]
    assert "core-1, core-2" in refused["error"]

    lab.order("heal", "core-1")
    found = await measure_all(lab, probe, ["hall-01.desktop", "biz-45.web", "core-1.agent", "core-2.agent"])
    assert found == {
        "hall-01.desktop": None,
        "biz-45.web": None,
        "core-1.agent": None,
        "core-2.agent": ("get", "timed_out"),
    }


async def test_connections_that_are_open_break_too(lab: RunningLab) -> None:
    target = lab.configuration.targets["hall-02"]
    reader, writer = await asyncio.open_connection(target.address, 3389)
    lab.order("break", "hall-02", "down")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping pings needs root")
async def test_pings_to_a_broken_target_are_lost(lab: RunningLab, probe: Prober) -> None:
    require("nft")
    assert lab.status["pings"]
    lab.order("break", "hall-03", "down")
    found = await measure_all(lab, probe, ["hall-03.ping", "hall-04.ping"])
    assert found == {"hall-03.ping": ("echo", "lost"), "hall-04.ping": None}
    lab.order("heal", "hall-03")
    assert (await probe(lab, "hall-03.ping")).failure is None


def test_what_makes_no_sense_is_refused_with_what_would(lab: RunningLab) -> None:
    assert "did you mean `hall-01`" in lab.order("break", "hal-01", "down")["error"]
    assert "did you mean `http-500`" in lab.order("break", "biz-01", "http-50")["error"]
    wrong = lab.order("break", "hall-01", "http-500")
    assert not wrong["ok"]
    assert wrong["error"].endswith("what fits: down")
    assert "JSON" in lab.order("nonsense")["error"] or "order" in lab.order("nonsense")["error"]
    assert lab.order("status")["faults"] == {}


async def test_values_live(lab: RunningLab, probe: Prober) -> None:
    first = await probe(lab, "core-1.interfaces")
    await asyncio.sleep(1.1)
    second = await probe(lab, "core-1.interfaces")
    assert second.values["uptime_seconds"] > first.values["uptime_seconds"]
    rates = {name: value for name, value in second.values.items() if name.startswith("if_in_bits_per_second:")}
    assert len(rates) == 28
    assert all(0 < rate < 1e10 for rate in rates.values())
    assert len(set(rates.values())) > 20


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ffprobe_plays_a_camera(lab: RunningLab, transport: str) -> None:
    address = lab.configuration.targets["img-01-cam-1"].address
    command = [require("ffprobe"), "-v", "error", "-rtsp_transport", transport, "-read_intervals", "%+2"]
    command += ["-select_streams", "v", "-show_entries", "stream=codec_name,width,height:frame=pts_time", "-of", "flat"]
    url = f"rtsp://{address}:20554/Streaming/Channels/101"
    ended = subprocess.run([*command, url], capture_output=True, text=True, timeout=20, check=True)
    assert 'codec_name="h264"' in ended.stdout
    assert "width=640" in ended.stdout
    # The first picture's time is N/A: ffmpeg's parser has not seen the next one's yet.
    times = [
        float(line.split('"')[1]) for line in ended.stdout.splitlines() if "pts_time" in line and "N/A" not in line
    ]
    assert len(times) > 25
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert all(abs(step - 0.04) < 0.002 for step in steps), steps
    assert "error" not in ended.stderr.lower()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_gstreamer_plays_a_camera(lab: RunningLab, transport: str) -> None:
    gst = require("gst-launch")
    address = lab.configuration.targets["img-01-cam-1"].address
    url = f"rtsp://{address}:20554/Streaming/Channels/101"
    source = ["rtspsrc", f"location={url}", f"protocols={transport}", "latency=0"]
    sink = ["!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "fakesink", "num-buffers=30", "sync=false"]
    ended = subprocess.run([gst, "-q", *source, *sink], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "ERROR" not in ended.stderr


def test_the_clip_goes_round_without_a_break(lab: RunningLab) -> None:
    address = lab.configuration.targets["img-01-cam-2"].address
    command = [require("ffprobe"), "-v", "error", "-rtsp_transport", "tcp", "-read_intervals", "%+5"]
    url = f"rtsp://{address}:20554/Streaming/Channels/101"
    shown = ["-select_streams", "v", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0", url]
    ended = subprocess.run([*command, *shown], capture_output=True, text=True, timeout=20, check=True)
    rows = [line.split(",") for line in ended.stdout.split()]
    keys = [float(time) for time, flags, *_ in rows if flags.startswith("K") and time != "N/A"]
    assert len(rows) > 110
    assert all(abs(later - earlier - 1) < 0.01 for earlier, later in pairwise(keys))


def test_snmpwalk_reads_an_agent(lab: RunningLab) -> None:
    require("snmpget")
    walk = shutil.which("snmpbulkwalk", path=SEARCH_PATH)
    assert walk is not None
    address = lab.configuration.targets["core-1"].address
    command = [walk, "-v2c", "-cpublic", "-On", "-r0", f"{address}:20161"]
    everything = subprocess.run([*command, ".1"], capture_output=True, text=True, timeout=15, check=True).stdout
    names = [line.partition(" ")[0] for line in everything.splitlines() if line.startswith(".1")]
    numbers = [tuple(map(int, name.strip(".").split("."))) for name in names]
    assert len(numbers) > 500
    assert numbers == sorted(numbers)
    assert ".1.3.6.1.2.1.1.5.0 = STRING: " in everything
    assert "Counter64" in everything


async def test_another_lab_takes_the_next_block(lab: RunningLab, probe: Prober, tmp_path: Path) -> None:
    with running(tmp_path) as other:
        assert other.block != lab.block
        assert other.order("break", "hall-01", "down")["ok"]
        assert (await probe(other, "hall-01.desktop")).failure is not None
        assert (await Prober(probe.protocols, probe.services)(lab, "hall-01.desktop")).failure is None
        assert other.stop() == 0
    assert not other.socket.exists()


def tables() -> str:
    nft = shutil.which("nft", path=SEARCH_PATH)
    if nft is None or os.geteuid() != 0:
        return ""
    return subprocess.run([nft, "list", "tables"], capture_output=True, text=True, timeout=10, check=True).stdout


async def test_a_killed_lab_leaves_nothing_in_the_way(probe: Prober, tmp_path: Path) -> None:
    killed = start(tmp_path)
    killed.order("break", "hall-01", "down")
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait(5)
    killed.stop()
    assert killed.socket.exists()
    table = f"sentinel_lab_{killed.block}\n"
    for _ in range(50):
        if table not in tables():
            break
        await asyncio.sleep(0.1)
    assert table not in tables()
    with running(tmp_path) as lab:
        assert lab.block <= killed.block
        assert (await probe(lab, "hall-01.desktop")).failure is None


async def test_the_command_line(lab: RunningLab) -> None:
    from tests.support.daemon import command

    chosen = ("--block", str(lab.block))
    code, out, _ = await command("lab", "break", "biz-01", "cert-expired", *chosen, **environment(lab.folder))
    assert (code, out) == (0, "biz-01  市交通委业务系统\n")
    code, out, _ = await command("lab", "status", *chosen, **environment(lab.folder))
    assert code == 0
    assert "biz-01  cert-expired" in out
    code, _, err = await command("lab", "break", "hall-01", "no-packets", *chosen, **environment(lab.folder))
    assert code == 2
    assert "what fits: down" in err
    code, out, _ = await command("lab", "heal", "--all", *chosen, **environment(lab.folder))
    assert code == 0
    code, _, err = await command("lab", "status", **environment(lab.folder / "nowhere"))
    assert code == 3
    assert "no lab runs" in err
    code, out, _ = await command("lab", "faults")
    assert code == 0
    assert all(fault in out for fault in FAULTS)
