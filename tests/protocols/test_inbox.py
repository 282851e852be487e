"""The contract of protocols that are told things: one is dropped into a real daemon and rung by real packets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import TOLD, Running, daemon, free_port, lines, told, write
from tests.support.webhook import WebhookReceiver

pytestmark = pytest.mark.timeout(60)

BELL = '''
"""Bell: did somebody ring?"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from pydantic import Field

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Target
from sentinel.sdk.protocol import Inbox, Options, Protocol, Run, Value


class BellOptions(Options):
    port: int = Field(ge=1, le=65_535, description="UDP port that the bell rings at.")
    lasting: bool = Field(default=False, description="Whether a probe finds it broken.")


class Bell:
    """Hears packets of the form ``check word``."""

    def __init__(self):
        self.inbox = None
        self.sockets = {}

    def listen(self, ports):
        loop = asyncio.get_running_loop()
        for port in self.sockets.keys() - ports:
            loop.remove_reader(self.sockets[port])
            self.sockets.pop(port).close()
        for port in ports - self.sockets.keys():
            sock = self.sockets[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            sock.bind(("127.0.0.1", port))
            loop.add_reader(sock, self.heard, sock)

    def heard(self, sock):
        check, word = sock.recv(512).decode().split()
        if word == "probe":
            self.inbox.hasten(check)
            return
        failure = Failure("exchange", "mismatch", "it rings wrong") if word == "wrong" else None
        self.inbox.report(check, Measurement(0.0, failure, values={"volume_ratio": 0.5}))


@contextlib.asynccontextmanager
async def service():
    bell = Bell()
    try:
        yield bell
    finally:
        if bell.inbox is not None:
            for check in bell.inbox.checks():  # what is said while the daemon stops is nobody's fault
                bell.inbox.report(check.id, Measurement(0.0, Failure("exchange", "mismatch", "stopping")))
        bell.listen(set())


def attach(bell, inbox: Inbox) -> None:
    bell.inbox = inbox
    bell.listen({check.options.port for check in inbox.checks()})


async def probe(target: Target, options: BellOptions, run: Run) -> None:
    """Whether it is broken."""
    with run.stage("exchange"):
        await asyncio.sleep(0.01)
    run.values["weight_kilograms"] = 2.0
    if options.lasting:
        run.fail("mismatch", "it is broken")


PROTOCOL = Protocol(
    "bell",
    BellOptions,
    probe,
    values=(Value("volume_ratio", "", "How loud it was."), Value("weight_kilograms", "kg", "What it weighs.")),
    service=service,
    attach=attach,
    transport="udp",
)
'''

DEFECT = "def attach(bell, inbox: Inbox) -> None:\n    raise RuntimeError('no')\n\n\ndef forget(bell, inbox):\n"


def ring(port: int, text: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), ("127.0.0.1", port))


def bell(name: str, port: int, **options: Any) -> str:
    given = json.dumps({"port": port, **options})
    return (
        f"  - {{id: {name}, name: 门铃{name}, address: 127.0.0.1, kind: terminal, zone: here, "
        f"checks: {{bell: {{probe: bell, interval: 300s, timeout: 1s, options: {given}}}}}}}\n"
    )


def drop_in(folder: Path, source: str = BELL) -> None:
    site = folder / "probes/site"
    site.mkdir()
    (site / "bell.py").write_text(source)
    (folder / "probes/port.yaml").write_text("probes:\n  bell: {protocol: bell, options: {port: 9}}\n")
    for path in (folder / "probes", site, site / "bell.py"):
        path.chmod(0o700)
    with (folder / "config/sentinel.yaml").open("a") as settings:
        settings.write("site_protocols: true\n")


async def seen(running: Running, check: str, when: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while not when(found := await running.get(f"/api/v1/checks/{check}")):
            await asyncio.sleep(0.05)
    return dict(found)


async def test_told_things_are_judged_like_probes_and_seen_after_a_reload(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    first, second = free_port(), free_port()
    sla = "rules:\n  - {id: down, name: 不可用, down: {failures: 1, of: 1}, severity: critical, retry_interval: 60s}\n"
    write(tmp_path, targets=bell("gate", first), alerting=TOLD.format(url=webhook_receiver.url), sla=sla)
    drop_in(tmp_path)
    inventory = tmp_path / "config/inventory.yaml"
    async with daemon(tmp_path) as running:
        ring(first, "gate.bell probe")  # out of turn: its own time may be half a minute away
        probed = await seen(running, "gate.bell", lambda one: one["state"] == "up")
        ring(first, "gate.bell right")
        heard = await seen(running, "gate.bell", lambda one: one["counts"]["ok"] == 2)
        assert heard["result"]["values"] == {"volume_ratio": 0.5, "weight_kilograms": 2.0}
        assert heard["result"]["took"] == probed["result"]["took"] > 0
        assert heard["result"]["stages"] == probed["result"]["stages"]

        ring(first, "gate.bell wrong")
        (alert,) = await told(webhook_receiver, 1)
        assert (alert["status"], alert["labels"]["check"]) == ("firing", "gate.bell")
        assert "it rings wrong" in json.dumps(alert["annotations"], ensure_ascii=False)
        assert 'sentinel_check_up{check="gate.bell"' in await running.text("/metrics")
        ring(first, "gate.bell right")
        alerts = await told(webhook_receiver, 2)
        assert alerts[-1]["status"] == "resolved"

        inventory.write_text(inventory.read_text() + bell("yard", second))
        assert (await running.cli("reload"))[0] == 0
        ring(second, "yard.bell right")
        await seen(running, "yard.bell", lambda one: one["state"] == "up")
        inventory.write_text(inventory.read_text().replace(bell("gate", first), ""))
        assert (await running.cli("reload"))[0] == 0
        ring(second, "gate.bell wrong")  # gone: nobody's
        ring(second, "yard.bell probe")
        await seen(running, "yard.bell", lambda one: one["counts"]["ok"] >= 2)
        assert await running.stop() == 0
    assert len(webhook_receiver.requests) == 2  # nothing of what was said while it stopped
    assert not [one for one in lines(running.log) if one["level"] in {"error", "critical"}]


async def test_a_defect_in_attach_costs_nobody_else_anything(tmp_path: Path) -> None:
    write(tmp_path, targets=bell("gate", free_port()))
    drop_in(tmp_path, BELL.replace("def attach(bell, inbox: Inbox) -> None:\n", DEFECT, 1))
    async with daemon(tmp_path) as running:
        assert await running.text("/livez")
        assert await running.stop() == 0
    (defect,) = [one for one in lines(running.log) if one["event"] == "attach.defect"]
    assert defect["protocol"] == "bell"
