"""Availability: seconds that add up."""

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.availability import Change, Tally, spells, tally

STATES = ("up", "down", "unknown", "unobserved")


def test_what_was_before_the_first_change_is_unobserved() -> None:
    found = tally([Change(20, "up"), Change(50, "down"), Change(60, "unknown"), Change(70, "up")], 0, 100)
    assert found == Tally(up=60, down=10, unknown=10, unobserved=20)


def test_the_state_at_the_beginning_is_that_of_the_last_change_before() -> None:
    assert tally([Change(-50, "up"), Change(-10, "down"), Change(40, "up")], 0, 100) == Tally(up=60, down=40)


def test_a_fault_confirmed_late_begins_at_its_first_failure() -> None:
    assert tally([Change(50, "unknown"), Change(0, "up"), Change(30, "down")], 0, 60) == Tally(
        up=30, down=20, unknown=10
    )


def test_what_comes_after_the_period_does_not_count() -> None:
    assert tally([Change(0, "up"), Change(150, "down")], 0, 100) == Tally(up=100)
    assert tally([], 0, 100) == Tally(unobserved=100)


def test_unknown_and_unobserved_time_counts_neither_way() -> None:
    assert Tally(up=99, down=1, unknown=500, unobserved=500).ratio == 0.99
    assert Tally(unknown=10, unobserved=10).ratio is None
    assert Tally(down=10).ratio == 0.0


def test_tallies_add_up() -> None:
    assert Tally(1, 2, 3, 4) + Tally(10, 20, 30, 40) == Tally(11, 22, 33, 44)


@given(
    st.lists(st.builds(Change, st.integers(-1000, 3000).map(lambda eighth: eighth / 8), st.sampled_from(STATES))),
    st.integers(-100, 100),
    st.integers(0, 200),
)
def test_every_second_is_in_exactly_one_state(changes: list[Change], since: int, length: int) -> None:
    found = tally(changes, since, since + length)
    parts = (found.up, found.down, found.unknown, found.unobserved)
    assert fsum(parts) == length  # exactly: eighths have no rounding
    assert min(parts) >= 0
    ordered = sorted(changes, key=lambda one: one.at)
    for index, state in enumerate(STATES):
        held = fsum(
            max(0.0, min(end, since + length) - max(begin, since))
            for begin, end in _runs(ordered, state, since + length)
        )
        assert parts[index] == held or state == "unobserved"


def _runs(ordered: list[Change], state: str, until: float) -> list[tuple[float, float]]:
    ends = [one.at for one in ordered[1:]] + [max(until, ordered[-1].at if ordered else until)]
    return [(one.at, end) for one, end in zip(ordered, ends, strict=False) if one.state == state]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], []),
        ([Change(0, "up")], []),
        ([Change(0, "up"), Change(5, "down"), Change(9, "up")], [(5, 9)]),
        ([Change(5, "down"), Change(9, "unknown"), Change(12, "down")], [(5, 9), (12, None)]),
        ([Change(5, "down"), Change(7, "down"), Change(9, "up")], [(5, 9)]),
        ([Change(9, "up"), Change(5, "down")], [(5, 9)]),
    ],
)
def test_spells(changes: list[Change], expected: list[tuple[float, float | None]]) -> None:
    assert spells(changes, "down") == expected
