"""The lab's platform by GB/T 28181: it registers with our registrar, and answers whatever our probes ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.lab.authority import Authority
from sentinel.lab.faults import DOWN
from sentinel.lab.servers import SIMULATIONS
from sentinel.lab.servers.gb28181 import CAMERAS, CAMERAS_OFF, NO_PICTURE, UNREGISTERED
from sentinel.lab.simulation import Ground, Server, Service
from sentinel.protocols.gb28181 import PROTOCOL
from tests.support.hostile import HOST
from tests.support.ports import free_port
from tests.support.probing import measure, target

DEVICE = "11010000002000000001"
CAMERA = "11010000001320000001"
PASSWORD = "replace-me"


class Pair:
    """The lab's platform and our probes."""

    def __init__(self, server: Server, service: Any, common: dict[str, Any]) -> None:
        self.server, self._service, self._common = server, service, common

    async def measure(self, mode: str, timeout: float = 6.0, **options: Any) -> Measurement:
        return await measure(
            PROTOCOL, target(HOST), self._common | {"mode": mode} | options, timeout, service=self._service
        )


@asynccontextmanager
async def played(folder: Path) -> AsyncIterator[Pair]:
    port = free_port(HOST)
    common: dict[str, Any] = {"port": port, "listen": HOST, "listen_port": free_port(HOST), "device": DEVICE}
    common["password"] = PASSWORD
    checks = tuple(
        Check(
            f"peer.{mode}", mode, target(HOST), "probe", "gb28181",
            PROTOCOL.options.model_validate(common | {"mode": mode}), 10.0, 5.0, "centre",
        )
        for mode in ("options", "register", "registered", "catalog", "play")
    )  # fmt: skip
    simulation = SIMULATIONS["gb28181"]
    assert simulation.place(checks[0]) == ("udp", port)
    ground = Ground(Authority(folder), folder, monotonic)
    server: Server = await simulation.server(Service(simulation, "udp", HOST, port, checks), ground)
    assert PROTOCOL.service is not None
    async with PROTOCOL.service() as service:
        await server.open()
        try:
            yield Pair(server, service, common)
        finally:
            await server.close()


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def test_every_mode_is_answered(tmp_path: Path) -> None:
    async with played(tmp_path) as pair:
        assert (await pair.measure("options")).failure is None
        assert (await pair.measure("register")).failure is None
        assert (await pair.measure("registered")).failure is None
        catalog = await pair.measure("catalog")
        assert catalog.failure is None
        assert (catalog.values["catalog_on"], catalog.values["catalog_missing"]) == (CAMERAS, 0)
        status = await pair.measure("status")
        assert status.failure is None
        assert abs(status.values["clock_offset_seconds"]) < 5
        assert status.facts["name"] == "模拟平台"
        picture = await pair.measure("play", channel=CAMERA)
        assert picture.failure is None
        assert picture.facts["container"] == "PS"
        assert picture.facts.get("declared", "H.264") == "H.264"
        assert (picture.values["ssrc_mismatch"], picture.values["lost_packets"]) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "mode", "wanted"),
    [
        (NO_PICTURE, "play", ("first_packet", "no_packets")),
        (DOWN, "catalog", ("query", "timed_out")),
        (UNREGISTERED, "registered", ("register", "not_registered")),
    ],
)
async def test_each_fault_shows(tmp_path: Path, fault: str, mode: str, wanted: tuple[str, str]) -> None:
    async with played(tmp_path) as pair:
        assert (await pair.measure("registered")).failure is None
        await pair.server.show(frozenset({fault}))
        found = await pair.measure(mode, 1.5)
        assert cause(found.failure) == wanted
        await pair.server.show(frozenset())
        assert (await pair.measure(mode)).failure is None


async def test_cameras_may_be_off(tmp_path: Path) -> None:
    async with played(tmp_path) as pair:
        await pair.measure("registered")
        await pair.server.show(frozenset({CAMERAS_OFF}))
        assert (await pair.measure("catalog")).values["catalog_off"] == CAMERAS - 1
