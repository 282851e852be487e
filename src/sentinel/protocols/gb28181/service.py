"""What the daemon holds for the protocol: its registrars, one for each address and port, and the decoders."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Final

import structlog

from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.gb28181.kept import Kept
from sentinel.protocols.gb28181.options import TO_PLATFORM, Gb28181Options
from sentinel.protocols.gb28181.registrar import Identity, Known, Registrar
from sentinel.sdk.protocol import Inbox

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
"""Between two looks at what has expired."""
FAREWELL_SECONDS: Final = 1.0
"""At the end, so long is waited for answers to BYE."""

Place = tuple[str, int]


class CannotListen(Exception):
    """The registrar's address cannot be had; ``code`` is of the closed list."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.code = code


class Service:
    """Opens a registrar when the first check names its place, closes it when none does any more."""

    def __init__(self, pool: DecoderPool) -> None:
        self.pool = pool
        self._registrars: dict[Place, Registrar] = {}
        self._inbox: Inbox | None = None
        self._named: Mapping[tuple[Place, str | None], list[str]] = {}
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._farewells: set[asyncio.Task[Any]] = set()

    def attach(self, inbox: Inbox) -> None:
        """Take the checks as they are configured now: listen where they say, admit whom they name."""
        self._inbox = inbox
        self._named = defaultdict(list)
        for check in inbox.checks():
            options = check.options
            if options.mode not in TO_PLATFORM:
                self._named[(options.listen, options.listen_port), options.device].append(check.id)
        self._own(self._arrange(), "gb28181 registrars", self._tasks)

    async def registrar(self, options: Gb28181Options) -> Registrar:
        """The registrar that these options mean, listening; their device is admitted.

        Raises:
            CannotListen: its address cannot be had, or another check has given it another number or domain.
        """
        place = options.listen, options.listen_port
        identity = Identity(options.server_id, options.domain, options.digest)
        async with self._opening:
            found = self._registrars.get(place)
            if found is None:
                found = await self._open(place, identity)
        if found.identity != identity:
            raise CannotListen(
                f"another check gives the registrar on {place[0]}:{place[1]} another server_id, realm or digest",
                "bad_option",
            )
        if options.device is not None and options.password is not None:
            first = options.device not in found.known
            found.known[options.device] = Known(options.password, options.keepalive)
            if first:  # before a probe may find it missing
                self._resume(found, options)
        return found

    def say_goodbye(self, farewell: Coroutine[Any, Any, None]) -> None:
        """Run to its end what ends a call: the probe that made it need not wait."""
        self._own(farewell, "gb28181 farewell", self._farewells)

    def refusals(self) -> Mapping[str, float]:
        """What was not answered as it was asked for, by reason."""
        found: Counter[str] = Counter()
        for registrar in self._registrars.values():
            found.update(registrar.refusals)
            found["malformed"] += registrar.listening.malformed
            found["too many connections"] += registrar.listening.refused
        return found

    async def look(self) -> None:
        """Keep an eye on all registrations; ends by cancellation."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for registrar in list(self._registrars.values()):
                registrar.look()

    async def close(self) -> None:
        """End what is under way, then listen no more."""
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=FAREWELL_SECONDS)
        tasks = [*self._farewells, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for registrar in self._registrars.values():
            registrar.listening.close()
        self._registrars.clear()
        await asyncio.sleep(0)  # the loop closes datagram sockets in its next turn: then the address is free

    async def _arrange(self) -> None:
        wanted: dict[Place, dict[str, Known]] = {}
        for options in self._options():
            try:
                await self.registrar(options)
            except CannotListen as error:  # its checks say so each time, and try again
                log.warning("gb28181.cannot_listen", reason=str(error))
                continue
            if options.device is not None and options.password is not None:
                known = wanted.setdefault((options.listen, options.listen_port), {})
                known[options.device] = Known(options.password, options.keepalive)
        for place in [place for place in self._registrars if place not in wanted]:
            self._registrars.pop(place).listening.close()
        for place, known in wanted.items():
            self._registrars[place].admit(known)

    def _options(self) -> list[Gb28181Options]:
        if self._inbox is None:
            return []
        return [check.options for check in self._inbox.checks() if check.options.mode not in TO_PLATFORM]

    async def _open(self, place: Place, identity: Identity) -> Registrar:
        def changed(device: str) -> None:
            self._hasten(place, device)

        def keep(device: str, memory: Mapping[str, float]) -> None:
            self._keep(place, device, memory)

        registrar = Registrar(identity, place, changed, keep)
        try:
            await registrar.listening.open()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            code = "no_privilege" if error.errno in (errno.EACCES, errno.EPERM) else "no_resource"
            raise CannotListen(f"cannot listen on {place[0]}:{place[1]}: {reason}", code) from error
        self._registrars[place] = registrar
        return registrar

    def _hasten(self, place: Place, device: str) -> None:
        if self._inbox is not None:
            for check in self._named.get((place, device), ()):
                self._inbox.hasten(check)

    def _keep(self, place: Place, device: str, memory: Mapping[str, float]) -> None:
        """With the first of the checks that name the device; with the others nothing, whatever was there before."""
        if self._inbox is not None:
            for number, check in enumerate(self._named.get((place, device), ())):
                self._inbox.keep(check, {} if number else memory)

    def _resume(self, registrar: Registrar, options: Gb28181Options) -> None:
        if self._inbox is None or options.device is None:
            return
        found = (Kept.of(self._inbox.kept(check)) for check in self._named.get((registrar.place, options.device), ()))
        newest = max((one for one in found if one is not None), key=lambda one: one.heard_at, default=None)
        if newest is not None:
            registrar.resume(options.device, newest)

    def _own(self, work: Coroutine[Any, Any, None], name: str, tasks: set[asyncio.Task[Any]]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(_tell)


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("gb28181.defect", task=task.get_name(), exc_info=error)


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[Service]:
    """The protocol's service."""
    async with decoder_pool() as pool:
        made = Service(pool)
        looking = asyncio.get_running_loop().create_task(made.look(), name="gb28181 registrations")
        try:
            yield made
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await made.close()
