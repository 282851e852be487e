import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.incident import Incident, Level, State, Telling, Transition, Verdict
from sentinel.domain.notice import Event, Message, Notice
from sentinel.domain.rule import Severity
from sentinel.engine.ports import Commit
from sentinel.storage.sqlite import SqliteStore, open_store

NOON = 1_800_000_000.0
"""A whole hour."""


@dataclasses.dataclass
class HandClock:
    """A clock that stands still until a test moves it."""

    wall: float = NOON

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.wall


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sentinel.db"


@pytest.fixture
async def store(path: Path, clock: HandClock) -> AsyncIterator[SqliteStore]:
    async with open_store(path, clock) as opened:
        yield opened


VERDICT = Verdict(Level.FIRING, Severity.MAJOR, NOON, NOON - 5, "connect", "timed_out", "无应答", "took", 2.5, 1.0)


def incident(number: int = 1, **changes: Any) -> Incident:
    made = Incident(
        id=f"i{number}",
        key=f"down/hall-{number:02}.ping",
        rule="down",
        subject=f"hall-{number:02}.ping",
        target=f"hall-{number:02}",
        title=f"大厅终端 {number}",
        labels={"check": f"hall-{number:02}.ping", "venue": "centre"},
        severity=Severity.MAJOR,
        state=State.OPEN,
        telling=Telling.TOLD,
        began_at=NOON - 5,
        opened_at=NOON,
        verdict=VERDICT,
        channels=("desk",),
        version=1,
    )
    return dataclasses.replace(made, **changes)


def transition(number: int = 1, seq: int = 1, **changes: Any) -> Transition:
    made = Transition(
        f"i{number}", seq, NOON, "", "told", Severity.MAJOR, "confirmed", Event.OPENED, "switch-1", verdict=VERDICT
    )
    return dataclasses.replace(made, **changes)


def notice(number: int = 1, seq: int = 1, channel: str = "desk", **changes: Any) -> Notice:
    message = Message(
        id=f"i{number}-{seq}",
        incident=f"i{number}",
        event=Event.OPENED,
        severity="major",
        title="故障",
        text="第一行\n第二行",
        labels={"check": "hall-01.ping"},
        annotations={"stage": "connect"},
        started_at=NOON,
        ended_at=None,
    )
    made = Notice(f"i{number}", seq, channel, message, created_at=NOON, next_at=NOON)
    return dataclasses.replace(made, **changes)


def opening(number: int = 1, *channels: str) -> Commit:
    """All that the opening of one incident changes."""
    return Commit(
        incidents=[incident(number)],
        transitions=[transition(number)],
        notices=[notice(number, 1, channel) for channel in channels or ("desk",)],
    )
