"""From the checks of a configuration to the servers that answer them: one for each address and port."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sentinel.config import Configuration
from sentinel.domain.target import Check, Target
from sentinel.lab.addresses import belongs
from sentinel.lab.faults import CONNECT, HTTP, PING, RTSP, SNMP, TALK, TLS

SLOW_SHARE: Final = 0.7
"""Of the shortest timeout: late enough for the rules about slowness, and in time for the check."""

# A check of the plain port is content with any server behind it; the richest protocol wins.
_RICHEST: Final = ("rtsp", "http", "tcp")


@dataclass(frozen=True, slots=True)
class Service:
    """One server.  ``kind`` is the protocol that it speaks; ``checks`` are all that look at this address and port."""

    kind: str
    address: str
    port: int
    checks: tuple[Check, ...]

    @property
    def owners(self) -> frozenset[str]:
        """The ids of the targets that it answers for; one, unless two share an address and a port."""
        return frozenset(check.target.id for check in self.checks)

    @property
    def target(self) -> Target:
        """The first of them."""
        return self.checks[0].target

    @property
    def own(self) -> tuple[Check, ...]:
        """The checks of its own protocol."""
        return tuple(check for check in self.checks if check.protocol == self.kind)

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS from the first byte on."""
        return any(bool(getattr(check.options, "wants_tls", False)) and _secure(check) for check in self.own)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that its certificate has to be for: the address, and what the checks ask for."""
        asked = (getattr(check.options, name, None) for check in self.own for name in ("host", "tls_server_name"))
        return tuple(dict.fromkeys([self.address, *(str(name) for name in asked if name)]))

    @property
    def slow_seconds(self) -> float:
        """How late an answer is when it is slow."""
        # An SNMP request that is sent again has another number: the answer to the first then comes to nothing.
        patience = (getattr(check.options, "resend_after", check.timeout) for check in self.checks)
        return SLOW_SHARE * min(*patience, *(check.timeout for check in self.checks))

    @property
    def abilities(self) -> frozenset[str]:
        """Which faults it can show; see ``faults``."""
        able = {"http": {CONNECT, TALK, HTTP}, "rtsp": {CONNECT, TALK, RTSP}, "tcp": {CONNECT}, "snmp": {SNMP}}
        found = set(able[self.kind])
        if self.kind == "tcp" and any(check.options.banner or check.options.awaited for check in self.own):
            found.add(TALK)
        if self.tls:
            found.add(TLS)
        return frozenset(found)

    def __str__(self) -> str:
        return f"{self.kind} {self.address}:{self.port}"


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
    places: dict[tuple[str, str, int], list[Check]] = {}
    unknown: dict[str, int] = {}
    for check in configuration.checks.values():
        if not belongs(check.target.address, block):
            continue
        if check.protocol == "icmp":
            abilities[check.target.id].add(PING)
        elif check.protocol in (*_RICHEST, "snmp"):
            transport = "udp" if check.protocol == "snmp" else "tcp"
            places.setdefault((transport, check.target.address, _port(check)), []).append(check)
        else:
            unknown[check.protocol] = unknown.get(check.protocol, 0) + 1
    for protocol, count in sorted(unknown.items()):
        found.notes.append(f"{count} checks are not simulated: the lab does not speak {protocol}")
    for (transport, address, port), checks in places.items():
        service = Service("snmp" if transport == "udp" else _kind(checks), address, port, tuple(checks))
        found.services.append(service)
        found.notes += _contradictions(service)
        for owner in service.owners:
            abilities[owner] |= service.abilities
    found.abilities = {id_: frozenset(able) for id_, able in abilities.items()}
    return found


def _port(check: Check) -> int:
    options = check.options
    return int(options.port_of(options.scheme)) if check.protocol == "http" else int(options.port)


def _kind(checks: Iterable[Check]) -> str:
    protocols = {check.protocol for check in checks}
    return next(kind for kind in _RICHEST if kind in protocols)


def _secure(check: Check) -> bool:
    # Every option model of HTTP "wants TLS" where the scheme does: its mixin is for a protocol that always may.
    return check.protocol != "http" or check.options.scheme == "https"


def _contradictions(service: Service) -> list[str]:
    """Checks of one port that no single server can satisfy."""
    found = []
    if len({bool(getattr(check.options, "wants_tls", False)) and _secure(check) for check in service.checks}) > 1:
        names = ", ".join(check.id for check in service.checks)
        found.append(f"{service}: some checks speak TLS there and some do not ({names})")
    greeted = [check.id for check in service.checks if check.protocol == "tcp" and check.options.banner]
    if greeted and service.kind != "tcp":
        found.append(f"{service}: {', '.join(greeted)} waits for a greeting, which a server of {service.kind} has not")
    return found
