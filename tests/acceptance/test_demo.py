"""The demo as a newcomer starts it: break something, a webhook says so within 15 seconds; heal it, and it says that."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sentinel.lab.control import ask
from tests.support.daemon import SENTINEL, free_port
from tests.support.lab import environment
from tests.support.webhook import WebhookReceiver

pytestmark = pytest.mark.timeout(180)

TOLD_WITHIN = 15.0


@dataclass
class Demo:
    """A demo that runs."""

    process: asyncio.subprocess.Process
    folder: Path
    url: str
    said: str

    @property
    def block(self) -> int:
        return int(self.socket.parent.name.removeprefix("lab-"))

    @property
    def socket(self) -> Path:
        """The lab's control socket."""
        (found,) = self.folder.glob("runtime/lab-*/control.sock")
        return found

    def order(self, do: str, target: str | None = None, fault: str | None = None) -> dict[str, Any]:
        answer = ask(self.socket, {"do": do, "target": target, "fault": fault})
        assert answer["ok"], answer
        return answer

    async def checks(self) -> dict[str, str]:
        """State of every check."""
        url = f"{self.url}api/v1/checks?limit=1000"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return {each["id"]: each["state"] for each in (await response.json())["items"]}


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[Demo]:
    """Run ``sentinel demo`` until the block ends, from when it has said what to try."""
    with (folder / "demo.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *SENTINEL,
            "demo",
            *arguments,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | environment(folder) | {"COLUMNS": "200"},
        )
    try:
        assert process.stdout is not None
        said = ""
        async with asyncio.timeout(60):
            while "stop:" not in said:
                line = await process.stdout.readline()
                assert line, f"the demo ended: {said} {(folder / 'demo.log').read_text()}"
                said += line.decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert found is not None, said
        yield Demo(process, folder, found[0], said)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def alert(receiver: WebhookReceiver, target: str, status: str, since: float) -> tuple[float, dict[str, Any]]:
    """Wait for a message about a target; how long after ``since`` it came, and the alert."""
    deadline = since + 3 * TOLD_WITHIN
    while time.monotonic() < deadline:
        for request in receiver.requests:
            for each in request.json["alerts"]:
                if each["labels"].get("target") == target and each["status"] == status and request.at >= since:
                    return request.at - since, each
        await asyncio.sleep(0.05)
    raise AssertionError(f"no alert that {target} is {status}: {[request.json for request in receiver.requests]}")


async def test_broken_is_told_and_healed_is_told(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    async with demo(tmp_path, "--port", str(free_port()), "--webhook", webhook_receiver.url) as running:
        async with asyncio.timeout(60):
            while not all(state in ("up", "unobserved") for state in (await running.checks()).values()):
                await asyncio.sleep(0.5)
        assert webhook_receiver.requests == []
        for target, fault in (
            ("hall-01", "down"),
            ("img-01-cam-1", "no-packets"),
            ("biz-30", "http-500"),
            ("biz-01", "cert-expired"),
            ("access-liuliqiao", "switch-down"),
            ("unit-01", "heartbeat-fails"),
        ):
            broken = time.monotonic()
            running.order("break", target, fault)
            after, told = await alert(webhook_receiver, target, "firing", broken)
            assert after <= TOLD_WITHIN, f"{target} {fault}: told after {after:.1f} s"
            assert told["annotations"]
            healed = time.monotonic()
            running.order("heal", target)
            after, _ = await alert(webhook_receiver, target, "resolved", healed)
            assert after <= TOLD_WITHIN + 10, f"{target} {fault}: resolved after {after:.1f} s"
        switch_children = [
            each["labels"]["target"] for request in webhook_receiver.requests for each in request.json["alerts"]
        ]
        assert "set-liuliqiao" not in switch_children  # it hangs on the switch: suppressed, not told


async def test_it_says_where_to_look_and_ends_by_itself(tmp_path: Path) -> None:
    async with demo(tmp_path, "--port", str(port := free_port()), "--seconds", "3") as running:
        assert running.url == f"http://127.0.0.1:{port}/"
        lines = re.findall(r"lab break (\S+) (\S+)", running.said)
        assert len(lines) >= 5
        for target, fault in lines:
            running.order("break", target, fault)
        running.order("heal")
        async with aiohttp.ClientSession() as session, session.get(running.url) as response:
            assert response.status == 200
            assert "应急" in await response.text()
        async with asyncio.timeout(20):
            assert await running.process.wait() == 0
    assert list(tmp_path.glob("runtime/lab-*/*.sock")) == []


async def test_ctrl_c_ends_both_in_order(tmp_path: Path) -> None:
    async with demo(tmp_path, "--port", str(free_port())) as running:
        lab = ask(running.socket, {"do": "status"})["pid"]
        running.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await running.process.wait() == 0
        with pytest.raises(ProcessLookupError):
            os.kill(lab, 0)
    said = (tmp_path / "demo.log").read_text()
    assert "Traceback" not in said
    assert not [line for line in said.splitlines() if '"incident' in line and "opened" in line]


async def test_a_demo_that_is_killed_takes_the_lab_with_it(tmp_path: Path) -> None:
    async with demo(tmp_path, "--port", str(free_port())) as running:
        lab = ask(running.socket, {"do": "status"})["pid"]
        running.process.kill()
        await running.process.wait()
        async with asyncio.timeout(10):
            while Path(f"/proc/{lab}").exists() and "Z" not in _state(lab):
                await asyncio.sleep(0.1)


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


async def test_a_bad_webhook_is_refused_in_plain_words(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *SENTINEL,
        "demo",
        "--webhook",
        "ftp://example.org/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment(tmp_path),
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode().splitlines()[-1].startswith("--webhook: must be an http")
    assert json.dumps("Traceback") not in err.decode()


@pytest.mark.parametrize("signalled", [False, True])
async def test_a_lab_that_dies_or_a_port_that_is_taken_ends_it_in_plain_words(
    tmp_path: Path, *, signalled: bool
) -> None:
    port = free_port()
    if signalled:
        async with demo(tmp_path, "--port", str(port)) as running:
            os.kill(ask(running.socket, {"do": "status"})["pid"], signal.SIGKILL)
            async with asyncio.timeout(20):
                assert await running.process.wait() == 2
        said = (tmp_path / "demo.log").read_text()
        assert "the lab ended by itself, with -9" in said
    else:
        other = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
        with pytest.raises(AssertionError, match="the demo ended"):
            async with demo(tmp_path, "--port", str(port)):
                pass
        other.close()
        await other.wait_closed()
        said = (tmp_path / "demo.log").read_text()
        assert "sentinel cannot run" in said
    assert "Traceback" not in said
