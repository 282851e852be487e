"""What has registered is known again after a restart of the daemon, as it was and no better: registrar and inbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.gb28181 import PROTOCOL
from sentinel.protocols.gb28181.kept import Kept
from sentinel.protocols.gb28181.service import Service
from tests.support.gb28181_peers import DEVICE, PASSWORD, Device
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.sip_peers import HOST


class Desk:
    """An inbox whose memories outlive the service, as the daemon's do."""

    def __init__(self, port: int, **options: Any) -> None:
        told = {"listen": HOST, "listen_port": port, "device": DEVICE, "password": PASSWORD, **options}
        self.mine = [
            Check(
                f"peer.{mode}", mode, target(HOST), mode, "gb28181",
                PROTOCOL.options.model_validate(told | {"mode": mode}), 60.0, 5.0, "centre",
            )
            for mode in ("registered", "catalog")
        ]  # fmt: skip
        self.memories: dict[str, Mapping[str, float]] = {}
        self.hastened: list[str] = []

    def checks(self) -> list[Check]:
        return self.mine

    def report(self, check: str, measurement: Measurement) -> None:
        raise AssertionError(check, measurement)

    def hasten(self, check: str) -> None:
        self.hastened.append(check)

    def kept(self, check: str) -> Mapping[str, float]:
        return self.memories.get(check, {})

    def keep(self, check: str, memory: Mapping[str, float]) -> None:
        self.memories[check] = dict(memory)

    def alter(self, **changed: Any) -> None:
        """As if it had been kept with these."""
        kept = Kept.of(self.memories["peer.registered"])
        assert kept is not None
        self.memories["peer.registered"] = replace(kept, **changed).memory()

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Service]:
        """One run of the service."""
        assert PROTOCOL.service is not None
        assert PROTOCOL.attach is not None
        async with PROTOCOL.service() as service:
            PROTOCOL.attach(service, self)
            yield service

    async def measure(self, service: Service, mode: str = "registered", timeout: float = 0.6) -> Measurement:
        options = next(check.options for check in self.mine if check.options.mode == mode)
        return await measure(PROTOCOL, target(HOST), options, timeout, service=service)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def registered(folder: Path, *, transport: str = "u1", **options: Any) -> Desk:
    """A desk with which a device has registered in an earlier run."""
    desk = Desk(port := free_port(HOST), **options)
    device = Device(transport=transport)
    device.register(expires=600)
    device.keepalive()
    async with desk.daemon() as service:
        await desk.measure(service, timeout=0.05)  # it listens
        with device.running(folder, port) as run:
            assert await run.ended_well(), run.messages
    assert list(desk.memories) == ["peer.registered", "peer.catalog"]
    assert desk.memories["peer.catalog"] == {}  # with one of its checks it is enough
    assert PASSWORD not in str(desk.memories)
    return desk


async def test_expiry_and_age_go_on_counting_and_what_nobody_heard_is_not_missing(tmp_path: Path) -> None:
    desk = await registered(tmp_path)
    now = time.time()  # noqa: TID251 - as it is kept
    desk.alter(heard_at=now - 300, since=now - 900, expires_at=now + 250)
    async with desk.daemon() as service:
        found = await desk.measure(service)
    assert found.failure is None
    assert found.values["registered"] == 1
    assert 300 <= found.values["keepalive_age_seconds"] < 310
    assert found.values["keepalives_missed"] == 0
    assert 240 < found.values["registration_expires_seconds"] <= 250
    assert 900 <= found.values["registration_age_seconds"] < 910


async def test_what_was_silent_before_is_silent_still(tmp_path: Path) -> None:
    desk = await registered(tmp_path)
    desk.alter(heard_at=time.time() - 300, silent=True)  # noqa: TID251 - as it is kept
    async with desk.daemon() as service:
        found = await desk.measure(service)
    assert found.values["keepalives_missed"] == 5


@pytest.mark.parametrize(
    "changed", [{"expires_at": 1e9}, {"mark": 1}, {"port": 0}], ids=["expired", "another device", "nonsense"]
)
async def test_what_has_ended_or_is_of_another_is_not_taken_up(tmp_path: Path, changed: dict[str, float]) -> None:
    desk = await registered(tmp_path)
    desk.alter(**changed)
    async with desk.daemon() as service:
        found = await desk.measure(service)
    assert cause(found.failure) == ("register", "too_early")


async def test_one_that_runs_out_before_it_could_be_renewed_is_awaited(tmp_path: Path) -> None:
    desk = await registered(tmp_path)
    desk.alter(expires_at=time.time() + 0.5)  # noqa: TID251 - as it is kept
    async with desk.daemon() as service:
        assert (await desk.measure(service)).failure is None
        async with asyncio.timeout(5):
            while desk.memories["peer.registered"]:
                await asyncio.sleep(0.05)
        found = await desk.measure(service)
        assert cause(found.failure) == ("register", "too_early")


async def test_what_came_in_a_connection_is_registered_and_asked_when_it_is_back(tmp_path: Path) -> None:
    desk = await registered(tmp_path, transport="t1")
    async with desk.daemon() as service:
        assert (await desk.measure(service)).failure is None
        found = await desk.measure(service, "catalog")
        assert cause(found.failure) == ("register", "too_early")
        assert found.failure is not None
        assert found.failure.local
        before = len(desk.hastened)
        device = Device(transport="t1")
        device.keepalive()
        device.pause(300)
        (tmp_path / "back").mkdir()
        with device.running(tmp_path / "back", desk.mine[0].options.listen_port) as run:
            assert await run.ended_well(), run.messages
        assert len(desk.hastened) == before + 2  # its checks, at once
        assert (await desk.measure(service)).failure is not None  # and when that connection ends, it is its doing
    old = await registered_over_tcp_and_late(tmp_path)
    assert cause(old.failure) == ("register", "closed")


async def registered_over_tcp_and_late(folder: Path) -> Measurement:
    """One that does not come back in the time that is given to it."""
    (folder / "late").mkdir()
    desk = await registered(folder / "late", transport="t1", warm_up=0)
    async with desk.daemon() as service:
        return await desk.measure(service)
