"""The lab's conference endpoints and MCUs answer their shipped profiles, and show their faults."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.lab.authority import Authority
from sentinel.lab.servers.codec import SIMULATION
from sentinel.lab.servers.ssh import host_key
from sentinel.lab.simulation import Ground, Service
from sentinel.protocols.codec import PROTOCOL
from sentinel.protocols.codec.options import CodecOptions
from sentinel.sdk.ssh_login import fingerprint
from tests.support.ports import free_port
from tests.support.probing import measure, target

HOST = "127.0.0.1"

SSH: dict[str, Any] = {"username": "u", "password": "p", "host_key": fingerprint(host_key().public_data)}
PROFILES: dict[str, dict[str, Any]] = {
    "codec-cisco-ssh": {**SSH, "cameras": 1, "microphones": 2},
    "codec-cisco-http": {"username": "u", "password": "p", "scheme": "http", "cameras": 1, "microphones": 2},
    "codec-poly-ssh": {**SSH, "microphones": 1},
    "mcu-cms": {"username": "u", "password": "p", "participants": 5, "tls_verify": False},
    "mcu-pexip": {"username": "u", "password": "p", "participants": 5, "scheme": "http"},
}


@asynccontextmanager
async def lab(profile: str, folder: Path, *faults: str, **more: Any) -> AsyncIterator[CodecOptions]:
    port = free_port(HOST)
    options = CodecOptions.model_validate({"profile": profile, "port": port, **PROFILES[profile], **more})
    check = Check("set.codec", "codec", target(HOST, name="会议终端"), profile, "codec", options, 15.0, 10.0, None)
    service = Service(SIMULATION, "tcp", HOST, port, (check,))
    ground = Ground(Authority(folder), folder, time.monotonic)
    server = await SIMULATION.server(service, ground)
    assert ground.notes == []
    await server.open()
    await server.show(frozenset(faults))
    try:
        yield options
    finally:
        await server.close()


async def look(options: CodecOptions | Mapping[str, Any]) -> Measurement:
    return await measure(PROTOCOL, target(HOST), options, 10)


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_shipped_profile_reads_all_that_it_reads(profile: str, tmp_path: Path) -> None:
    async with lab(profile, tmp_path) as options:
        found = await look(options)
    assert found.failure is None, (found.failure, found.facts)
    names = {key.partition(":")[0] for key in found.values}
    declared = {value.name for value in options.plan.declared()}
    assert declared <= names
    assert found.values["values_missing"] == 0
    assert "unreadable" not in found.facts
    assert set(options.plan.facts) - {"diagnostics", "not_through"} <= set(found.facts)
    assert all(value == 0 for key, value in found.values.items() if key.startswith("packet_loss_ratio:"))
    assert all(0 < value < 0.01 for key, value in found.values.items() if key.startswith("jitter_seconds:"))


@pytest.mark.parametrize("profile", ["codec-cisco-ssh", "codec-cisco-http", "codec-poly-ssh"])
async def test_an_endpoint_shows_its_faults(profile: str, tmp_path: Path) -> None:
    faults = {"unregistered", "packet-loss", "microphone-unplugged"}
    cisco = profile != "codec-poly-ssh"
    async with lab(profile, tmp_path, *faults, *(["camera-unplugged"] if cisco else [])) as options:
        found = await look(options)
    assert found.failure is None
    values = found.values
    assert values["registered_sip"] == values["registered_gatekeeper"] == 0
    assert max(value for key, value in values.items() if key.startswith("packet_loss_ratio:")) == pytest.approx(0.05)
    assert values["microphones_missing"] == 1
    assert values["in_call"] == values["calls"] == 1
    if cisco:
        assert values["cameras_missing"] == 1
        assert values["diagnostics_errors"] == values["diagnostics_warnings"] == 1
        assert "A camera is not connected" in found.facts["diagnostics"]
        assert found.facts["registered_sip"] == "Failed"
        assert values["packet_loss_ratio:接收 视频 主流"] == pytest.approx(0.05)
        assert values["packet_loss_ratio:发送 视频 主流"] == 0


@pytest.mark.parametrize("profile", ["mcu-cms", "mcu-pexip"])
async def test_an_mcu_shows_who_is_missing(profile: str, tmp_path: Path) -> None:
    async with lab(profile, tmp_path, "mcu-not-full", "mcu-partly-connected", "packet-loss") as options:
        found = await look(options)
    assert found.failure is None
    assert found.values["participants_expected"] == 5
    assert found.values["participants_partly_connected"] == 1
    assert found.values["participants_missing"] == (2 if profile == "mcu-cms" else 3)
    assert found.facts["not_through"] == "会场01"
    losses = {key: value for key, value in found.values.items() if key.startswith("packet_loss_ratio:")}
    assert max(losses.values()) == pytest.approx(0.05)
    if profile == "mcu-cms":
        assert losses["packet_loss_ratio:会场02 接收 视频 主流"] == pytest.approx(0.05)


async def test_another_password_and_another_host_key_are_refused(tmp_path: Path) -> None:
    async with lab("codec-cisco-ssh", tmp_path) as options:
        wrong = await look(options.model_copy(update={"host_key": ("SHA256:" + "A" * 43,)}))
        assert wrong.failure is not None
        assert wrong.failure.code == "host_key_changed"
    async with lab("codec-cisco-http", tmp_path) as options:
        nobody = await look(options.model_copy(update={"username": None, "password": None}))
        assert nobody.failure is not None
        assert (nobody.failure.stage, nobody.failure.code) == ("query", "unauthorized")
