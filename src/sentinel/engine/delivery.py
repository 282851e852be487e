"""Delivery: the store's outbox, taken to the channels, each by a courier of its own.

A notice is queued until its receiver has accepted it; the receiver sees the same message id on every attempt.  What
is accepted is marked after the fact, so that a crash in between sends it twice and never not at all.
"""

from __future__ import annotations

import asyncio
import random as random_module
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from sentinel.domain.notice import NoticeStatus
from sentinel.engine.courier import LOOK, Courier, Figures, Observe, Outlet, Surroundings, settled
from sentinel.engine.pacing import Pace, SteadyClock
from sentinel.engine.ports import ChannelState, Clock, Store, StoreFailed
from sentinel.sdk.channel import Post

__all__ = ["Delivery", "Figures", "Observe", "Outlet"]

log = structlog.get_logger(__name__)

RETRY: Final = 1.0
"""Seconds between attempts to read the store."""


class Delivery:
    """``run`` delivers until it is cancelled; ``wake`` after each commit, ``reload`` with each configuration."""

    def __init__(
        self,
        store: Store,
        outlets: Mapping[str, Outlet],
        clock: Clock,
        post: Post,
        *,
        observe: Observe = lambda _channel, _result, _seconds: None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._around = Surroundings(store, SteadyClock(clock), post, observe, random)
        self._outlets = dict(outlets)
        self._couriers: dict[str, Courier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._seen: dict[str, int] = {}
        self._beats = 0

    @property
    def figures(self) -> Mapping[str, Figures]:
        """Each channel's, by id."""
        return {name: courier.figures for name, courier in self._couriers.items()}

    @property
    def beats(self) -> int:
        """Grows when asked, if every courier has advanced since it last grew: each does so at least every 30 s."""
        now = {name: courier.beats for name, courier in self._couriers.items()}
        if all(self._seen.get(name) != beats for name, beats in now.items()):
            self._seen = now
            self._beats += 1
        return self._beats

    def wake(self) -> None:
        """Something was committed."""
        for courier in self._couriers.values():
            courier.woken.set()

    def reload(self, outlets: Mapping[str, Outlet]) -> None:
        """Use these channels from now on; what is queued for one that is gone is given up, loudly."""
        self._outlets = dict(outlets)
        self._changed.set()

    async def run(self) -> None:
        """Deliver."""
        states = await self._states()
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for name in [name for name in self._couriers if name not in self._outlets]:
                    self._tasks.pop(name).cancel()
                    del self._couriers[name]
                for name, outlet in self._outlets.items():
                    self._employ(group, outlet, states.pop(name, None))
                await self._give_up_orphans()
                await self._changed.wait()

    def _employ(self, group: asyncio.TaskGroup, outlet: Outlet, state: ChannelState | None) -> None:
        courier = self._couriers.get(outlet.id)
        if courier is None:
            pace = Pace(outlet.channel.per_minute, self._around.clock, self._around.random, state)
            courier = self._couriers[outlet.id] = Courier(outlet, pace, self._around)
            self._tasks[outlet.id] = group.create_task(courier.run(), name=f"deliver {outlet.id}")
        elif courier.outlet != outlet:
            courier.outlet = outlet
            courier.pace.change(outlet.channel.per_minute)  # another receiver perhaps: tried at once
            courier.woken.set()

    async def _states(self) -> dict[str, ChannelState]:
        while True:
            try:
                return {state.channel: state for state in await self._around.store.channel_states()}
            except StoreFailed as failed:
                log.warning("channel_states_unreadable", reason=str(failed))
                await asyncio.sleep(RETRY)

    async def _give_up_orphans(self) -> None:
        store, error = self._around.store, "the channel is no longer configured"
        try:
            for name in await store.queued():
                while name not in self._outlets and (orphans := await store.notices_due(name, float("inf"), LOOK)):
                    now = self._around.clock.now()
                    await store.settle([settled(one, NoticeStatus.UNDELIVERED, now, error) for one in orphans])
                    log.error("notices_given_up", channel=name, reason=error, notices=len(orphans))
        except StoreFailed as failed:  # they stay queued, and are found at the next start or reload
            log.warning("orphans_not_settled", reason=str(failed))
