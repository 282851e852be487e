"""The lab itself: all servers of an inventory, and the faults that are ordered while they run."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sentinel.config import Configuration
from sentinel.lab.addresses import network
from sentinel.lab.agent.server import Agent
from sentinel.lab.authority import Authority
from sentinel.lab.block import Place
from sentinel.lab.camera import clip
from sentinel.lab.camera.server import Camera
from sentinel.lab.drill import Drill, Refused
from sentinel.lab.faults import CERT_EXPIRED, CONNECT, DOWN, PING, SNMP, SWITCH_DOWN
from sentinel.lab.http import WebServer
from sentinel.lab.listener import Listener
from sentinel.lab.pings import WITHOUT, Pings
from sentinel.lab.services import Plan, Service, plan
from sentinel.lab.tcp import TcpService

Progress = Callable[[str], None]

_RESERVE: Final = 4
"""Descriptors a service may need at once, on the average, beside its socket."""


class CannotListen(Exception):
    """An address or a port of the lab cannot be had; the text says which, and why."""


class Server(Protocol):
    """What runs behind a service; its faults may be set at any time."""

    faults: frozenset[str]


@dataclass(slots=True)
class _Running:
    """A service, its server, and the socket that it listens on."""

    service: Service
    server: Server
    socket: Listener | Agent
    certificate: Callable[[bool], None] | None = None
    expired: bool = False

    async def apply(self, faults: frozenset[str]) -> None:
        """Show these faults from now on."""
        if self.certificate is not None and (CERT_EXPIRED in faults) is not self.expired:
            self.expired = CERT_EXPIRED in faults
            self.certificate(self.expired)
        self.server.faults = faults
        if DOWN in faults and self.service.kind != "snmp":
            await self.socket.close()
        else:  # an agent keeps its port and is silent: a closed one would be refused, which no dead agent does
            await self.socket.open()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an order led to, for people: ``changed`` are the ids of targets that answer otherwise than before."""

    changed: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Centre:
    """Every server of one block.

    ``open`` and ``close`` bracket its life; in between ``break_`` and ``heal`` may be called, one at a time.
    """

    configuration: Configuration
    place: Place
    drill: Drill
    planned: Plan
    pings: Pings
    _running: list[_Running] = field(default_factory=list)
    _shown: dict[str, frozenset[str]] = field(default_factory=dict)
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def of(cls, configuration: Configuration, place: Place) -> Centre:
        """The lab of a configuration that was loaded under the block's rule."""
        planned = plan(configuration, place.block)
        drill = Drill.over(configuration.targets, planned.abilities)
        return cls(configuration, place, drill, planned, Pings(place.block))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not simulated, and why."""
        return tuple(self.planned.notes)

    async def open(self, progress: Progress) -> None:
        """Start everything.

        Raises:
            CannotListen: somebody else has one of the addresses.
            NoClip: the cameras' picture cannot be made here.
            OSError: the lab's files cannot be written.
        """
        services = self.planned.services
        _raise_descriptor_limit(len(services) * _RESERVE)
        self.place.make()
        progress("making certificates")
        authority = Authority(self.place.state)
        pictures: clip.Clip | None = None
        if any(service.kind == "rtsp" for service in services):
            progress("making the cameras' picture")
            pictures = await asyncio.to_thread(clip.load, self.place.state)
        progress(f"starting {len(services)} servers")
        for service in services:
            running = self._server(service, authority, pictures)
            try:
                await running.socket.open()
            except OSError as error:
                raise CannotListen(f"{service} ({service.target.id}): {error.strerror or error}") from error
            self._running.append(running)
        await self.pings.open()

    async def close(self) -> None:
        """Stop everything, and leave nothing behind."""
        await self.pings.close()
        for running in self._running:
            await running.socket.close()
        self._running.clear()

    async def break_(self, target: str, fault: str) -> Outcome:
        """Add a fault to a target.

        Raises:
            Refused: see ``Drill.break_``.
        """
        async with self._order:
            before = self._shown
            self.drill.break_(target, fault)
            if fault == DOWN and not self.pings.able and self.drill.abilities[target].isdisjoint((CONNECT, SNMP)):
                self.drill.heal(target)
                raise Refused(f"{target} is only ever pinged, and {WITHOUT}")
            notes = await self._show()
            if fault == SWITCH_DOWN and (spared := self.drill.spared(target)):
                notes.append(f"{len(spared)} targets that hang on it have another way: {', '.join(spared)}")
            return Outcome(self._changed(before), tuple(notes))

    async def heal(self, target: str | None) -> Outcome:
        """Take all faults from one target, or from all.

        Raises:
            Refused: see ``Drill.heal``.
        """
        async with self._order:
            before = self._shown
            for each in tuple(self.drill.faults) if target is None else (target,):
                self.drill.heal(each)
            notes = await self._show()
            if target is not None and (causes := self.drill.causes(target)):
                notes.append(f"{target} is still cut off by {', '.join(causes)}")
            return Outcome(self._changed(before), tuple(notes))

    def status(self) -> dict[str, Any]:
        """What runs and what is broken, for people and tests."""
        return {
            "block": self.place.block,
            "network": str(network(self.place.block)),
            "targets": len(self.configuration.targets),
            "servers": len(self._running),
            "pings": self.pings.able,
            "authority": str(self.place.authority),
            "faults": {target: sorted(faults) for target, faults in sorted(self.drill.faults.items())},
            "cut_off": sorted(
                target
                for target, faults in self._shown.items()
                if DOWN in faults and DOWN not in self.drill.faults.get(target, ())
            ),
            "notes": list(self.notes),
        }

    async def _show(self) -> list[str]:
        """Make every server show what follows from the drill; notes on what cannot be shown."""
        effective = self.drill.all_effective()
        for running in self._running:
            faults = frozenset[str]().union(*(effective.get(owner, frozenset()) for owner in running.service.owners))
            if faults != running.server.faults:
                await running.apply(faults)
        down = [target for target, faults in effective.items() if DOWN in faults]
        pinged = [target for target in down if PING in self.drill.abilities[target]]
        self._shown = effective
        if await self.pings.drop(self.configuration.targets[target].address for target in pinged) or not pinged:
            return []
        return [WITHOUT]

    def _changed(self, before: dict[str, frozenset[str]]) -> tuple[str, ...]:
        targets = self.configuration.targets
        return tuple(each for each in targets if self._shown.get(each) != before.get(each))

    def _server(self, service: Service, authority: Authority, pictures: clip.Clip | None) -> _Running:
        notes = self.planned.notes
        if service.kind == "snmp":
            agent = Agent(service, notes, time.monotonic)
            return _Running(service, agent, agent)
        server: WebServer | TcpService | Camera
        if service.kind == "http":
            server = WebServer(service, notes)
        elif service.kind == "tcp":
            server = TcpService(service, notes)
        elif pictures is not None:
            server = Camera(service, pictures)
        else:
            raise AssertionError
        context = authority.context(service.names) if service.tls else None
        listener = Listener(service.address, service.port, server.serve, tls=context)
        if context is None:
            return _Running(service, server, listener)

        def certificate(expired: bool) -> None:  # noqa: FBT001 - the signature of _Running.certificate
            authority.show(context, service.names, expired=expired)

        return _Running(service, server, listener, certificate)


def _raise_descriptor_limit(wanted: int) -> None:
    """As far as may be: the soft limit of 1,024 is for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < max(wanted, 4096):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
