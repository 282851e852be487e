"""H.323: a gatekeeper that answers discovery by RAS, and call signalling ports that take connections."""

from __future__ import annotations

import asyncio
from typing import Final

from sentinel.domain.target import Check
from sentinel.lab.datagrams import OverUdp
from sentinel.lab.faults import TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Place, Service, Simulation
from sentinel.wire.h225 import GatekeeperConfirm, GatekeeperReject, parse_request
from sentinel.wire.h225_per import MalformedPer

H323_REJECT: Final = "h323-reject"
H323_SILENT: Final = "h323-silent"

IDLE_SECONDS: Final = 30.0
_RAS: Final = "ras"
_IDENTIFIER: Final = "sentinel-lab"


class Gatekeeper:
    """Confirms who asks for it by its identifier, or without one; rejects everybody else."""

    def __init__(self, service: Service) -> None:
        self.faults: frozenset[str] = frozenset()
        named = sorted({check.options.gatekeeper for check in service.own if check.options.gatekeeper})
        self._own = frozenset(named)
        self._name = named[0] if named else _IDENTIFIER
        self._place = (service.address, service.port)

    def answer(self, data: bytes, source: tuple[str, int]) -> tuple[bytes, tuple[str, int]] | None:
        """The answer to a GatekeeperRequest; it goes where that came from, whatever address it states."""
        try:
            request = parse_request(data)
        except MalformedPer:
            return None
        if H323_SILENT in self.faults:
            return None
        name = request.gatekeeper or self._name
        if H323_REJECT in self.faults:
            return GatekeeperReject(request.number, self._name, "resourceUnavailable").encode(), source
        if name != self._name and name not in self._own:
            return GatekeeperReject(request.number, self._name, "terminalExcluded").encode(), source
        return GatekeeperConfirm(request.number, name, self._place).encode(), source


class CallSignalling:
    """Takes connections and waits for a SETUP that never comes."""

    def __init__(self) -> None:
        self.faults: frozenset[str] = frozenset()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Listen until the client goes or is silent for long."""
        del writer
        async with asyncio.timeout(IDLE_SECONDS):
            while await reader.read(4_096):
                pass


def _place(check: Check) -> Place | None:
    port = check.options.port or check.options.usual_port
    return ("udp" if check.options.mode == "gatekeeper" else "tcp"), port


async def _server(service: Service, ground: Ground) -> OverUdp | OverTcp:
    if service.transport == "udp":
        return OverUdp(service, Gatekeeper(service))
    return OverTcp(service, CallSignalling(), ground.authority)


def _abilities(service: Service) -> frozenset[str]:
    return frozenset({TALK, _RAS} if service.transport == "udp" else ())


SIMULATION = Simulation(
    ("h323",),
    _server,
    place=_place,
    abilities=_abilities,
    faults=(
        Fault(
            H323_REJECT,
            "The gatekeeper rejects whoever asks: alive, and of no use to terminals.",
            "gatekeepers",
            frozenset({_RAS}),
        ),
        Fault(
            H323_SILENT,
            "RAS has hung: the gatekeeper stays silent, while its machine answers pings.",
            "gatekeepers",
            frozenset({_RAS}),
        ),
    ),
)
