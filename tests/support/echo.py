"""Whether this process may ping, and sweeps of the ICMP engine: for the tests of the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.icmp import Engine, IcmpOptions, sweep
from sentinel.protocols.icmp.sockets import NoSocket, open_socket
from tests.support.probing import target


def echo_is_open() -> bool:
    """Whether this process may ping at all."""
    try:
        open_socket(4).socket.close()
    except NoSocket:
        return False
    return True


needs_echo = pytest.mark.skipif(not echo_is_open(), reason="neither ping sockets nor raw sockets are open to this user")


def check(address: str, timeout: float = 1.0, **options: Any) -> Check:
    """A check that pings an address."""
    return Check(
        f"{address}.ping", "ping", target(address), "ping", "icmp", IcmpOptions(**options), 10.0, timeout, "here"
    )


async def swept(engine: Engine, checks: list[Check], within: float = 5.0) -> dict[str, list[Measurement]]:
    """Sweep once; what was told of each check, some time after the last was due."""
    told: dict[str, list[Measurement]] = {one.id: [] for one in checks}
    sweep(engine, checks, lambda one, measured: told[one.id].append(measured))
    async with asyncio.timeout(within):
        while not all(told.values()):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # a second word about the same check would come about now
    return told
