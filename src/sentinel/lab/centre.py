"""The lab itself: all servers of an inventory, and the faults that are ordered while they run."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from sentinel.config import Configuration
from sentinel.lab.addresses import network
from sentinel.lab.authority import Authority
from sentinel.lab.block import Place
from sentinel.lab.drill import Drill, Refused
from sentinel.lab.faults import ANSWER, CONNECT, DOWN, PING, SWITCH_DOWN
from sentinel.lab.pings import WITHOUT, Pings
from sentinel.lab.services import Plan, plan
from sentinel.lab.simulation import Ground, Server, Service

Progress = Callable[[str], None]

_RESERVE: Final = 4
"""Descriptors a service may need at once, on the average, beside its socket."""


class CannotListen(Exception):
    """An address or a port of the lab cannot be had; the text says which, and why."""


@dataclass(slots=True)
class _Running:
    """A service, its server, and the faults that it shows."""

    service: Service
    server: Server
    faults: frozenset[str] = frozenset()


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
        ground = Ground(
            Authority(self.place.state), self.place.state, time.monotonic, self.planned.notes, progress, self._page
        )
        progress(f"starting {len(services)} servers")
        for service in services:
            server = await service.simulation.server(service, ground)
            self._running.append(_Running(service, server))
            try:
                await server.open()
            except OSError as error:
                raise CannotListen(f"{service} ({service.target.id}): {error.strerror or error}") from error
        await self.pings.open()

    async def close(self) -> None:
        """Stop everything, and leave nothing behind."""
        await self.pings.close()
        for running in self._running:
            await running.server.close()
        self._running.clear()

    async def break_(self, target: str, fault: str) -> Outcome:
        """Add a fault to a target.

        Raises:
            Refused: see ``Drill.break_``.
        """
        async with self._order:
            before = self._shown
            self.drill.break_(target, fault)
            if fault == DOWN and not self.pings.able and self.drill.abilities[target].isdisjoint((CONNECT, ANSWER)):
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
            if faults != running.faults:
                running.faults = faults
                await running.server.show(faults)
        down = [target for target, faults in effective.items() if DOWN in faults]
        pinged = [target for target in down if PING in self.drill.abilities[target]]
        self._shown = effective
        if await self.pings.drop(self.configuration.targets[target].address for target in pinged) or not pinged:
            return []
        return [WITHOUT]

    def _page(self) -> str:
        """The demo says where its daemon is; any other daemon is where the configuration has it."""
        with suppress(OSError):
            return self.place.page.read_text("utf-8").strip()
        daemon = self.configuration.daemon
        return f"http{'s' if daemon.tls_cert else ''}://{daemon.host}:{daemon.port}"

    def _changed(self, before: dict[str, frozenset[str]]) -> tuple[str, ...]:
        targets = self.configuration.targets
        return tuple(each for each in targets if self._shown.get(each) != before.get(each))


def _raise_descriptor_limit(wanted: int) -> None:
    """As far as may be: the soft limit of 1,024 is for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < max(wanted, 4096):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
