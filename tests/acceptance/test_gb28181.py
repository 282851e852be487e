"""A daemon that platforms register with by GB/T 28181: restarted, it asks them as if nothing had been."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Running, daemon, lines, write
from tests.support.gb28181_peers import DEVICE, PASSWORD, Device
from tests.support.ports import free_port
from tests.support.sip_peers import HOST

pytestmark = pytest.mark.timeout(90)

PROBES = """\
probes:
  catalog: {protocol: gb28181, description: 目录, options: {mode: catalog}}
  registered: {protocol: gb28181, description: 注册, options: {mode: registered}}
  play: {protocol: gb28181, description: 点播, options: {mode: play}}
"""

SLA = """\
rules:
  - {id: down, name: 不可用, down: {failures: 1, of: 1}, severity: critical, retry_interval: 500ms}
  - {id: missed, name: 心跳中断, threshold: {value: keepalives_missed, above: 2}, severity: major, retry_interval: 1s}
  - {id: shown, name: 调取, retrieval: {limit: 60s}, severity: critical, retry_interval: 500ms}
"""

ANOTHER = "11010000002000000008"
"""It never registers, so that no picture of it can be asked for."""

CATALOG = f"""<?xml version="1.0"?><Response><CmdType>Catalog</CmdType><SN>[$sn]</SN><DeviceID>{DEVICE}</DeviceID>
<SumNum>1</SumNum><DeviceList Num="1"><Item><DeviceID>11010000001320000001</DeviceID><Status>ON</Status></Item>
</DeviceList></Response>"""


def configure(folder: Path, port: int) -> None:
    options = f"listen: {HOST}, listen_port: {port}, password: {PASSWORD}"
    checks = ", ".join(
        f"{name}: {{probe: {name}, interval: 2s, timeout: 1500ms, options: {{{options}, device: '{device}'}}}}"
        for name, device in (("catalog", DEVICE), ("registered", DEVICE), ("play", ANOTHER))
    )
    place = f"address: {HOST}, kind: image-platform, zone: here"
    write(folder, targets=f"  - {{id: platform, name: 平台, {place}, checks: {{{checks}}}}}\n", sla=SLA)
    (folder / "probes/port.yaml").write_text(PROBES)


async def retrievals(running: Running) -> dict[str, Any]:
    """What is counted of the promise."""
    found = (await running.get("/api/v1/sla"))["items"]
    return next(one["counts"] for one in found if one["rule"] == "shown")


async def test_a_restart_asks_the_platform_at_once_and_a_catalogue_is_no_retrieval(tmp_path: Path) -> None:
    port = free_port(HOST)
    configure(tmp_path, port)
    registering = Device()
    registering.register(expires=3600)
    registering.keepalive()
    async with daemon(tmp_path) as running:
        (tmp_path / "first").mkdir()
        with registering.running(tmp_path / "first", port) as run:
            assert await run.ended_well(), run.messages
        await running.state("platform.registered", "up")
        await asyncio.sleep(2)  # until it is on the disk
        assert await running.stop() == 0
    first = len(lines(running.log))

    asked = Device(registering.port)  # it answers questions, and never registers
    asked.asked()
    asked.message(CATALOG)
    (tmp_path / "second").mkdir()
    with asked.running(tmp_path / "second", port, calls=3) as run:
        async with daemon(tmp_path) as running:
            found = await running.state("platform.catalog", "up")
            assert found["result"]["values"]["catalog_on"] == 1
            registered = (await running.state("platform.registered", "up"))["result"]["values"]
            assert registered["keepalive_age_seconds"] > 2
            assert registered["keepalives_missed"] == 0
            assert 3500 < registered["registration_expires_seconds"] < 3599
            assert await run.ended_well(15), run.messages  # three times the catalogue
            counts = await retrievals(running)
    assert "REGISTER" not in run.messages
    events = [line["event"] for line in lines(running.log)[first:]]
    assert "gb28181.resumed" in events
    assert "gb28181.registered" not in events
    assert counts["retrievals"] == 0
    assert PASSWORD.encode() not in (tmp_path / "sentinel.db").read_bytes()
