"""From the checks of a configuration to the servers that answer them: one for each address and port."""

from __future__ import annotations

from dataclasses import dataclass, field

from sentinel.config import Configuration
from sentinel.domain.target import Check
from sentinel.lab.addresses import belongs
from sentinel.lab.faults import PING
from sentinel.lab.servers import SIMULATIONS
from sentinel.lab.simulation import Service, Transport


@dataclass(slots=True)
class Plan:
    """What the lab runs.  ``abilities`` by target id; ``notes`` say what it does not simulate, and why."""

    services: list[Service] = field(default_factory=list)
    abilities: dict[str, frozenset[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def plan(configuration: Configuration, block: int) -> Plan:
    """The servers of every target whose address is one of the block's."""
    found = Plan()
    abilities: dict[str, set[str]] = {id_: set() for id_ in configuration.targets}
    outside = [target for target in configuration.targets.values() if not belongs(target.address, block)]
    if outside:
        found.notes.append(
            f"{len(outside)} targets are not simulated: their addresses are not of 198.18.0.0/15 "
            f"({', '.join(target.id for target in outside[:3])}{', …' if len(outside) > 3 else ''})"
        )
    places: dict[tuple[Transport, str, int], list[Check]] = {}
    unknown: dict[str, int] = {}
    for check in configuration.checks.values():
        if not belongs(check.target.address, block):
            continue
        if check.protocol == "icmp":  # loopback answers by itself
            abilities[check.target.id].add(PING)
            continue
        simulation = SIMULATIONS.get(check.protocol)
        place = simulation.place(check) if simulation is not None else None
        if place is None:
            unknown[check.protocol] = unknown.get(check.protocol, 0) + 1
        else:
            transport, port = place
            places.setdefault((transport, check.target.address, port), []).append(check)
    for protocol, count in sorted(unknown.items()):
        found.notes.append(f"{count} checks are not simulated: the lab does not speak {protocol}")
    for (transport, address, port), checks in places.items():
        simulation = max((SIMULATIONS[check.protocol] for check in checks), key=lambda one: one.rank)
        service = Service(simulation, transport, address, port, tuple(checks))
        found.services.append(service)
        found.notes += _contradictions(service)
        for owner in service.owners:
            abilities[owner] |= service.abilities
    found.abilities = {id_: frozenset(able) for id_, able in abilities.items()}
    return found


def _contradictions(service: Service) -> list[str]:
    """Checks of one port that no single server can satisfy."""
    found = []
    if len({SIMULATIONS[check.protocol].tls(check) for check in service.checks}) > 1:
        names = ", ".join(check.id for check in service.checks)
        found.append(f"{service}: some checks speak TLS there and some do not ({names})")
    greeted = [check.id for check in service.checks if check.protocol == "tcp" and check.options.banner]
    if greeted and not service.simulation.greets:
        found.append(f"{service}: {', '.join(greeted)} waits for a greeting, which this server may not have")
    return found
