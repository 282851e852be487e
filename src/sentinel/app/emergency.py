"""Emergencies: what must be told although the store cannot keep it.

While the disk takes nothing, there is no outbox; the messages of an emergency go to every channel at once, without
a promise, and again every ten minutes for as long as it lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from sentinel.domain.notice import Event, Message
from sentinel.domain.rule import Severity
from sentinel.domain.wording import duration, local_time, one_line
from sentinel.domain.words import INTERNAL_RULES, Locale, word
from sentinel.engine.courier import Outlet
from sentinel.engine.ports import Clock
from sentinel.sdk.channel import NotDelivered, Post

log = structlog.get_logger(__name__)

AFTER = 5.0
"""Seconds for which the disk must have failed."""

REPEAT = 600.0
"""Seconds between two messages of the same emergency."""

RULE = "store-failing"


class Emergency:
    """Watches ``failing`` (why the disk takes nothing, None where it does) and tells without the store."""

    def __init__(
        self,
        failing: Callable[[], str | None],
        outlets: Callable[[], Mapping[str, Outlet]],
        clock: Clock,
        post: Post,
        locale: Callable[[], Locale],
    ) -> None:
        self._failing = failing
        self._outlets = outlets
        self._clock = clock
        self._post = post
        self._locale = locale

    async def run(self) -> None:
        """Watch until cancelled."""
        since: float | None = None
        told_at: float | None = None
        while True:
            await asyncio.sleep(1.0)
            reason, now = self._failing(), self._clock.now()
            if reason is None:
                if told_at is not None and since is not None:
                    await self._tell(self._message(Event.RESOLVED, since, now, ""))
                since = told_at = None
                continue
            since = now if since is None else since
            if now - since >= AFTER and (told_at is None or now - told_at >= REPEAT):
                told_at = now
                await self._tell(self._message(Event.OPENED, since, now, reason))

    def _message(self, event: Event, since: float, now: float, reason: str) -> Message:
        locale = self._locale()
        zh = locale == "zh-CN"
        rule = word(INTERNAL_RULES, RULE, locale)
        if event is Event.RESOLVED:
            title = f"【恢复】{rule}，历时 {duration(now - since, locale)}" if zh else f"[Recovered] {rule}"
        else:
            title = f"【紧急】{rule}" if zh else f"[Critical] {rule}"
        text = f"{title}\n{'开始：' if zh else 'Since: '}{local_time(since)}"
        if reason:
            text += f"\n{'原因：' if zh else 'Cause: '}{one_line(reason)}"
        stamp = datetime.fromtimestamp(since, UTC).strftime("%Y%m%dT%H%M%SZ")
        return Message(
            id=f"emergency-{stamp}-{1 if event is Event.OPENED else 2}",
            incident=f"emergency-{stamp}",
            event=event,
            severity=Severity.CRITICAL.value,
            title=title,
            text=text,
            labels={"alertname": RULE},
            annotations={"summary": rule},
            started_at=since,
            ended_at=now if event is Event.RESOLVED else None,
            locale=locale,
        )

    async def _tell(self, message: Message) -> None:
        log.critical("emergency", title=message.title)
        async with asyncio.TaskGroup() as group:
            for outlet in self._outlets().values():
                group.create_task(self._send(outlet, message), name=f"emergency {outlet.id}")

    async def _send(self, outlet: Outlet, message: Message) -> None:
        try:
            async with asyncio.timeout(10):
                await outlet.channel.send([message], outlet.options, self._post)
        except (NotDelivered, TimeoutError) as error:
            log.critical("emergency.undelivered", channel=outlet.id, reason=str(error) or "timed out")
        except Exception as error:  # noqa: BLE001 - one channel's defect must not silence the others, nor end the watch
            log.critical("emergency.undelivered", channel=outlet.id, reason=type(error).__name__)
