"""The lab as a process of its own, and the probes of an inventory run against it as the daemon runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sentinel.app.clock import SystemClock
from sentinel.catalog import discover
from sentinel.config import Configuration
from sentinel.config.starter import starter
from sentinel.domain.observation import Measurement
from sentinel.engine.runner import measure
from sentinel.lab.control import ask
from sentinel.lab.inventory import read, trusting
from sentinel.sdk.net import close_resolver
from sentinel.sdk.protocol import Protocol, Run


@dataclass
class RunningLab:
    """A lab that runs; ``folder`` holds its files."""

    process: subprocess.Popen[bytes]
    folder: Path
    config: Path
    status: dict[str, Any]

    @property
    def block(self) -> int:
        """Which block of loopback it took."""
        return int(self.status["block"])

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return self.folder / "runtime" / f"lab-{self.block}" / "control.sock"

    @property
    def authority(self) -> Path:
        """Its certificate authority."""
        return self.folder / "state" / f"lab-{self.block}" / "ca.pem"

    @cached_property
    def configuration(self) -> Configuration:
        """The inventory as the daemon has to see it."""
        return trusting(read(self.config, None, self.block), self.authority, self.block)

    def order(self, do: str, target: str | None = None, fault: str | None = None) -> dict[str, Any]:
        """One order at the control socket; the answer, good or not."""
        return ask(self.socket, {"do": do, "target": target, "fault": fault})

    def environment(self) -> dict[str, str]:
        """For commands that have to find it."""
        return environment(self.folder)

    def stop(self) -> int:
        """Let go of the leash; the exit code."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


def environment(folder: Path) -> dict[str, str]:
    """Where the lab's files lie: in the folder, not where an installed daemon has its own."""
    return {"RUNTIME_DIRECTORY": str(folder / "runtime"), "STATE_DIRECTORY": str(folder / "state")}


def start(folder: Path, config: Path | None = None) -> RunningLab:
    """A lab of its own process, in the first block that is free, from when it is ready; the shipped inventory's."""
    config = config or starter() / "config"
    with (folder / "lab.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel.lab", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | environment(folder),
        )
    assert process.stdout is not None
    said: dict[str, Any] = {}
    for line in process.stdout:
        said = json.loads(line)
        if said["event"] in ("ready", "failed"):
            break
    assert said.get("event") == "ready", f"{said} {(folder / 'lab.log').read_text()}"
    return RunningLab(process, folder, config, said["status"])


@contextmanager
def running(folder: Path, config: Path | None = None) -> Iterator[RunningLab]:
    """A lab while the block runs."""
    lab = start(folder, config)
    try:
        yield lab
    finally:
        lab.stop()


@dataclass
class Prober:
    """Runs a check once, by the daemon's own function."""

    protocols: dict[str, Protocol]
    services: dict[str, Any]
    memories: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def __call__(self, lab: RunningLab, check_id: str) -> Measurement:
        """One measurement."""
        check = lab.configuration.checks[check_id]
        memory = self.memories.setdefault(check_id, {})
        run = Run(time.monotonic() + check.timeout, self.services[check.protocol], memory)
        return await measure(self.protocols[check.protocol], check, run, SystemClock())


@asynccontextmanager
async def prober() -> AsyncIterator[Prober]:
    """All protocols with their services."""
    protocols = dict(discover().protocols)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(close_resolver)
        services = {
            name: await stack.enter_async_context(protocol.service()) if protocol.service else None
            for name, protocol in protocols.items()
        }
        yield Prober(protocols, services)
