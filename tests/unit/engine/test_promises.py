"""The promises over a period, from what a store holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sentinel.domain.conference import Conference
from sentinel.domain.incident import Level, Subject, Verdict
from sentinel.domain.retrieval import Retrieval
from sentinel.domain.rule import (
    Availability,
    ConferenceRate,
    Down,
    Predicate,
    RetrievalLimit,
    Rule,
    Selector,
    Severity,
)
from sentinel.engine.ports import QuickRetrievals, Status, StoreFailed
from sentinel.engine.promises import LOOK, PERIOD, Promises, month
from sentinel.engine.snapshot import SlaFigure
from tests.support.estate import VirtualClock, check, target

pytestmark = pytest.mark.virtual_time

SHANGHAI = ZoneInfo("Asia/Shanghai")


def local(*when: int) -> float:
    return datetime(*when, tzinfo=SHANGHAI).timestamp()  # type: ignore[misc,arg-type]  # whole numbers


NOW = local(2026, 11, 22, 12)
ROOM = check(target("set", venue="room-335"), required=True)
CAMERA = check(target("camera"))
LAMP = check(target("lamp", venue="room-335"))
"""No conference needs it."""


class Records:
    """A store in memory that answers as the real one does; ``broken`` where it cannot be read."""

    def __init__(self, statuses: Sequence[Status] = (), retrievals: Sequence[Retrieval] = ()) -> None:
        self.all_statuses, self.all_retrievals = statuses, retrievals
        self.broken = False
        self.reads = 0

    async def statuses(self, since: float, until: float) -> Sequence[Status]:
        self.reads += 1
        if self.broken:
            raise StoreFailed("the disk is gone")
        before = {one.check: one for one in self.all_statuses if one.at < since}
        return sorted(
            [*before.values(), *(one for one in self.all_statuses if since <= one.at < until)], key=lambda one: one.at
        )

    async def retrievals(self, since: float, until: float) -> Sequence[Retrieval]:
        return [one for one in self.all_retrievals if since <= one.started_at < until and not one.quick]

    async def quick_retrievals(self, since: float, until: float) -> Sequence[QuickRetrievals]:
        return [
            QuickRetrievals(one.check, 1, took, took, one.ended_at or 0.0, took)
            for one in self.all_retrievals
            for took in [one.elapsed(0.0)]
            if since <= one.started_at < until and one.quick
        ]

    async def open_retrievals(self) -> frozenset[str]:
        return frozenset(one.id for one in self.all_retrievals if one.ended_at is None)


class Office:
    """Promises with a configuration of one rule, and what they said."""

    def __init__(self, predicate: Predicate, records: Records, conferences: Sequence[Conference] = ()) -> None:
        self.rule = Rule("promise", "承诺", Selector(), predicate, Severity.CRITICAL, contractual=True)
        self.clock = VirtualClock(NOW)
        self.figures: Sequence[SlaFigure] = ()
        self.publish_hook: Callable[[], None] | None = None
        self.verdicts: list[tuple[Subject, Verdict]] = []
        plan: Any = SimpleNamespace(
            checks={one.id: one for one in (ROOM, CAMERA, LAMP)}, rules=(self.rule,), conferences=tuple(conferences)
        )
        self.promises = Promises(
            records,  # type: ignore[arg-type]  # only what promises read
            self.clock,
            lambda: plan,
            publish=self._publish,
            settle=lambda subject, verdict: self.verdicts.append((subject, verdict)),
        )

    def _publish(self, figures: Sequence[SlaFigure]) -> None:
        self.figures = figures
        if self.publish_hook is not None:
            self.publish_hook()

    async def figure(self, subject: str = "estate") -> SlaFigure:
        await self.promises.compute()
        return next(one for one in self.figures if one.subject == subject)


@pytest.mark.parametrize(
    ("now", "begin", "end"),
    [
        ((2026, 11, 22, 12), (2026, 11, 1), (2026, 12, 1)),
        ((2026, 12, 31, 23, 59), (2026, 12, 1), (2027, 1, 1)),
        ((2027, 1, 1, 0, 0), (2027, 1, 1), (2027, 2, 1)),
        ((2028, 2, 29, 8), (2028, 2, 1), (2028, 3, 1)),
    ],
)
async def test_months_are_the_centres_months(now: Any, begin: Any, end: Any) -> None:
    assert month(local(*now)) == (local(*begin), local(*end))
    # 16:00 UTC on the last day is the next month already in Beijing.
    assert month(local(*begin) - 1)[1] == local(*begin)
    assert datetime.fromtimestamp(local(*begin), ZoneInfo("UTC")).hour == 16


async def test_availability_of_each_target_and_of_all() -> None:
    statuses = [
        Status(CAMERA.id, NOW - 5000, "up"),
        Status(ROOM.id, NOW - 1000, "up"),
        Status(CAMERA.id, NOW - 500, "down"),
        Status(CAMERA.id, NOW - 400, "unknown"),
        Status(CAMERA.id, NOW - 300, "up"),
    ]
    office = Office(Availability(0.99, window=1000.0), Records(statuses))
    whole, camera = await office.figure(), await office.figure(CAMERA.id)
    assert (camera.counts["up_seconds"], camera.counts["down_seconds"]) == (800.0, 100.0)
    assert (camera.counts["unknown_seconds"], camera.counts["unobserved_seconds"]) == (100.0, 0.0)
    assert camera.observed == pytest.approx(800 / 900)
    assert (whole.counts["up_seconds"], whole.counts["down_seconds"]) == (1800.0, 100.0)
    assert not whole.kept
    assert office.verdicts[-1][1].level is Level.FIRING
    assert {subject.subject for subject, _ in office.verdicts} == {"estate"}


async def test_of_what_was_never_seen_nothing_is_said() -> None:
    office = Office(Availability(0.99), Records())
    figure = await office.figure()
    assert (figure.observed, figure.kept) == (None, True)
    assert office.verdicts[-1][1].level is Level.UNKNOWN


async def test_retrievals_of_this_month() -> None:
    begin = local(2026, 11, 1)
    episodes = [
        Retrieval("old", CAMERA.id, begin - 900, begin - 500, shown=True),
        Retrieval("quick", CAMERA.id, begin + 10, begin + 12, shown=True, attempts=1),
        Retrieval("slow", CAMERA.id, begin + 100, begin + 401, shown=True, attempts=9),
        Retrieval("last", CAMERA.id, NOW - 100, NOW - 96, shown=True, attempts=1),
        Retrieval("given up", CAMERA.id, NOW - 90, NOW - 80),
        Retrieval("open", CAMERA.id, NOW - 60),
        Retrieval("elsewhere", "other.rtsp", NOW - 1000),
    ]
    office = Office(RetrievalLimit(), Records(retrievals=episodes))
    figure = await office.figure()
    assert (figure.observed, figure.kept, figure.contractual) == (301.0, False, True)
    assert figure.counts["retrievals"] == 4
    assert (figure.counts["open"], figure.counts["breaches"], figure.counts["last_seconds"]) == (1, 1, 4.0)
    assert figure.counts["mean_seconds"] == pytest.approx((2 + 301 + 4) / 3)
    assert figure.counts["open_since_timestamp_seconds"] == NOW - 60
    assert office.verdicts == []  # each breach has its own incident


async def test_conferences_of_the_centres_month() -> None:
    begin, end = month(NOW)
    early, late = Conference("early", "早", ("room-335",), begin, begin + 3600), begin - 60
    conferences = [
        Conference("last month", "上月", ("room-335",), late, late + 3600),
        early,
        *(Conference(f"c{n}", "会", ("room-335",), begin + n * 86_400, begin + n * 86_400 + 600) for n in range(2, 21)),
        Conference("next month", "下月", ("room-335",), end, end + 3600),
    ]
    statuses = [
        Status(ROOM.id, begin - 3000, "up"),
        Status(ROOM.id, begin + 100, "down"),
        Status(ROOM.id, begin + 200, "up"),
        Status(CAMERA.id, begin, "down"),
        Status(LAMP.id, begin, "down"),
    ]
    office = Office(ConferenceRate(0.05, tolerance=60.0), Records(statuses), conferences)
    figure = await office.figure()
    assert (figure.counts["planned"], figure.counts["incidents"], figure.counts["allowed"]) == (20, 1, 1)
    assert (figure.counts["left"], figure.kept) == (0, True)
    assert figure.counts["current"] == 0
    assert office.verdicts[-1][1].level is Level.OK
    more = Office(ConferenceRate(0.05, tolerance=60.0), Records(statuses), conferences[:-2])
    assert not (await more.figure()).kept  # nineteen allow none
    subject, verdict = more.verdicts[-1]
    assert (subject.subject, subject.target, verdict.level) == ("estate", "", Level.FIRING)


async def test_a_conference_that_goes_on_is_counted_as_such() -> None:
    going_on = Conference("now", "会", ("room-335",), NOW - 60, NOW + 60)
    over = Conference("over", "会", ("room-335",), NOW - 60, NOW)
    office = Office(ConferenceRate(0.05, tolerance=60.0), Records(), [going_on, over])
    figure = await office.figure()
    assert (figure.counts["current"], figure.counts["conferences"]) == (1, 2)


async def test_a_retrieval_that_begins_or_ends_is_shown_within_seconds() -> None:
    records = Records()
    office = Office(RetrievalLimit(), records)
    task = asyncio.get_running_loop().create_task(office.promises.run())
    await asyncio.sleep(7)
    episode = Retrieval("r", CAMERA.id, office.clock.now() - 1)
    records.all_retrievals = [episode]
    await asyncio.sleep(LOOK + 3)
    assert office.figures[0].counts["open"] == 1
    records.all_retrievals = [replace(episode, ended_at=office.clock.now(), shown=True, attempts=8)]
    await asyncio.sleep(LOOK + 3)
    assert office.figures[0].counts["open"] == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_rules_have_no_figure() -> None:
    office = Office(Down(), Records([Status(CAMERA.id, NOW - 10, "down")]))
    await office.promises.compute()
    assert (list(office.figures), office.verdicts) == ([], [])


async def test_it_computes_once_a_minute_and_sooner_where_it_is_hurried() -> None:
    records = Records()
    office = Office(Availability(0.99), records)
    task = asyncio.get_running_loop().create_task(office.promises.run())
    await asyncio.sleep(10 * PERIOD + 1)
    assert records.reads == 11
    office.publish_hook = office.promises.hurry  # while it computes
    await asyncio.sleep(PERIOD + 5)
    office.publish_hook = None
    assert records.reads >= 13
    await asyncio.sleep(10)
    before = records.reads
    for _ in range(20):
        office.promises.hurry()
        await asyncio.sleep(0.05)
    await asyncio.sleep(5)
    assert records.reads - before in {1, 2}  # a burst is one or two
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_store_that_cannot_be_read_stops_nothing() -> None:
    records = Records()
    office = Office(Availability(0.99), records)
    records.broken = True
    task = asyncio.get_running_loop().create_task(office.promises.run())
    await asyncio.sleep(3 * PERIOD)
    assert not task.done()
    records.broken = False
    await asyncio.sleep(PERIOD + 1)
    assert office.figures
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
