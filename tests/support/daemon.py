"""A real daemon process on a small configuration of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.webhook import WebhookReceiver

SENTINEL = [sys.executable, "-m", "sentinel"]

TOLD = """\
channels:
  duty:
    type: webhook
    options: {{url: "{url}"}}
routes:
  - channels: [duty]
"""

SLA = """\
rules:
  - id: down
    name: 不可用
    down: {failures: 2, of: 3}
    severity: critical
    retry_interval: 500ms
"""

PROBES = """\
probes:
  port:
    protocol: tcp
    description: 端口可以连接
    options: {port: 9}
"""


@dataclass
class Running:
    """A daemon that runs: its process, its folder, the page's address, what it told systemd."""

    process: asyncio.subprocess.Process
    folder: Path
    url: str
    notified: list[str]
    log: Path

    @property
    def socket(self) -> Path:
        return self.folder / "sentinel.sock"

    async def get(self, path: str) -> Any:
        """JSON of a page."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            response.raise_for_status()
            return await response.json()

    async def text(self, path: str, **headers: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.url + path, headers=headers) as response:
            response.raise_for_status()
            return await response.text()

    async def cli(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command of the command line against it."""
        return await command(*arguments, SENTINEL_SOCKET=str(self.socket))

    async def state(self, check: str, state: str, within: float = 10.0) -> dict[str, Any]:
        """Wait until the check is in this state."""
        async with asyncio.timeout(within):
            while True:
                found: dict[str, Any] = await self.get(f"/api/v1/checks/{check}")
                if found["state"] == state:
                    return found
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


async def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command of the command line."""
    process = await asyncio.create_subprocess_exec(
        *SENTINEL,
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def write(
    folder: Path, *, targets: str, alerting: str = "channels: {}\nroutes: []\n", sla: str = SLA, limits: str = "{}"
) -> None:
    """Write a small configuration into ``folder``."""
    config, probes = folder / "config", folder / "probes"
    config.mkdir(exist_ok=True)
    probes.mkdir(exist_ok=True)
    (config / "inventory.yaml").write_text(f"zones:\n  here: {{name: 本机, vantage: centre}}\ntargets:\n{targets}")
    (config / "sla.yaml").write_text(sla)
    (config / "alerting.yaml").write_text(alerting)
    (config / "sentinel.yaml").write_text(
        f"listen: 127.0.0.1:{free_port()}\nstore: {folder}/sentinel.db\nsocket: {folder}/sentinel.sock\n"
        f"limits: {limits}\n"
    )
    (probes / "port.yaml").write_text(PROBES)


@asynccontextmanager
async def serving(port: int, *, pause: float = 0.0, greeting: bytes = b"") -> AsyncIterator[None]:
    """Accept connections on a port of loopback; greet and end each after ``pause`` seconds."""

    at_work: set[asyncio.Task[None] | None] = set()

    async def end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        at_work.add(task)
        try:
            await asyncio.sleep(pause)
            writer.write(greeting)
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            at_work.discard(task)

    server = await asyncio.start_server(end, "127.0.0.1", port, backlog=1024)
    try:
        yield
    finally:
        server.close()
        for task in tuple(at_work):
            if task is not None:
                task.cancel()
        await server.wait_closed()
        await asyncio.sleep(0)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def target(name: str, port: int, *, interval: str = "1s", parents: str = "") -> str:
    """One target of the inventory with a check ``port`` on loopback."""
    above = f", parents: [{parents}]" if parents else ""
    return (
        f"  - {{id: {name}, name: 目标{name}, address: 127.0.0.1, kind: terminal, zone: here{above}, "
        f"checks: {{port: {{probe: port, interval: {interval}, timeout: 1s, options: {{port: {port}}}}}}}}}\n"
    )


@asynccontextmanager
async def daemon(folder: Path, *, prefix: Sequence[str] = (), **environment: str) -> AsyncIterator[Running]:
    """Run ``sentinel run`` on the folder's configuration until the block ends; it is ready when the block begins.

    ``prefix`` is a command that runs it: ``prlimit``, say.
    """
    notify = folder / "notify.sock"
    notify.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    receiver.bind(str(notify))
    log = folder / "daemon.log"
    loop = asyncio.get_running_loop()
    notified: list[str] = []
    ready = asyncio.Event()

    def heard() -> None:
        notified.extend(receiver.recv(4096).decode().splitlines())
        if "READY=1" in notified:
            ready.set()

    loop.add_reader(receiver, heard)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *prefix,
            *SENTINEL,
            "run",
            "--config",
            str(folder / "config"),
            stdout=output,
            stderr=output,
            env=os.environ | {"NOTIFY_SOCKET": str(notify)} | environment,
        )
    try:
        ended = asyncio.ensure_future(process.wait())  # noqa: TID251 - awaited right below
        began = asyncio.ensure_future(ready.wait())  # noqa: TID251 - the same
        await asyncio.wait({ended, began}, timeout=15, return_when=asyncio.FIRST_COMPLETED)
        began.cancel()
        assert ready.is_set(), log.read_text()
        listen = (folder / "config/sentinel.yaml").read_text().partition("listen: ")[2].partition("\n")[0]
        yield Running(process, folder, f"http://{listen}", notified, log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        loop.remove_reader(receiver)
        receiver.close()


async def told(receiver: WebhookReceiver, count: int, within: float = 15.0) -> list[dict[str, Any]]:
    """Wait until so many messages have come; all alerts in them."""
    await receiver.received(count, within=within)
    return [one for request in receiver.requests for one in request.json["alerts"]]


def lines(log: Path) -> list[dict[str, Any]]:
    """The daemon's log, each line decoded."""
    return [json.loads(line) for line in log.read_text().splitlines()]
