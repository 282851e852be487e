"""The disk under a real daemon: full, failing, read-only.  Probes go on, people are told, all is saved afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.daemon import TOLD, Running, daemon, free_port, serving, target, told, write
from tests.support.peers import require
from tests.support.webhook import WebhookReceiver

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system and attach strace"),
]

TOLD_WITHIN = 60.0
"""Seconds from the fault to the emergency that leaves without the database."""
BACK_WITHIN = 30.0
"""Seconds from the end of the fault to everything saved and told."""


def on_small_disk(folder: Path) -> tuple[str, ...]:
    """A command that runs the daemon in a mount namespace of its own, where its data has 4 MiB."""
    require("unshare")
    disk = folder / "disk"
    disk.mkdir()
    settings = folder / "config/sentinel.yaml"
    settings.write_text(settings.read_text().replace(f"{folder}/sentinel.db", f"{disk}/sentinel.db"))
    mount = f'mount -t tmpfs -o size=4m tmpfs "{disk}" && exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh")


async def probes(running: Running) -> int:
    """Results of the switch so far: it is up all the time."""
    count: int = (await running.get("/api/v1/checks/switch.port"))["counts"]["ok"]
    return count


async def watched_through(running: Running, receiver: WebhookReceiver, camera: int, began: float) -> None:
    """The fault began then: people are told, probes go on, and a fault meanwhile is seen."""
    (emergency,) = await told(receiver, 1, within=TOLD_WITHIN)
    assert time.monotonic() - began < TOLD_WITHIN
    assert (emergency["labels"]["alertname"], emergency["status"]) == ("store-failing", "firing")
    assert (await running.text("/metrics")).count("sentinel_store_failing 1.0") == 1
    before = await probes(running)
    async with serving(camera):
        await asyncio.sleep(0)  # and gone again: the camera is down
    await asyncio.sleep(3)
    assert await probes(running) >= before + 2


async def all_saved(running: Running, receiver: WebhookReceiver, ended: float) -> None:
    """The fault ended then: its end and the camera's fault are told, and the camera's incident is on the disk."""
    alerts = await told(receiver, 3, within=BACK_WITHIN)
    assert time.monotonic() - ended < BACK_WITHIN
    assert {(one["labels"]["alertname"], one["status"]) for one in alerts} == {
        ("store-failing", "firing"),
        ("store-failing", "resolved"),
        ("down", "firing"),
    }
    (incident,) = (await running.get("/api/v1/incidents"))["items"]
    assert incident["subject"] == "camera.port"
    assert "sentinel_store_failing 0.0" in await running.text("/metrics")


async def test_a_full_file_system(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    camera, switch = free_port(), free_port()
    write(
        tmp_path,
        targets=target("camera", camera) + target("switch", switch),
        alerting=TOLD.format(url=webhook_receiver.url),
    )
    prefix = on_small_disk(tmp_path)
    async with serving(switch), daemon(tmp_path, prefix=prefix) as running:
        async with serving(camera):
            await running.state("camera.port", "up")
            disk = Path(f"/proc/{running.process.pid}/root{tmp_path}/disk")  # as the daemon sees it
            assert os.statvfs(disk).f_blocks * os.statvfs(disk).f_frsize == 4 << 20
            filler = disk / "filler"
            fill(filler)
            began = time.monotonic()
            await asyncio.to_thread(keep_full, filler, 1.5)
        await watched_through(running, webhook_receiver, camera, began)
        filler.unlink()
        await all_saved(running, webhook_receiver, time.monotonic())
        assert await running.stop() == 0


def fill(filler: Path) -> None:
    """Take every byte that is left."""
    with filler.open("ab", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


def keep_full(filler: Path, seconds: float) -> None:
    """And whatever the log of the database gives back when it is cut."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        fill(filler)
        time.sleep(0.1)


@asynccontextmanager
async def failing(running: Running) -> AsyncIterator[None]:
    """Every write and flush of files fails while the block runs: the kernel's answer, given by strace."""
    calls = "pwrite64,fdatasync,fsync,ftruncate"
    how = ("-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO")
    tracer = await asyncio.create_subprocess_exec(
        require("strace"), *how, "-p", str(running.process.pid), stderr=DEVNULL
    )
    try:
        yield
    finally:
        if tracer.returncode is None:
            tracer.send_signal(signal.SIGTERM)  # lets go of the daemon, which runs on
        await tracer.wait()


async def test_a_disk_that_answers_with_errors(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    camera, switch = free_port(), free_port()
    write(
        tmp_path,
        targets=target("camera", camera) + target("switch", switch),
        alerting=TOLD.format(url=webhook_receiver.url),
    )
    async with serving(switch), daemon(tmp_path) as running:
        async with serving(camera):
            await running.state("camera.port", "up")
        async with failing(running):
            await watched_through(running, webhook_receiver, camera, time.monotonic())
        await all_saved(running, webhook_receiver, time.monotonic())
        assert await running.stop() == 0


async def test_a_file_system_that_became_read_only(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    """Mounted over by a read-only one, as an administrator does it to a disk that fails; then taken off again."""
    camera, switch = free_port(), free_port()
    write(
        tmp_path,
        targets=target("camera", camera) + target("switch", switch),
        alerting=TOLD.format(url=webhook_receiver.url),
    )
    prefix = on_small_disk(tmp_path)
    async with serving(switch), daemon(tmp_path, prefix=prefix) as running:
        async with serving(camera):
            await running.state("camera.port", "up")
        await inside(running, f'mount -t tmpfs -o ro tmpfs "{tmp_path}/disk"')
        await watched_through(running, webhook_receiver, camera, time.monotonic())
        await inside(running, f'umount "{tmp_path}/disk"')
        await all_saved(running, webhook_receiver, time.monotonic())
        assert await running.stop() == 0


async def inside(running: Running, script: str) -> None:
    """Run a command in the daemon's mount namespace."""
    process = await asyncio.create_subprocess_exec(
        require("nsenter"), "--mount", "--target", str(running.process.pid), "sh", "-c", script
    )
    assert await process.wait() == 0
