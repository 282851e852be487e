r"""The contract of a simulation: how the lab plays what a protocol's checks look at, in one file of ``lab/servers``.

    class Clock:                        # a conversation over TCP; datagrams and callers are servers of their own
        faults: frozenset[str] = frozenset()

        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"it is late\r\n")

    async def server(service: Service, ground: Ground) -> Server:
        return OverTcp(service, Clock(), ground.authority)

    SIMULATION = Simulation(("daytime",), server)

A server speaks the real protocol on a real socket, at the very address and port of the checks that look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from sentinel.domain.target import Check, Target
from sentinel.lab.authority import Authority
from sentinel.lab.camera import clip
from sentinel.lab.faults import ANSWER, CONNECT, TALK, TLS, Fault

SLOW_SHARE: Final = 0.7
"""Of the shortest timeout: late enough for the rules about slowness, and in time for the check."""

Transport = Literal["tcp", "udp", "call"]
Place = tuple[Transport, int]
"""Where a check looks, beside its target's address: the transport and the port; a device that calls has none (0)."""


class Server(Protocol):
    """What runs behind a service."""

    async def open(self) -> None:
        """Start; does nothing where it runs already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        ...

    async def close(self) -> None:
        """Stop, and leave nothing behind."""
        ...

    async def show(self, faults: frozenset[str]) -> None:
        """Have exactly these faults from now on; ``open`` has been called before."""
        ...


@dataclass(slots=True)
class Ground:
    """What servers stand on.

    ``daemon`` gives the address of the page of the daemon that watches, for devices that call it.  ``clock`` gives
    monotonic seconds.  ``notes`` take what a server cannot play, and why.
    """

    authority: Authority
    state: Path
    clock: Callable[[], float]
    notes: list[str] = field(default_factory=list)
    progress: Callable[[str], None] = lambda _: None
    daemon: Callable[[], str] = lambda: ""
    _clip: clip.Clip | None = None

    async def clip(self) -> clip.Clip:
        """The picture that all cameras show; made when it is first wanted.

        Raises:
            NoClip: it cannot be made here.
        """
        if self._clip is None:
            self.progress("making the cameras' picture")
            self._clip = await asyncio.to_thread(clip.load, self.state)
        return self._clip


@dataclass(frozen=True, slots=True)
class Service:
    """One server's place.  ``checks`` are all that look at this address and port."""

    simulation: Simulation
    transport: Transport
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
        """The checks of its own protocols."""
        return tuple(check for check in self.checks if check.protocol in self.simulation.protocols)

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS from the first byte on."""
        return any(self.simulation.tls(check) for check in self.own)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that its certificate has to be for: the address, and what the checks ask for."""
        asked = (getattr(check.options, name, None) for check in self.checks for name in ("host", "tls_server_name"))
        return tuple(dict.fromkeys([self.address, *(str(name) for name in asked if name)]))

    @property
    def slow_seconds(self) -> float:
        """How late an answer is when it is slow."""
        # A request that is sent again has another number: the answer to the first then comes to nothing.
        patience = (getattr(check.options, "resend_after", check.timeout) for check in self.checks)
        return SLOW_SHARE * min(*patience, *(check.timeout for check in self.checks))

    @property
    def abilities(self) -> frozenset[str]:
        """Which faults it can show; see ``faults``."""
        found = self.simulation.abilities(self) | {CONNECT if self.transport == "tcp" else ANSWER}
        return found | {TLS} if self.tls else found

    def __str__(self) -> str:
        return f"{self.simulation.protocols[0]} {self.address}:{self.port}/{self.transport}"


def _port(check: Check) -> Place | None:
    return "tcp", int(check.options.port)


def _wants_tls(check: Check) -> bool:
    return bool(getattr(check.options, "wants_tls", False))


def _talks(service: Service) -> frozenset[str]:
    del service
    return frozenset({TALK})


@dataclass(frozen=True, slots=True)
class Simulation:
    """How the lab plays one protocol, or several that live behind one port.

    ``server`` makes the server of a service.  ``place`` says where a check looks (None: nowhere that the lab could
    play, which is told).  Where checks of several protocols look at one port, the simulation of the highest ``rank``
    plays it, so it must content the others: a plain connect is content with any.  ``tls`` says whether a check
    expects TLS from the first byte on, ``abilities`` which faults a service can show beside those of its transport,
    ``faults`` are those that only this protocol knows; one that ``greets`` contents a check that awaits a greeting.
    """

    protocols: tuple[str, ...]
    server: Callable[[Service, Ground], Awaitable[Any]]
    place: Callable[[Check], Place | None] = _port
    tls: Callable[[Check], bool] = _wants_tls
    abilities: Callable[[Service], frozenset[str]] = _talks
    faults: tuple[Fault, ...] = ()
    rank: int = 10
    greets: bool = False
