"""Heartbeats of a real client (curl, as cron jobs call it) at a real daemon."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import TOLD, Running, daemon, free_port, target, told, write
from tests.support.peers import require
from tests.support.webhook import WebhookReceiver

pytestmark = pytest.mark.timeout(60)

TOKEN = "unit-01-0123456789abcdef"
OTHER = "night-job-0123456789abcd"
API_TOKEN = "the-api-has-its-own-token"
SLA = "rules:\n  - {id: silent, name: 失联, down: {failures: 1, of: 1}, severity: major, retry_interval: 60s}\n"


def unit(token: str = TOKEN, name: str = "unit-01", **options: str) -> str:
    given = json.dumps({"token": token, "every": "3s", "grace": "1s", **options})
    return (
        f"  - {{id: {name}, name: 单兵01, address: 127.0.0.1, kind: mobile-unit, zone: here, "
        f"checks: {{beat: {{probe: beat, interval: 300s, timeout: 1s, options: {given}}}}}}}\n"
    )


def prepare(folder: Path, url: str, *targets: str) -> None:
    write(folder, targets="".join(targets), alerting=TOLD.format(url=url), sla=SLA)
    (folder / "probes/beat.yaml").write_text("probes:\n  beat: {protocol: heartbeat, options: {}}\n")
    with (folder / "config/sentinel.yaml").open("a") as settings:
        settings.write(f"token: {API_TOKEN}\n")


async def curl(running: Running, path: str, *arguments: str) -> int:
    how = ("-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", *arguments)
    process = await asyncio.create_subprocess_exec(require("curl"), *how, running.url + path, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return int(out)


async def shown(running: Running, check: str = "unit-01.beat") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {API_TOKEN}"}
    found: dict[str, Any] = json.loads(await running.text(f"/api/v1/checks/{check}", **headers))
    return found


async def test_silence_is_told_and_word_ends_it(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    prepare(tmp_path, webhook_receiver.url, unit(), unit(OTHER, "night-job", every="1h"))
    async with daemon(tmp_path) as running:
        (late,) = await told(webhook_receiver, 1)
        assert (late["status"], late["labels"]["check"]) == ("firing", "unit-01.beat")
        assert "未按约定时间上报" in json.dumps(late["annotations"], ensure_ascii=False)
        assert await curl(running, f"/heartbeat/{TOKEN}") == 200
        assert (await told(webhook_receiver, 2))[-1]["status"] == "resolved"
        # By the name that the caller knows it by, with a body that nobody wants, and as HEAD.
        assert await curl(running, f"/heartbeat/{TOKEN}", "-H", "Host: sentinel.example", "-d", "x" * 4_000) == 200
        assert await curl(running, f"/heartbeat/{TOKEN}", "--head") == 200
        big = tmp_path / "log"
        big.write_bytes(b"x" * 300_000)
        assert await curl(running, f"/heartbeat/{TOKEN}", "--data-binary", f"@{big}") == 200

        assert await curl(running, f"/heartbeat/{OTHER}/start") == 200
        await asyncio.sleep(0.5)
        assert await curl(running, f"/heartbeat/{OTHER}/0") == 200
        values = (await shown(running, "night-job.beat"))["result"]["values"]
        assert 0.4 < values["duration_seconds"] < 5
        assert await curl(running, f"/heartbeat/{OTHER}/fail") == 200
        await asyncio.sleep(0.2)
        alerts = await told(webhook_receiver, 3)
        assert alerts[-1]["labels"]["check"] == "night-job.beat"
        assert "sentinel_heartbeat_age_seconds" in await running.text("/metrics", Authorization=f"Bearer {API_TOKEN}")
        assert TOKEN not in json.dumps(await shown(running))
    log = running.log.read_text()
    assert TOKEN not in log
    assert OTHER not in log


async def test_a_wrong_token_costs_a_second_and_tells_nothing(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    prepare(tmp_path, webhook_receiver.url, unit(every="1h"))
    async with daemon(tmp_path) as running:
        started = time.monotonic()
        assert await curl(running, "/heartbeat/guess-0123456789abcdef") == 404
        assert time.monotonic() - started >= 1.0
        guesses = [curl(running, f"/heartbeat/guess-{number:020}") for number in range(45)]
        answers = await asyncio.gather(*guesses, curl(running, f"/heartbeat/{TOKEN}"))
        assert answers[-1] == 200  # who knows one is heard all the same
        assert set(answers[:-1]) == {404, 429}
        assert await curl(running, f"/heartbeat/{TOKEN}", "-X", "DELETE") in {401, 405}
        assert await curl(running, "/api/v1/checks") == 401  # and the rest wants the API's token
        assert await curl(running, "/heartbeats/x") in {401, 404}
    assert "guess-" not in running.log.read_text()


async def test_a_restart_in_between_is_nobodys_fault_and_forgets_nothing(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    port = free_port()
    prepare(tmp_path, webhook_receiver.url, unit(every="4s", grace="2s"), target("switch", port, interval="300s"))
    (tmp_path / "config/sla.yaml").write_text(SLA.replace("name: 失联,", "name: 失联, select: {protocol: heartbeat},"))
    async with daemon(tmp_path) as running:
        assert await curl(running, f"/heartbeat/{TOKEN}") == 200
        await asyncio.sleep(1.5)  # on the disk
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()
    await asyncio.sleep(6)  # due and more than that while nobody listened
    async with daemon(tmp_path) as running:
        assert (await shown(running))["state"] in {"pending", "up"}
        await asyncio.sleep(3)
        assert webhook_receiver.requests == []
        await told(webhook_receiver, 1)
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()
    async with daemon(tmp_path) as running:
        await asyncio.sleep(4)
        assert (await shown(running))["state"] in {"down", "pending"}
        assert await curl(running, f"/heartbeat/{TOKEN}") == 200
        await asyncio.sleep(0.5)
        alerts = await told(webhook_receiver, 2)
    statuses = [one["status"] for one in alerts]
    assert statuses[0] == "firing"
    assert statuses[-1] == "resolved"
