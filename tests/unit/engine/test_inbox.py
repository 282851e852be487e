"""What nobody asked for: taken at once, one a second and check, the last of many, and never a foreign one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.engine.inbox import SPACING, ProtocolInbox
from tests.support.estate import check, target

pytestmark = pytest.mark.virtual_time

BELL = replace(check(target("gate")), protocol="bell")
TCP = replace(check(target("door")), protocol="tcp")
UNSEEN = replace(check(target("cellar")), protocol="bell", vantage=None)
RUNG = Measurement(0.0, values={"rings": 1.0})
BROKEN = Measurement(0.0, Failure("exchange", "mismatch"))


class Desk:
    """An inbox with what came through it."""

    def __init__(self, *checks: Check) -> None:
        self.plan = {one.id: one for one in checks}
        self.taken: list[tuple[str, Measurement]] = []
        self.hastened: list[str] = []
        self.kept: list[tuple[str, dict[str, float]]] = []
        self.inbox = ProtocolInbox(
            "bell",
            lambda: self.plan,
            self._take,
            self.hastened.append,
            lambda name, memory: self.kept.append((name, dict(memory))),
            {BELL.id: {"at": 1.0}},
        )

    def _take(self, check: Check, measurement: Measurement) -> None:
        self.taken.append((check.id, measurement))


async def test_a_report_is_taken_at_once() -> None:
    desk = Desk(BELL)
    desk.inbox.report(BELL.id, RUNG)
    assert desk.taken == [(BELL.id, RUNG)]


async def test_of_a_storm_the_first_and_the_last_of_each_second_are_taken() -> None:
    desk = Desk(BELL)
    for number in range(10_000):
        desk.inbox.report(BELL.id, replace(RUNG, values={"rings": float(number)}))
    await asyncio.sleep(SPACING * 1.1)
    desk.inbox.report(BELL.id, BROKEN)
    await asyncio.sleep(SPACING * 5)
    assert [one.values.get("rings") for _, one in desk.taken] == [0.0, 9999.0, None]
    assert desk.taken[-1][1] is BROKEN
    assert desk.inbox.folded == 9_998


async def test_a_second_later_it_is_taken_at_once_again() -> None:
    desk = Desk(BELL)
    desk.inbox.report(BELL.id, RUNG)
    await asyncio.sleep(SPACING * 1.01)
    desk.inbox.report(BELL.id, BROKEN)
    assert len(desk.taken) == 2


async def test_only_what_is_the_protocols_own_and_in_reach() -> None:
    desk = Desk(BELL, TCP, UNSEEN)
    assert list(desk.inbox.checks()) == [BELL]
    for one in (TCP.id, UNSEEN.id, "nobody.bell"):
        desk.inbox.report(one, RUNG)
        desk.inbox.hasten(one)
    desk.inbox.hasten(BELL.id)
    assert desk.taken == []
    assert desk.hastened == [BELL.id]


async def test_another_check_of_the_same_target_may_be_hastened_and_not_reported_on() -> None:
    lock = replace(check(BELL.target), id="gate.lock", name="lock", protocol="tcp")
    desk = Desk(BELL, lock, TCP)
    desk.inbox.hasten(lock.id)
    desk.inbox.hasten(TCP.id)
    desk.inbox.report(lock.id, RUNG)
    assert (desk.hastened, desk.taken) == ([lock.id], [])
    desk.plan = {lock.id: lock}
    desk.inbox.hasten(lock.id)
    assert desk.hastened == [lock.id]


async def test_a_reload_is_seen_and_what_was_removed_meanwhile_is_dropped() -> None:
    desk = Desk(BELL)
    desk.inbox.report(BELL.id, RUNG)
    desk.inbox.report(BELL.id, BROKEN)
    desk.plan = {}
    await asyncio.sleep(SPACING * 3)
    assert desk.taken == [(BELL.id, RUNG)]
    assert list(desk.inbox.checks()) == []


async def test_memories_are_those_of_the_last_run_and_written_once_a_second() -> None:
    desk = Desk(BELL, TCP)
    assert desk.inbox.kept(BELL.id) == {"at": 1.0}
    assert desk.inbox.kept("nobody.bell") == {}
    desk.inbox.keep(BELL.id, {"at": 1.0})  # nothing new
    for number in range(2, 100):
        desk.inbox.keep(BELL.id, {"at": float(number)})
    assert desk.inbox.kept(BELL.id) == {"at": 99.0}
    desk.inbox.keep(TCP.id, {"at": 1.0})  # not the protocol's own
    await asyncio.sleep(SPACING * 3)
    assert desk.kept == [(BELL.id, {"at": 2.0}), (BELL.id, {"at": 99.0})]
