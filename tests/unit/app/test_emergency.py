"""What is told although nothing can be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sentinel.app.emergency import AFTER, REPEAT, Emergency
from sentinel.domain.notice import Event, Message
from sentinel.domain.words import Locale
from sentinel.engine.courier import Outlet
from sentinel.sdk.channel import Channel, ChannelOptions, NotDelivered
from tests.support.estate import VirtualClock

pytestmark = pytest.mark.virtual_time


class Desk:
    """An emergency with four channels: one that works, one that refuses, one with a defect, one that hangs."""

    def __init__(self, locale: Locale = "zh-CN") -> None:
        self.reason: str | None = None
        self.sent: list[tuple[float, Message]] = []
        outlets = {
            name: Outlet(name, Channel(name, ChannelOptions, send), ChannelOptions())
            for name, send in (
                ("refuses", self._refuse),
                ("defect", self._defect),
                ("hangs", self._hang),
                ("works", self._send),
            )
        }
        self.emergency = Emergency(lambda: self.reason, lambda: outlets, VirtualClock(), self._post, lambda: locale)
        self.task = asyncio.get_running_loop().create_task(self.emergency.run())

    async def _post(self, *_args: Any, **_more: Any) -> Any:
        raise AssertionError

    async def _send(self, messages: Sequence[Message], _options: Any, _post: Any) -> None:
        self.sent.extend((asyncio.get_running_loop().time(), one) for one in messages)

    async def _refuse(self, *_args: Any) -> None:
        raise NotDelivered("HTTP 500")

    async def _defect(self, *_args: Any) -> None:
        raise KeyError("of the operator's secret")

    async def _hang(self, *_args: Any) -> None:
        await asyncio.sleep(3600)

    async def stop(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


async def test_nothing_is_said_of_a_moment() -> None:
    desk = Desk()
    desk.reason = "disk full"
    await asyncio.sleep(AFTER - 1)
    desk.reason = None
    await asyncio.sleep(600)
    assert desk.sent == []
    await desk.stop()


async def test_a_disk_that_takes_nothing_is_told_within_a_minute_and_so_is_its_end() -> None:
    desk = Desk()
    desk.reason = "FullError: disk full\nand\x1b[2J more"
    await asyncio.sleep(60)
    ((at, opened),) = desk.sent
    assert at <= AFTER + 2
    assert (opened.event, opened.severity) == (Event.OPENED, "critical")
    assert "数据无法写入磁盘" in opened.title
    assert "disk full" in opened.text
    assert "\x1b" not in opened.text
    desk.reason = None
    await asyncio.sleep(30)
    _, resolved = desk.sent[-1]
    assert (resolved.event, resolved.incident) == (Event.RESOLVED, opened.incident)
    assert resolved.id != opened.id
    assert resolved.ended_at is not None
    await desk.stop()


async def test_it_is_repeated_while_it_lasts() -> None:
    desk = Desk("en")
    desk.reason = "disk full"
    await asyncio.sleep(3 * REPEAT + 100)
    assert len(desk.sent) == 4
    assert len({message.id for _, message in desk.sent}) == 1  # a receiver may drop what it knows
    assert desk.sent[0][1].title.startswith("[Critical]")
    await desk.stop()
