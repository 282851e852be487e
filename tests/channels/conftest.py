import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sentinel.domain.notice import Event, Message
from sentinel.engine.post import open_post
from sentinel.sdk.channel import Post


class RealClock:
    """The machine's."""

    def now(self) -> float:
        return time.time()  # noqa: TID251  # a receiver's date is compared with it

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with open_post(RealClock()) as opened:
        yield opened


def message(**changes: Any) -> Message:
    made = Message(
        id="i1-1",
        incident="i1",
        event=Event.OPENED,
        severity="major",
        title='【重要故障】大厅"终端"07',
        text="第一行\n第二行 </script> \x1b",
        labels={"alertname": "down", "check": "hall-07.ping", "venue": "应急指挥中心", "room": ""},
        annotations={"summary": "摘要", "stage": "connect"},
        started_at=1_800_000_000.25,
        ended_at=None,
    )
    return dataclasses.replace(made, **changes)
