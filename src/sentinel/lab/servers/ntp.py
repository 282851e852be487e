"""A time server for each port that an NTP check looks at: stratum 1, by this machine's clock (RFC 5905)."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any, Final

from sentinel.domain.target import Check
from sentinel.lab.faults import DOWN, SLOW, TALK, Fault
from sentinel.lab.simulation import Ground, Place, Service, Simulation

CLOCK_WRONG: Final = "clock-wrong"
UNSYNCHRONISED: Final = "clock-unsynchronised"
CLOCK: Final = "clock"

WRONG_SECONDS: Final = 300.0
"""How far the clock is ahead when it is wrong."""

_ERA: Final = 2_208_988_800  # seconds from NTP's epoch to Unix's
_HEADER: Final = struct.Struct("!BBbbII4sQQQQ")
_CLIENT: Final = 3


class TimeServer(asyncio.DatagramProtocol):
    """One server; it answers clients of any version, from the clock of this machine."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._faults: frozenset[str] = frozenset()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Listen; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        if self._transport is None:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self, local_addr=(self._service.address, self._service.port)
            )

    async def close(self) -> None:
        """Listen no more."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
            await asyncio.sleep(0)  # the socket is closed in the loop's next turn

    async def show(self, faults: frozenset[str]) -> None:
        """Have these faults from now on; one that is down does not answer."""
        self._faults = faults

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer a client's question."""
        heard = _stamp(self._clock())
        if DOWN in self._faults or len(data) < _HEADER.size or data[0] & 7 != _CLIENT:
            return
        if SLOW in self._faults:
            asyncio.get_running_loop().call_later(self._service.slow_seconds, self._answer, data, heard, addr)
        else:
            self._answer(data, heard, addr)

    def _answer(self, data: bytes, heard: int, addr: Any) -> None:
        if self._transport is None:
            return
        lost = UNSYNCHRONISED in self._faults
        flags = (3 if lost else 0) << 6 | data[0] & 0x38 | 4
        head = flags, 0 if lost else 1, 6, -20, 0, 0x10, b"INIT" if lost else b"LAB\0"
        updated = (heard - (16 << 32)) % 2**64
        origin = int.from_bytes(data[40:48])
        self._transport.sendto(_HEADER.pack(*head, updated, origin, heard, _stamp(self._clock())), addr)

    def _clock(self) -> float:
        now = time.time_ns() / 1e9
        return now + WRONG_SECONDS if CLOCK_WRONG in self._faults else now


def _stamp(at: float) -> int:
    return int((at + _ERA) * 2**32) % 2**64


async def _server(service: Service, ground: Ground) -> TimeServer:
    del ground
    return TimeServer(service)


def _place(check: Check) -> Place:
    return "udp", int(check.options.port)


def _abilities(service: Service) -> frozenset[str]:
    del service
    return frozenset({TALK, CLOCK})


SIMULATION = Simulation(
    ("ntp",),
    _server,
    place=_place,
    abilities=_abilities,
    faults=(
        Fault(CLOCK_WRONG, "The clock is five minutes ahead.", "time servers", frozenset({CLOCK})),
        Fault(UNSYNCHRONISED, "The server says that it is not synchronised.", "time servers", frozenset({CLOCK})),
    ),
)
