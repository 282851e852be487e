"""When checks are due."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sentinel.engine.planner import FIRST_RUN, TICK, first_slot, next_slot, phase, spread, ticks

IDS = st.from_regex(r"[a-z]{1,8}-[0-9]{1,3}\.[a-z]{1,6}", fullmatch=True)
INTERVALS = st.one_of(st.sampled_from([0.01, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 86_400.0]), st.floats(0.05, 90_000.0))
TICKS = st.integers(0, 10**11)


def test_ticks_are_hundredths_of_a_second() -> None:
    assert (ticks(10.0), ticks(0.01), ticks(0.001), ticks(0.29)) == (1000, 1, 1, 29)


@given(IDS, INTERVALS, TICKS)
def test_everything_is_looked_at_soon(check: str, interval: float, start: int) -> None:
    slot = first_slot(check, interval, start)
    assert start < slot <= start + ticks(min(interval, FIRST_RUN))


@given(IDS, INTERVALS, TICKS, st.integers(-1000, 10**9))
def test_the_next_slot_is_later_and_a_whole_number_of_intervals_from_the_first(
    check: str, interval: float, start: int, later: int
) -> None:
    now, step = max(0, start + later), ticks(interval)
    first = phase(check, interval, start)
    assert start < first <= start + step
    slot = next_slot(first, step, now)
    assert slot > now
    assert slot >= first
    assert (slot - first) % step == 0
    assert slot - step <= max(now, first - step)  # none between was left out
    assert next_slot(first, step, slot) == slot + step


def test_a_phase_is_the_same_after_every_restart() -> None:
    assert spread("hall-01.ping") == spread("hall-01.ping")
    assert round(spread("hall-01.ping"), 6) == 0.391673  # and on every machine and version
    assert {spread(f"hall-{n:02}.ping") < 1 for n in range(100)} == {True}


def test_starts_are_spread_evenly() -> None:
    for pattern in ("hall-{:02}.ping", "camera-{}.rtsp", "business-{:03}.web", "{}.snmp"):
        for count in (100, 1000, 10_000):
            slots = Counter(int(spread(pattern.format(n)) * 20) for n in range(count))
            # Independent phases would leave the mean by some 3 standard deviations at most.
            most = count / 20 + 4 * (count / 20) ** 0.5
            assert max(slots.values()) <= most, (pattern, count)


def test_slots_lie_on_the_grid_of_the_wheel() -> None:
    assert TICK == 0.01
    assert isinstance(first_slot("a.b", 7.77, 5), int)
    assert isinstance(phase("a.b", 7.77, 5), int)
