"""SNMP notifications: a device says by itself that a port or the mains is gone, and that it is back.

It sends nothing while it is well.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sentinel.domain.target import Check
from sentinel.lab.faults import LINK_DOWN, MAINS_LOST, Fault
from sentinel.lab.simulation import Ground, Place, Service, Simulation
from sentinel.wire.ber import SEQUENCE, TIMETICKS, integer, octets, oid, parse_oid, tlv

_TRAPS, _UPS_TRAPS = "traps", "ups-traps"
_TRAP: Final = 0xA7
_PORT: Final = 1
"""ifIndex of the port that goes down."""

_LINK: Final = "1.3.6.1.6.3.1.1.5"
_IF: Final = "1.3.6.1.2.1.2.2.1"
_UPS: Final = "1.3.6.1.2.1.33"

Variables = tuple[tuple[str, bytes], ...]


class Reporter:
    """Sends what a device would send when a fault begins and when it ends, to every check that listens."""

    def __init__(self, service: Service, clock: Callable[[], float]) -> None:
        self._service, self._clock, self._started = service, clock, clock()
        self._shown: frozenset[str] = frozenset()
        self._socket: socket.socket | None = None
        self._number = 0

    async def open(self) -> None:
        """Have a socket at the device's address, so that it is known by it.

        Raises:
            OSError: the address can't be had.
        """
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            try:
                self._socket.bind((self._service.address, 0))
            except OSError:
                await self.close()
                raise

    async def close(self) -> None:
        """Send no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def show(self, faults: frozenset[str]) -> None:
        """Report what began, and what is over."""
        before, self._shown = self._shown, faults
        for fault, (gone, back) in _REPORTS.items():
            if (fault in faults) is not (fault in before):
                self._send(*(gone if fault in faults else back))
        await asyncio.sleep(0)

    def _send(self, trap: str, variables: Variables) -> None:
        self._number += 1
        uptime = integer(int((self._clock() - self._started) * 100), TIMETICKS)
        first = (("1.3.6.1.2.1.1.3.0", uptime), ("1.3.6.1.6.3.1.1.4.1.0", oid(parse_oid(trap))))
        rows = b"".join(tlv(SEQUENCE, oid(parse_oid(name)) + value) for name, value in first + variables)
        body = tlv(_TRAP, integer(self._number) + integer(0) + integer(0) + tlv(SEQUENCE, rows))
        for check in self._service.own:
            if check.options.version == "v2c" and self._socket is not None:
                community = check.options.community.get_secret_value().encode()
                with suppress(OSError):  # nobody listens
                    place = check.options.local(self._service.address)
                    self._socket.sendto(tlv(SEQUENCE, integer(1) + octets(community) + body), place)


def _port(state: int) -> Variables:
    rows = ((1, integer(_PORT)), (7, integer(1)), (8, integer(state)), (2, octets(b"ge0/0/1")))
    return tuple((f"{_IF}.{column}.{_PORT}", value) for column, value in rows)


_BATTERY: Final[Variables] = (
    (f"{_UPS}.1.2.3.0", integer(48)),
    (f"{_UPS}.1.2.2.0", integer(5)),
    (f"{_UPS}.1.9.7.0", integer(5)),
)
_ALARM: Final[Variables] = (
    (f"{_UPS}.1.6.2.1.1.1", integer(1)),
    (f"{_UPS}.1.6.2.1.2.1", oid(parse_oid(f"{_UPS}.1.6.3.2"))),  # upsAlarmOnBattery
)
_REPORTS: Final = {
    LINK_DOWN: ((f"{_LINK}.3", _port(2)), (f"{_LINK}.4", _port(1))),
    MAINS_LOST: ((f"{_UPS}.2.1", _BATTERY), (f"{_UPS}.2.4", _ALARM)),
}
"""What is sent when a fault begins, and when it is over."""


async def _server(service: Service, ground: Ground) -> Reporter:
    for check in service.own:
        if check.options.version != "v2c":
            ground.notes.append(f"{check.id}: the lab sends no traps of {check.options.version}")
    return Reporter(service, ground.clock)


def _place(check: Check) -> Place:
    return "udp", int(check.options.port)


def _abilities(service: Service) -> frozenset[str]:
    return frozenset(_UPS_TRAPS if check.options.profile == "traps-ups" else _TRAPS for check in service.own)


SIMULATION = Simulation(
    ("snmp_trap",),
    _server,
    place=_place,
    abilities=_abilities,
    faults=(
        Fault(
            LINK_DOWN,
            "Its first port goes down, and it says so: a trap, and ifOperStatus.",
            "switches that send traps",
            frozenset({_TRAPS}),
        ),
        Fault(
            MAINS_LOST,
            "It lives on its battery, and says so: a trap, and upsOutputSource.",
            "UPS that send traps",
            frozenset({_UPS_TRAPS}),
        ),
    ),
)
