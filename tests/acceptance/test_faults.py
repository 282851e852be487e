"""What goes wrong around a daemon, and what must hold all the same: a real process, an independent receiver's log."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.daemon import TOLD, daemon, free_port, lines, serving, target, told, write
from tests.support.webhook import WebhookReceiver

UNLIMITED = resource.RLIM_INFINITY

WELCOME = """\
probes:
  port:
    protocol: tcp
    description: 等待欢迎信息
    options: {port: 9, banner: welcome}
"""

BLOCKING = '''\
"""Stands still: a protocol with a defect."""

import time

from sentinel.sdk.protocol import Options, Protocol


class StillOptions(Options):
    """Nothing."""


async def probe(target, options, run):
    time.sleep(60)


PROTOCOL = Protocol("still", StillOptions, probe)
'''


@pytest.mark.timeout(90)
async def test_a_disk_that_takes_nothing_is_told_without_the_store_and_loses_nothing(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port), alerting=TOLD.format(url=webhook_receiver.url))
    async with daemon(tmp_path) as running:
        async with serving(port):
            await running.state("camera.port", "up")
            # No write past the first byte of any file succeeds: what a full disk is, to SQLite.
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (1, UNLIMITED))
            full = time.monotonic()
            (emergency,) = await told(webhook_receiver, 1, within=60)
            assert emergency["labels"] == {"alertname": "store-failing"} | emergency["labels"]
            assert emergency["status"] == "firing"
            assert time.monotonic() - full < 60
            assert await running.text("/livez")
            assert "sentinel_store_failing 1.0" in await running.text("/metrics")
            before = (await running.get("/api/v1/checks/camera.port"))["counts"]["ok"]
        await asyncio.sleep(4)  # a fault begins while nothing can be saved
        assert (await running.get("/api/v1/checks/camera.port"))["counts"]["ok"] >= before
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))
        freed = time.monotonic()
        alerts = await told(webhook_receiver, 3, within=30)
        assert time.monotonic() - freed < 30
        assert {(one["labels"]["alertname"], one["status"]) for one in alerts} == {
            ("store-failing", "firing"),
            ("store-failing", "resolved"),
            ("down", "firing"),
        }
        assert "sentinel_store_failing 0.0" in await running.text("/metrics")
        async with serving(port):
            await told(webhook_receiver, 4)
        assert await running.stop() == 0


@pytest.mark.timeout(60)
async def test_with_few_descriptors_probes_wait_and_the_page_answers(tmp_path: Path) -> None:
    port, names = free_port(), [f"camera-{number:03}" for number in range(150)]
    write(tmp_path, targets="".join(target(name, port, interval="2s") for name in names), limits="{host: 1000}")
    (tmp_path / "probes/port.yaml").write_text(WELCOME)
    few = ["sh", "-c", 'ulimit -n 90; exec "$@"', "sh"]
    async with serving(port, pause=0.3, greeting=b"welcome\r\n"), daemon(tmp_path, prefix=few) as running:
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            assert "sentinel_build_info" in await running.text("/metrics")
            await asyncio.sleep(0.1)
        items = (await running.get("/api/v1/checks?limit=1000"))["items"]
        assert Counter(one["state"] for one in items) == {"up": 150}
        assert (await running.get("/api/v1/incidents?state=all"))["items"] == []


@pytest.mark.timeout(60)
async def test_without_descriptors_a_check_is_unknown_and_comes_back(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port), alerting=TOLD.format(url=webhook_receiver.url))
    async with serving(port), daemon(tmp_path) as running:
        await running.state("camera.port", "up")
        pid = running.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        await asyncio.sleep(4)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        await running.state("camera.port", "up")
        counted = (await running.get("/api/v1/checks/camera.port"))["failures"]
        assert {one["code"] for one in counted} == {"no_resource"}
        assert sum(one["count"] for one in counted) >= 2
        incidents = (await running.get("/api/v1/incidents?state=all"))["items"]
        assert "camera" not in {one["target"] for one in incidents}  # ours, and never the target's


@pytest.mark.timeout(90)
async def test_a_stop_in_the_middle_of_probes_is_no_fault_of_the_target(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port, chance = free_port(), random.Random()
    names = [f"camera-{number}" for number in range(8)]
    write(
        tmp_path,
        targets="".join(target(name, port) for name in names),
        alerting=TOLD.format(url=webhook_receiver.url),
        limits="{host: 100}",
    )
    (tmp_path / "probes/port.yaml").write_text(WELCOME)
    async with serving(port, pause=0.6, greeting=b"welcome\r\n"):
        for _ in range(5):
            async with daemon(tmp_path) as running:
                await asyncio.sleep(chance.uniform(0.2, 1.2))
                assert await running.stop() == 0
        async with daemon(tmp_path) as running:
            for name in names:
                await running.state(f"{name}.port", "up")
            assert (await running.get("/api/v1/incidents?state=all"))["items"] == []
    assert webhook_receiver.requests == []


@pytest.mark.timeout(240)
async def test_killed_ten_times_no_alert_is_lost_and_few_come_twice(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port, chance = free_port(), random.Random()
    write(tmp_path, targets=target("camera", port), alerting=TOLD.format(url=webhook_receiver.url))
    kills = 10
    for number in range(kills):
        async with daemon(tmp_path) as running:
            if number % 2:
                async with serving(port):
                    await asyncio.sleep(chance.uniform(0.5, 3.0))
                    running.process.send_signal(signal.SIGKILL)
                    await running.process.wait()
            else:
                await asyncio.sleep(chance.uniform(0.5, 3.0))
                running.process.send_signal(signal.SIGKILL)
                await running.process.wait()
    async with serving(port), daemon(tmp_path) as running:
        await running.state("camera.port", "up")
        async with asyncio.timeout(30):
            while True:
                incidents = (await running.get("/api/v1/incidents?state=all"))["items"]
                histories = [await running.get(f"/api/v1/incidents/{one['id']}") for one in incidents]
                notices = [notice for one in histories for notice in one["notices"]]
                if all(one["state"] != "open" for one in incidents) and all(one["status"] == "sent" for one in notices):
                    break
                await asyncio.sleep(0.2)
    arrived = Counter(request.headers["Idempotency-Key"] for request in webhook_receiver.requests)
    assert set(arrived) == {notice["id"] for notice in notices}
    assert arrived.total() - len(arrived) <= kills
    for one in histories:  # whoever was told of a fault was told of its end
        events = [notice["event"] for notice in one["notices"]]
        assert events in ([], ["opened", "resolved"])


@pytest.mark.timeout(60)
async def test_a_loop_that_stands_still_is_not_kept_alive(tmp_path: Path) -> None:
    write(tmp_path, targets=target("camera", 9))
    (tmp_path / "probes/site").mkdir()
    (tmp_path / "probes/site/still.py").write_text(BLOCKING)
    for path in (tmp_path / "probes", tmp_path / "probes/site", tmp_path / "probes/site/still.py"):
        path.chmod(0o700)
    with (tmp_path / "config/sentinel.yaml").open("a") as settings:
        settings.write("site_protocols: true\n")
    (tmp_path / "probes/port.yaml").write_text("probes:\n  port: {protocol: still, options: {}}\n")
    inventory = tmp_path / "config/inventory.yaml"
    inventory.write_text(
        inventory.read_text().replace(", options: {port: 9}", "").replace("interval: 1s", "interval: 8s")
    )
    async with daemon(tmp_path, WATCHDOG_USEC="1000000") as running:
        async with asyncio.timeout(20):
            while True:
                before = running.notified.count("WATCHDOG=1")
                await asyncio.sleep(3)
                if running.notified.count("WATCHDOG=1") == before:
                    break
        running.process.send_signal(signal.SIGKILL)  # what systemd does then


@pytest.mark.timeout(60)
async def test_a_broken_database_is_set_aside_and_told(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port), alerting=TOLD.format(url=webhook_receiver.url))
    async with serving(port):
        async with daemon(tmp_path) as running:
            await running.state("camera.port", "up")
            assert await running.stop() == 0
        database = tmp_path / "sentinel.db"
        content = bytearray(database.read_bytes())
        content[4096:] = bytes(byte ^ 0x5A for byte in content[4096:])
        database.write_bytes(content)
        async with daemon(tmp_path) as running:
            (alert,) = await told(webhook_receiver, 1)
            assert (alert["labels"]["alertname"], alert["status"]) == ("store", "firing")
            await running.state("camera.port", "up")
            settings = tmp_path / "config/sentinel.yaml"
            settings.write_text(settings.read_text().replace("sentinel.db", "other.db"))
            assert (await running.cli("reload"))[0] == 0
            (line,) = [one for one in lines(running.log) if one["event"] == "config.needs_restart"]
            assert line["setting"] == "store"
    assert len(list(tmp_path.glob("sentinel.db*"))) >= 2  # what was broken is kept
