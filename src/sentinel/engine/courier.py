"""A courier takes one channel's messages out of the outbox, one batch after the other."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from sentinel.domain.notice import Message, Notice, NoticeStatus
from sentinel.engine.pacing import Pace, SteadyClock, backoff
from sentinel.engine.ports import Settled, Store, StoreFailed
from sentinel.sdk.channel import Channel, NotDelivered, Post

log = structlog.get_logger(__name__)

GIVE_UP_AFTER: Final = 86_400.0
"""Seconds from a notice's commit after which it is not tried again."""
SEND_WITHIN: Final = 30.0
"""Seconds after which an attempt has failed, whatever the channel does."""
LOOK_EVERY: Final = 5.0
"""Seconds after which a courier looks into the outbox without having been woken."""
LOOK: Final = 100
"""Notices taken from the outbox at a time."""

Observe = Callable[[str, str, float | None], None]
"""``observe(channel, result, seconds)``: result is ``accepted``, ``failed`` (tried again) or ``refused`` (given up);
seconds from the notice's commit to its acceptance, None otherwise."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """A channel in use: its id in the configuration, what it is, its options."""

    id: str
    channel: Channel
    options: Any


@dataclass(slots=True)
class Figures:
    """A channel's counts by result since the start, and how it stands: messages that wait, and that were given up."""

    results: Counter[str] = field(default_factory=Counter)
    queued: int = 0
    undelivered: int = 0
    broken: bool = False
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every courier shares."""

    store: Store
    clock: SteadyClock
    post: Post
    observe: Observe
    random: Callable[[], float]


class Courier:
    """Works until cancelled.  ``beats`` grows at each step; a step takes at most ``SEND_WITHIN`` seconds."""

    def __init__(self, outlet: Outlet, pace: Pace, around: Surroundings) -> None:
        self.outlet, self.pace = outlet, pace
        self._store, self._clock, self._around = around.store, around.clock, around
        self.woken = asyncio.Event()
        self.figures = Figures()
        self.beats = 0
        self._resend_at = self._clock.monotonic()
        # What the store could not write yet: the row that it shows meanwhile is not to be believed.
        self._unsaved: dict[tuple[str, int], Settled] = {}

    async def run(self) -> None:
        """Deliver."""
        while True:
            self.beats += 1
            try:
                await self._step()
            except StoreFailed as failed:
                log.warning("outbox_unreadable", channel=self.outlet.id, reason=str(failed))
                await asyncio.sleep(1.0)
            except Exception:  # a defect of ours must not end the channel for good
                log.exception("courier_defect", channel=self.outlet.id)
                await asyncio.sleep(1.0)

    async def _step(self) -> None:
        self.woken.clear()  # before looking: a commit after the look must be seen
        pause = self.pace.pause()
        self.figures.broken = self.pace.broken
        await self._count()
        if pause > 0:
            await asyncio.sleep(min(pause, LOOK_EVERY))
            return
        every = self._resend_every()
        if every is not None and self._resend_at <= self._clock.monotonic():
            await self._resend(every)
            return
        due = await self._due()
        if due:
            await self._deliver(due)
            return
        await self._idle(every)

    def _resend_every(self) -> float | None:
        asked = self.outlet.channel.resend_every
        return None if asked is None else asked(self.outlet.options)

    async def _idle(self, every: float | None) -> None:
        """Until something is due, or for a while."""
        next_due = await self._store.next_due(self.outlet.id)
        wait = LOOK_EVERY if next_due is None else min(LOOK_EVERY, next_due - self._clock.now())
        if every is not None:
            wait = min(wait, self._resend_at - self._clock.monotonic())
        # What is not saved looks due to the store for ever.
        wait = max(wait, 1.0 if self._unsaved else 0.001)
        try:
            async with asyncio.timeout(wait):
                await self.woken.wait()
        except TimeoutError:
            return

    async def _count(self) -> None:
        self.figures.queued = (await self._store.queued()).get(self.outlet.id, 0)
        self.figures.undelivered = (await self._store.undelivered()).get(self.outlet.id, 0)

    async def _due(self) -> list[Notice]:
        now = self._clock.now()
        waiting: set[str] = set()
        due: list[Notice] = []
        for notice in await self._store.notices_due(self.outlet.id, now, LOOK + len(self._unsaved)):
            unsaved = self._unsaved.get((notice.incident, notice.seq))
            if unsaved is not None and unsaved.status is not NoticeStatus.QUEUED:
                continue
            if notice.incident in waiting or (unsaved is not None and unsaved.next_at > now):
                waiting.add(notice.incident)
                continue
            due.append(notice if unsaved is None else replace(notice, attempts=unsaved.attempts))
        return due

    async def _deliver(self, due: list[Notice]) -> None:
        """Send in order; what was not accepted holds the later messages of its incident, and nobody else's."""
        held: set[str] = set()
        while due and self.pace.pause() == 0:
            self.beats += 1
            batch: list[Notice] = []
            while due and len(batch) < self.outlet.channel.batch:
                notice = due.pop(0)
                if notice.incident not in held:
                    batch.append(notice)
            if batch:
                held |= await self._hand_over(batch)

    async def _hand_over(self, batch: Sequence[Notice]) -> set[str]:
        """One attempt; the incidents whose messages have to wait now."""
        refused = await self._send([notice.message for notice in batch])
        if refused is None:
            await self._accepted(batch)
            return set()
        if refused.permanent and len(batch) > 1:
            # One of them is refused, not all: find out which, each in its turn.
            held: set[str] = set()
            for notice in batch:
                if notice.incident not in held and self.pace.pause() == 0:
                    held |= await self._hand_over([notice])
                else:
                    held.add(notice.incident)
            return held
        return await self._failed(batch, refused)

    async def _send(self, messages: Sequence[Message]) -> NotDelivered | None:
        """One attempt on the wire; None where it was accepted."""
        channel, around = self.outlet.channel, self._around
        self.pace.sent()
        if self.pace.per_minute is not None:  # saved first: a crash must not forget that it was sent
            await self._save_pace()
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await channel.send(messages, self.outlet.options, around.post)
        except NotDelivered as error:
            refused = error
        except TimeoutError:
            refused = NotDelivered(f"no end within {SEND_WITHIN:g} s")
        except Exception as error:  # noqa: BLE001 - a defect of a channel; its text may hold the URL, which is a secret
            log.error(  # noqa: TRY400 - the same: where it broke, and not what it said
                "channel_defect",
                channel=self.outlet.id,
                error=type(error).__name__,
                where="".join(traceback.format_tb(error.__traceback__)[-3:]),
            )
            refused = NotDelivered(f"defect of the channel: {type(error).__name__}")
        else:
            if self.pace.failures:
                log.info("channel_recovered", channel=self.outlet.id, failures=self.pace.failures)
            self.pace.accepted()
            self.figures.last_error, self.figures.broken = "", False
            return None
        if not refused.permanent:  # what is refused for good speaks of the message; the receiver is well
            self.pace.failed(refused.retry_after)
            if self.pace.failures == 1:
                log.warning("channel_failing", channel=self.outlet.id, reason=refused.detail)
            if self.pace.broken:
                await self._save_pace()
        self.figures.last_error, self.figures.broken = refused.detail, self.pace.broken
        return refused

    async def _save_pace(self) -> None:
        try:
            await self._store.save_channel_state(self.pace.state(self.outlet.id))
        except StoreFailed as failed:
            log.warning("channel_state_unsaved", channel=self.outlet.id, reason=str(failed))

    async def _accepted(self, batch: Sequence[Notice]) -> None:
        now = self._clock.now()
        for notice in batch:
            self._observed("accepted", max(0.0, now - notice.created_at))
        await self._settle([settled(notice, NoticeStatus.SENT, now) for notice in batch])

    async def _failed(self, batch: Sequence[Notice], refused: NotDelivered) -> set[str]:
        now = self._clock.now()
        outcomes = []
        for notice in batch:
            too_old = now - notice.created_at >= GIVE_UP_AFTER
            if refused.permanent or too_old:
                reason = refused.detail if refused.permanent else f"given up after 24 hours: {refused.detail}"
                outcomes.append(settled(notice, NoticeStatus.UNDELIVERED, now, reason))
                self._observed("refused", None)
                log.error("notice_undelivered", channel=self.outlet.id, notice=notice.message.id, reason=reason)
                continue
            pause = max(backoff(notice.attempts + 1, self._around.random), refused.retry_after or 0.0)
            next_at = min(now + pause, max(now, notice.created_at + GIVE_UP_AFTER))
            outcomes.append(settled(notice, NoticeStatus.QUEUED, now, refused.detail, next_at=next_at))
            self._observed("failed", None)
        await self._settle(outcomes)
        if not refused.permanent:
            await self._give_up_old(refused)
        return {outcome.incident for outcome in outcomes if outcome.status is NoticeStatus.QUEUED}

    async def _give_up_old(self, refused: NotDelivered) -> None:
        """With the breaker open the others would wait for their own last attempt long past their day."""
        now = self._clock.now()
        if not self.pace.broken:
            return
        reason = f"given up after 24 hours: {refused.detail}"
        while old := [notice for notice in await self._due() if now - notice.created_at >= GIVE_UP_AFTER]:
            await self._settle([settled(notice, NoticeStatus.UNDELIVERED, now, reason) for notice in old])
            for notice in old:
                self._observed("refused", None)
                log.error("notice_undelivered", channel=self.outlet.id, notice=notice.message.id, reason=reason)

    async def _settle(self, outcomes: Sequence[Settled]) -> None:
        try:
            await self._store.settle(outcomes)
        except StoreFailed as failed:
            # The store keeps it and will write it; until then this is the truth, lest it be sent again and again.
            self._unsaved.update({(outcome.incident, outcome.seq): outcome for outcome in outcomes})
            log.warning("outbox_unwritable", channel=self.outlet.id, reason=str(failed))
        else:
            self._unsaved.clear()  # the store writes in order: what it kept is written as well

    def _observed(self, result: str, seconds: float | None) -> None:
        self.figures.results[result] += 1
        self._around.observe(self.outlet.id, result, seconds)

    async def _resend(self, every: float) -> None:
        """Remind a receiver that forgets of every open incident that it was told of."""
        self._resend_at = self._clock.monotonic() + every
        messages = list(await self._store.told(self.outlet.id))
        batch = self.outlet.channel.batch
        for start in range(0, len(messages), batch):
            self.beats += 1
            refused = await self._send(messages[start : start + batch])
            if refused is not None and not refused.permanent:
                soon = backoff(self.pace.failures, self._around.random)
                self._resend_at = self._clock.monotonic() + min(every, soon)
                return


def settled(notice: Notice, status: NoticeStatus, at: float, error: str = "", *, next_at: float = 0.0) -> Settled:
    """What became of one more attempt."""
    return Settled(notice.incident, notice.seq, notice.channel, status, notice.attempts + 1, next_at, error, at)
