"""The daemon as its users meet it: a real process, real sockets, a real receiver."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
from pathlib import Path

import pytest

from tests.support.daemon import (
    SLA,
    TOLD,
    Running,
    command,
    daemon,
    free_port,
    lines,
    serving,
    target,
    told,
    write,
)
from tests.support.webhook import WebhookReceiver

pytestmark = pytest.mark.timeout(60)


async def delivered(running: Running) -> None:
    """Wait until the store knows that every message of every incident was accepted."""
    async with asyncio.timeout(10):
        while True:
            items = (await running.get("/api/v1/incidents"))["items"]
            histories = [await running.get(f"/api/v1/incidents/{one['id']}") for one in items]
            if items and all(notice["status"] == "sent" for one in histories for notice in one["notices"]):
                return
            await asyncio.sleep(0.1)


async def test_break_told_heal_told(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port), alerting=TOLD.format(url=webhook_receiver.url))
    async with daemon(tmp_path) as running:
        async with serving(port):
            await running.state("camera.port", "up")
        await running.state("camera.port", "down")
        (opened,) = await told(webhook_receiver, 1)
        assert opened["status"] == "firing"
        assert opened["labels"]["check"] == "camera.port"
        assert "目标camera" in opened["annotations"]["summary"]
        assert "refused" in json.dumps(opened["annotations"])

        code, out, _ = await running.cli("incidents", "--json")
        incident = json.loads(out)["items"][0]["id"]
        assert code == 0
        code, out, _ = await running.cli("explain", incident)
        assert code == 0
        assert "duty" in out
        assert "已确认 confirmed" in out
        code, out, _ = await running.cli("status")
        assert code == 1
        assert "camera.port" in out

        async with serving(port):
            _, resolved = await told(webhook_receiver, 2)
            assert resolved["status"] == "resolved"
            assert resolved["labels"] == opened["labels"]
            code, *_ = await running.cli("status")
            assert code == 0
        assert (running.socket.stat().st_mode & 0o777) == 0o600
        assert stat.S_ISSOCK(running.socket.stat().st_mode)


async def test_a_restart_keeps_the_incident_and_tells_its_end_once(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port), alerting=TOLD.format(url=webhook_receiver.url))
    async with daemon(tmp_path) as running:
        await told(webhook_receiver, 1)
        await delivered(running)  # killed before that, it would rightly send the same message again
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()
    async with daemon(tmp_path) as running:
        await running.state("camera.port", "down")
        await asyncio.sleep(2)
        assert len(webhook_receiver.requests) == 1
        async with serving(port):
            alerts = await told(webhook_receiver, 2)
    assert [one["status"] for one in alerts] == ["firing", "resolved"]


async def test_reload_swaps_keeps_the_unchanged_and_refuses_what_is_broken(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port, other = free_port(), free_port()
    alerting = TOLD.format(url=webhook_receiver.url)
    write(tmp_path, targets=target("camera", port) + target("encoder", other), alerting=alerting)
    inventory = tmp_path / "config/inventory.yaml"
    good = inventory.read_text()
    async with serving(port), daemon(tmp_path) as running:
        before = await running.state("camera.port", "up")
        await told(webhook_receiver, 1)  # the encoder's

        inventory.write_text(good + target("third", port))
        code, out, _ = await command("check", "--config", str(tmp_path / "config"))
        assert code == 0
        assert "+1" in out
        code, out, _ = await running.cli("reload")
        assert code == 0
        await running.state("third.port", "up")
        after = await running.get("/api/v1/checks/camera.port")
        assert after["since"] == before["since"]
        assert after["counts"]["ok"] >= before["counts"]["ok"]

        inventory.write_text(good.replace("zone: here", "zone: nowhere"))
        running.process.send_signal(signal.SIGHUP)
        alerts = await told(webhook_receiver, 2)
        assert alerts[-1]["labels"]["alertname"] == "config"
        assert len((await running.get("/api/v1/checks"))["items"]) == 3
        assert "RELOADING=1" in running.notified
        code, _, err = await running.cli("reload")
        assert code == 1
        assert "inventory.yaml:" in err

        inventory.write_text("zones:\n  here: {name: 本机, vantage: centre}\ntargets:\n" + target("camera", port))
        assert (await running.cli("reload"))[0] == 0
        alerts = await told(webhook_receiver, 4)
        ended = {one["labels"]["alertname"]: one["status"] for one in alerts[2:]}
        assert ended == {"config": "resolved", "down": "resolved"}  # what was told is resolved, removed or not
        assert await running.stop() == 0


async def test_a_daemon_that_is_refused_says_why_and_where(tmp_path: Path) -> None:
    write(tmp_path, targets=target("camera", 9).replace("probe: port", "probe: prot"))
    code, _, err = await command("run", "--config", str(tmp_path / "config"))
    assert code == 1
    assert "inventory.yaml:4:" in err
    assert "did you mean" in err


async def test_metrics_and_health(tmp_path: Path) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port) + target("encoder", free_port()))
    async with serving(port), daemon(tmp_path) as running:
        await running.state("camera.port", "up")
        await running.state("encoder.port", "down")
        assert (await running.get("/readyz"))["status"] == "ready"
        text = await running.text("/metrics")
        assert 'sentinel_check_up{check="camera.port",target="camera"' in text
        up = {
            line.partition("{")[2].partition('"')[2].partition('"')[0]: line[-1]
            for line in text.splitlines()
            if line.startswith("sentinel_check_up{")
        }
        assert up == {"camera.port": "1", "encoder.port": "0"}
        assert 'sentinel_incidents_open{severity="critical"} 1' in text
        assert "sentinel_scheduler_lateness_seconds_bucket" in text
        page = await running.text("/")
        assert "目标" in page or "camera" in page
    for line in lines(running.log):
        assert line["event"]


async def test_the_watchdog_hears_of_life(tmp_path: Path) -> None:
    write(tmp_path, targets=target("camera", 9))
    async with daemon(tmp_path, WATCHDOG_USEC="1000000") as running:
        await asyncio.sleep(2.5)
        assert running.notified.count("WATCHDOG=1") >= 3
    assert "STOPPING=1" in running.notified


async def test_a_slow_parent_is_waited_for_and_named(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    switch, one = free_port(), free_port()
    write(
        tmp_path,
        targets=target("switch", switch) + target("camera", one, parents="switch"),
        alerting=TOLD.format(url=webhook_receiver.url),
        sla=SLA,
    )
    async with daemon(tmp_path) as running:
        async with serving(switch), serving(one):
            await running.state("switch.port", "up")
            await running.state("camera.port", "up")
        await running.state("camera.port", "down")
        (opened,) = await told(webhook_receiver, 1)
        assert opened["labels"]["target"] == "switch"
        assert "目标camera" in opened["annotations"]["description"]  # what hangs on it
        await asyncio.sleep(2)
        assert len(webhook_receiver.requests) == 1
        items = (await running.get("/api/v1/incidents"))["items"]
        suppressed = next(one for one in items if one["target"] == "camera")
        assert (suppressed["telling"], suppressed["cause"]) == ("suppressed", "switch")
        async with serving(switch), serving(one):
            await told(webhook_receiver, 2)
            await asyncio.sleep(2)
        assert len(webhook_receiver.requests) == 2
