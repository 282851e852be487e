"""The conference incident rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.conference import Conference, ConferenceFigure, Fault, conference_figure

HOUR = 3600.0
LONG_AFTER = 1e9


def conferences(count: int) -> list[Conference]:
    """One a day from 1000 on, an hour each."""
    return [
        Conference(f"c{n}", f"会议{n}", ("room-335",), 1000 + n * 24 * HOUR, 1000 + n * 24 * HOUR + HOUR)
        for n in range(count)
    ]


def fault(conference: Conference, since: float, until: float | None, venue: str = "room-335") -> Fault:
    """A fault from so many seconds after the start of a conference to so many after it."""
    return Fault("set.ping", venue, conference.start + since, None if until is None else conference.start + until)


def figure(
    planned: list[Conference], *faults: Fault, at_most: float = 0.05, now: float = LONG_AFTER
) -> ConferenceFigure:
    return conference_figure(planned, faults, at_most=at_most, tolerance=60.0, now=now)


@pytest.mark.parametrize(
    ("count", "allowed"), [(0, 0), (1, 0), (19, 0), (20, 1), (21, 1), (39, 1), (40, 2), (60, 3), (100, 5), (140, 7)]
)
def test_whole_incidents_are_allowed(count: int, allowed: int) -> None:
    assert figure(conferences(count)).allowed == allowed


@given(st.integers(0, 1000), st.integers(0, 100))
def test_what_is_allowed_is_never_more_than_the_promise(count: int, percent: int) -> None:
    allowed = figure(conferences(count), at_most=percent / 100).allowed
    assert allowed * 100 <= percent * count < (allowed + 1) * 100


@pytest.mark.parametrize(("percent", "count", "allowed"), [(29, 100, 29), (57, 100, 57), (5, 20, 1)])
def test_whole_incidents_in_binary_floating_point(percent: int, count: int, allowed: int) -> None:
    assert figure(conferences(count), at_most=percent / 100).allowed == allowed  # 0.29 * 100 is 28.999…


def test_the_budget_is_that_of_all_that_are_planned() -> None:
    planned = conferences(20)
    assert figure(planned, now=planned[4].start + 1).left == 1


def test_one_of_twenty_is_kept_and_one_of_nineteen_is_not() -> None:
    twenty, nineteen = conferences(20), conferences(19)
    kept = figure(twenty, fault(twenty[3], 0, 600))
    assert (kept.rate, kept.left, dict(kept.hit)) == (0.05, 0, {"c3": ("set.ping",)})
    broken = figure(nineteen, fault(nineteen[3], 0, 600))
    assert broken.left == -1
    assert broken.rate > 0.05


@pytest.mark.parametrize(
    ("since", "until", "hit"),
    [
        (600, 660, False),  # as long as is tolerated
        (600, 660.1, True),
        (-3000, 60, False),  # what counts is the part inside
        (-3000, 60.1, True),
        (HOUR - 60, HOUR + 3000, False),
        (HOUR - 60.1, HOUR + 3000, True),
        (-500, -1, False),
        (HOUR, HOUR + 500, False),
        (-500, HOUR + 500, True),
        (HOUR - 61, None, True),  # it lasts still
        (HOUR - 59, None, False),
    ],
)
def test_a_fault_counts_for_the_part_inside(since: float, until: float | None, *, hit: bool) -> None:
    planned = conferences(1)
    assert bool(figure(planned, fault(planned[0], since, until)).hit) is hit


def test_several_faults_and_checks_are_one_incident_of_the_conference() -> None:
    planned = conferences(1)
    start = planned[0].start
    faults = [Fault("b", "room-335", start, start + 100), Fault("a", "room-335", start + 200, start + 400)]
    assert dict(figure(planned, *faults, *faults).hit) == {"c0": ("a", "b")}


def test_short_faults_do_not_add_up() -> None:
    planned = conferences(1)
    assert not figure(planned, fault(planned[0], 0, 50), fault(planned[0], 100, 150)).hit


def test_a_fault_elsewhere_is_none_of_it() -> None:
    planned = conferences(1)
    assert not figure(planned, fault(planned[0], 0, 600, venue="room-209")).hit


def test_any_of_the_venues_of_a_conference_counts() -> None:
    joint = Conference("joint", "联调", ("room-209", "room-335"), 1000, 1000 + HOUR)
    assert figure([joint], Fault("x", "room-209", 1000, 1100)).hit


def test_two_conferences_at_once_are_both_hit_by_one_fault() -> None:
    both = [Conference(name, name, ("hall",), 1000, 1000 + HOUR) for name in ("a", "b")]
    assert set(figure(both, Fault("x", "hall", 900, 2000)).hit) == {"a", "b"}


def test_a_running_conference_counts_up_to_now() -> None:
    planned = conferences(2)
    open_fault = fault(planned[0], 10, None)
    early = figure(planned, open_fault, now=planned[0].start + 70)
    assert (early.supported, early.planned, dict(early.hit)) == (1, 2, {})
    later = figure(planned, open_fault, now=planned[0].start + 70.1)
    assert later.rate == 1.0
    assert figure(planned, now=planned[0].start - 1).rate == 0.0  # none has begun
