"""The wheel, turned by hand: a clock that the test sets, and ``turn`` when it pleases."""

import asyncio
import itertools
from collections.abc import Sequence
from itertools import pairwise

import pytest

from sentinel.domain.target import Check, Target
from sentinel.engine.planner import FIRST_RUN
from sentinel.engine.scheduler import LATENESS_BUCKETS, Entry, Scheduler
from tests.support.estate import VirtualClock

TARGET = Target("t", "t", "192.0.2.1", "switch", "internal")


def check(name: str, interval: float = 10.0, vantage: str | None = "centre") -> Check:
    return Check(f"t.{name}", name, TARGET, "p", "p", None, interval, 2.0, vantage)


class Steady:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Wheel:
    """A scheduler whose runs end at once, unless the check is among the ``slow``."""

    def __init__(self, *checks: Check) -> None:
        self.clock = Steady()
        self.batches: list[list[str]] = []
        self.starts: list[tuple[float, str]] = []
        self.slow: set[str] = set()
        self.open: dict[str, Entry] = {}
        self.scheduler = Scheduler(self.clock, self._start)
        self.scheduler.load(checks)

    def _start(self, entries: Sequence[Entry]) -> None:
        self.batches.append([entry.check.id for entry in entries])
        for entry in entries:
            self.starts.append((round(self.clock.time - 1000.0, 2), entry.check.name))
            if entry.check.name in self.slow:
                self.open[entry.check.name] = entry
            else:
                self.scheduler.finished(entry)

    def turn(self, seconds: float, step: float = 0.01) -> None:
        """Turn for so long, looking every ``step`` seconds."""
        until = self.clock.time + seconds
        while self.clock.time < until - 1e-9:
            self.clock.time = round(self.clock.time + step, 6)
            self.scheduler.turn()

    def times(self, name: str) -> list[float]:
        return [at for at, started in self.starts if started == name]


def test_a_check_runs_every_interval_on_its_phase() -> None:
    wheel = Wheel(check("a"), check("b"))
    wheel.turn(60)
    for name in "ab":
        times = wheel.times(name)
        assert len(times) == 6
        assert {round(later - sooner, 2) for sooner, later in pairwise(times)} == {10.0}
    assert wheel.scheduler.started == 12
    assert wheel.scheduler.missed == 0


def test_a_rare_check_has_run_soon_after_the_start() -> None:
    wheel = Wheel(*(check(f"c{n}", 86_400.0) for n in range(20)))
    wheel.turn(FIRST_RUN + 0.02)
    assert len({name for _, name in wheel.starts}) == 20


def test_all_of_one_tick_are_handed_over_together() -> None:
    wheel = Wheel(*(check(f"c{n}", 0.01) for n in range(5)))
    wheel.turn(0.02)
    assert [len(batch) for batch in wheel.batches] == [5, 5]


def test_a_slow_check_is_not_started_twice_and_its_slots_are_missed() -> None:
    wheel = Wheel(check("a", 1.0), check("b", 1.0))
    wheel.slow.add("a")
    wheel.turn(5)
    assert len(wheel.times("a")) == 1
    assert len(wheel.times("b")) == 5
    assert wheel.scheduler.missed == 4
    wheel.slow.clear()
    wheel.scheduler.finished(wheel.open["a"])
    wheel.turn(2)
    assert len(wheel.times("a")) == 3


def test_when_we_were_stopped_ourselves_each_runs_once_and_the_rest_is_missed() -> None:
    wheel = Wheel(check("a", 1.0), check("b", 5.0))
    wheel.turn(5)
    seen = len(wheel.starts)
    wheel.clock.time += 60  # SIGSTOP, a suspended machine
    wheel.scheduler.turn()
    assert len(wheel.starts) - seen == 2
    assert wheel.scheduler.missed == 59 + 11
    before = len(wheel.times("a"))
    wheel.turn(3)
    assert len(wheel.times("a")) == before + 3  # on the old phase again
    assert len({round(at % 1, 2) for at in wheel.times("a")[:4] + wheel.times("a")[-3:]}) == 1


def test_lateness_is_counted_from_the_slot() -> None:
    wheel = Wheel(check("a", 1.0))
    wheel.turn(1.5)
    scheduler = wheel.scheduler
    late = scheduler.lateness_sum
    wheel.clock.time = 1000.0 + wheel.times("a")[-1] + 1.03
    scheduler.turn()
    assert scheduler.lateness_sum - late == pytest.approx(0.03)
    bucket = LATENESS_BUCKETS.index(0.05)
    assert scheduler.lateness_counts[bucket] == 1
    assert sum(scheduler.lateness_counts) == scheduler.started


def test_out_of_turn_runs_come_at_once_and_regular_ones_stay_where_they_are() -> None:
    wheel = Wheel(check("a"))
    wheel.turn(12)
    regular = wheel.times("a")
    wheel.turn(0.5)
    now = wheel.clock.time - 1000.0
    wheel.scheduler.hasten("t.a")
    wheel.scheduler.hasten("t.a")
    wheel.turn(20)
    extra = wheel.times("a")[len(regular) :]
    assert extra[0] == pytest.approx(now + 0.01, abs=0.011)
    assert len(extra) == 3  # one for both, and the two regular ones
    assert (extra[1] - regular[-1]) % 10 == pytest.approx(0, abs=0.001)


def test_the_sooner_of_two_wishes_counts() -> None:
    wheel = Wheel(check("a"))
    wheel.turn(10.5)
    seen = len(wheel.starts)
    now = wheel.clock.time - 1000.0
    wheel.scheduler.hasten("t.a", 1.0)
    wheel.scheduler.hasten("t.a", 0.5)
    wheel.scheduler.hasten("t.a", 0.7)
    wheel.turn(1.5)
    extra = [at for at in wheel.times("a")[seen:] if round(at - wheel.times("a")[0], 2) % 10]
    assert extra == [pytest.approx(now + 0.5, abs=0.011)]


def test_a_wish_for_later_than_the_next_slot_changes_nothing() -> None:
    wheel = Wheel(check("a", 1.0))
    wheel.turn(1.5)
    wheel.scheduler.hasten("t.a", 5.0)
    wheel.turn(10)
    times = wheel.times("a")
    assert {round(later - sooner, 2) for sooner, later in itertools.pairwise(times)} == {1.0}


def test_a_check_that_runs_now_runs_once_more_when_it_has_ended() -> None:
    wheel = Wheel(check("a", 100.0))
    wheel.slow.add("a")
    wheel.turn(31)
    wheel.scheduler.hasten("t.a")
    wheel.scheduler.hasten("t.a")
    wheel.turn(1)
    assert len(wheel.times("a")) == 1
    wheel.slow.clear()
    wheel.scheduler.finished(wheel.open["a"])
    wheel.turn(1)
    assert len(wheel.times("a")) == 2


def test_nobody_is_asked_for() -> None:
    wheel = Wheel(check("a"))
    wheel.scheduler.hasten("t.gone")
    assert "t.a" in wheel.scheduler
    assert "t.gone" not in wheel.scheduler


def test_what_no_vantage_reaches_is_not_run() -> None:
    wheel = Wheel(check("a"), check("b", vantage=None))
    wheel.turn(30)
    assert wheel.times("b") == []
    assert "t.b" not in wheel.scheduler


def test_a_reload_keeps_what_did_not_change() -> None:
    wheel = Wheel(check("a"), check("b"), check("c"))
    wheel.turn(15)
    kept = wheel.scheduler._entries["t.a"]
    kept.memory["counter"] = 1
    old = wheel.scheduler._entries["t.b"]
    wheel.scheduler.load([check("a"), check("b"), check("d")], unchanged=frozenset({"t.a"}))
    assert wheel.scheduler._entries["t.a"] is kept
    assert wheel.scheduler._entries["t.b"] is not old
    assert old.gone
    before = {name: len(wheel.times(name)) for name in "abcd"}
    wheel.turn(30)
    after = {name: len(wheel.times(name)) - before[name] for name in "abcd"}
    assert after["a"] == 3
    assert after["b"] in {3, 4}  # it proves itself anew, then goes on at its phase
    assert after["c"] == 0
    assert after["d"] in {3, 4}
    assert {round(at % 10, 2) for at in wheel.times("a")} == {round(wheel.times("a")[0] % 10, 2)}


def test_a_run_that_ends_after_a_reload_touches_nothing_new() -> None:
    wheel = Wheel(check("a", 1.0))
    wheel.slow.add("a")
    wheel.turn(1.5)
    old = wheel.open["a"]
    wheel.scheduler.load([check("a", 1.0)])
    wheel.slow.clear()
    wheel.turn(2)
    count = len(wheel.times("a"))
    wheel.scheduler.finished(old)
    wheel.turn(1)
    assert len(wheel.times("a")) == count + 1


@pytest.mark.virtual_time
async def test_it_turns_by_itself_until_it_is_cancelled() -> None:
    started: list[float] = []
    clock = VirtualClock()

    def start(entries: Sequence[Entry]) -> None:
        for entry in entries:
            started.append(clock.monotonic())
            scheduler.finished(entry)

    scheduler = Scheduler(clock, start)
    scheduler.load([check("a", 1.0)])
    task = asyncio.get_running_loop().create_task(scheduler.run())
    await asyncio.sleep(60)
    clock.set_by = -7200.0  # the wall clock means nothing to it
    await asyncio.sleep(60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(started) in {119, 120}
    assert scheduler.beats > 119
    gaps = [later - sooner for sooner, later in pairwise(started)]
    assert max(gaps) < 1.011
    assert min(gaps) > 0.989
