"""SNMP: an agent for each device, with the objects that its checks ask for."""

from __future__ import annotations

from sentinel.domain.target import Check
from sentinel.lab.agent.server import Agent
from sentinel.lab.faults import SNMP_SILENT, TALK, Fault
from sentinel.lab.simulation import Ground, Place, Service, Simulation

_SNMP = "snmp"


async def _server(service: Service, ground: Ground) -> Agent:
    return Agent(service, ground.notes, ground.clock)


def _place(check: Check) -> Place:
    return "udp", int(check.options.port)


SIMULATION = Simulation(
    ("snmp",),
    _server,
    place=_place,
    abilities=lambda _: frozenset({TALK, _SNMP}),
    faults=(Fault(SNMP_SILENT, "The SNMP agent does not answer; all else does.", "SNMP agents", frozenset({_SNMP})),),
)
