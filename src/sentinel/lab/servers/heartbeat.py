"""Heartbeat: mobile units and jobs that call the daemon themselves."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import aiohttp

from sentinel.domain.target import Check
from sentinel.lab.faults import DOWN, Fault
from sentinel.lab.simulation import Ground, Place, Service, Simulation

FAILS: Final = "heartbeat-fails"

_HEARTBEAT: Final = "heartbeat"
_PAUSE: Final = 1.0
"""Seconds until a call that did not come through is tried again: the daemon may start after the lab."""


class Caller:
    """One device with its checks: each is called for when word is due, and at once after a fault came or went."""

    def __init__(self, service: Service, ground: Ground) -> None:
        self._service, self._ground = service, ground
        self._faults: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()

    async def open(self) -> None:
        """Begin to call; does nothing where it does already."""
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(self._call_on(check), name=f"calls {check.id}") for check in self._service.own
            ]

    async def close(self) -> None:
        """Call no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def show(self, faults: frozenset[str]) -> None:
        """Say that it fails, or nothing at all where it is down."""
        async with self._changed:
            self._faults = faults
            self._changed.notify_all()

    async def _call_on(self, check: Check) -> None:
        word = check.options.token.get_secret_value()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                faults = self._faults
                heard = DOWN in faults or await self._call(session, word + ("/fail" if FAILS in faults else ""))
                now = time.time()  # noqa: TID251 - when word is due is of the wall
                wait = check.options.due(now) - now if heard else _PAUSE
                async with self._changed:
                    if faults is self._faults:
                        try:
                            async with asyncio.timeout(max(wait, _PAUSE)):
                                await self._changed.wait()
                        except TimeoutError:
                            continue

    async def _call(self, session: aiohttp.ClientSession, word: str) -> bool:
        page = self._ground.daemon().rstrip("/")
        try:
            # The daemon's certificate is its own affair: this is a lab on loopback.
            async with session.post(f"{page}/heartbeat/{word}", ssl=False) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


async def _server(service: Service, ground: Ground) -> Caller:
    return Caller(service, ground)


def _place(check: Check) -> Place:
    del check
    return "call", 0


SIMULATION = Simulation(
    (_HEARTBEAT,),
    _server,
    place=_place,
    tls=lambda _: False,
    abilities=lambda _: frozenset({_HEARTBEAT}),
    faults=(Fault(FAILS, "It calls and says that its work failed.", "mobile units and jobs", frozenset({_HEARTBEAT})),),
)
