"""What is usual at an hour, and rules that compare with it."""

import math
from typing import Any

import pytest

from sentinel.domain.baseline import CheckBaseline, Moments, Usual, by_hour, covers, hour_of, usual
from sentinel.domain.failure import Failure
from sentinel.domain.incident import Level, Verdict
from sentinel.domain.judge import Window, judge
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Rule, Selector, Severity, Threshold

MIDNIGHT = 1_767_196_800.0
"""Beijing's, on 2026-01-01."""
HOUR = 3600.0
DAY: CheckBaseline = {"luma_ratio": {12: Usual(0.5, 0.05), 0: Usual(0.05, 0.01)}}
ODD = Threshold("luma_ratio", deviates=4.0, floor=0.02, clear=3.0, severity_at=((6.0, Severity.CRITICAL),))


def test_hours_are_beijings() -> None:
    assert hour_of(MIDNIGHT) == 0
    assert hour_of(MIDNIGHT - 1) == 23
    assert hour_of(MIDNIGHT + 12.99 * HOUR) == 12


def test_one_covered_day_moves_nothing() -> None:
    days = [Moments(100, 0.5 + 0.01 * number, 0.04) for number in range(-3, 4)]
    found = usual([*days[:-1], Moments(100, 0.0, 50.0)])
    assert math.isclose(found.centre, 0.49, abs_tol=0.011)
    assert found.spread < 0.06
    assert (found.samples, found.days) == (700, 7)


def test_the_spread_is_of_the_day_and_between_the_days() -> None:
    assert math.isclose(usual([Moments(100, 1.0, 4.0)]).spread, 0.2)
    apart = usual([Moments(10, mean, 0.0) for mean in (1.0, 2.0, 3.0)])
    assert math.isclose(apart.spread, 1.4826)


def test_days_are_told_from_hours() -> None:
    found = by_hour({"v": {int(MIDNIGHT + 24 * day * HOUR + 7 * HOUR): Moments(2, day, 0.0) for day in range(3)}})
    assert found == {"v": {7: Usual(1.0, 1.4826, samples=6, days=3)}}
    assert covers(found, "v")
    assert covers({"v:port 1": {}}, "v")
    assert not covers(found, "w")


def seen(hour: float, baseline: CheckBaseline = DAY, window: Window | None = None, **values: float) -> Verdict:
    at = MIDNIGHT + hour * HOUR
    result = Observation("a.video", at, at, 1.0, "centre", Outcome.OK, values=values)
    found = judge(Rule("odd", "异常", Selector(), ODD, Severity.MAJOR), window or Window(), result, baseline)
    assert found is not None
    return found


def test_the_same_picture_is_unusual_at_one_hour_and_usual_at_another() -> None:
    dark = seen(12.5, luma_ratio=0.06)
    assert (dark.level, dark.observed, dark.value) == (Level.FIRING, 0.06, "luma_ratio")
    assert dark.usual == pytest.approx((0.3, 0.7))
    assert seen(0.5, luma_ratio=0.06).level is Level.OK


@pytest.mark.parametrize(
    ("value", "level", "severity", "limit"),
    [
        (0.71, Level.FIRING, Severity.MAJOR, 0.7),
        (0.29, Level.FIRING, Severity.MAJOR, 0.3),
        (0.81, Level.FIRING, Severity.CRITICAL, 0.8),
        (0.69, Level.OK, Severity.MAJOR, 0.7),
        (0.31, Level.OK, Severity.MAJOR, 0.3),
    ],
)
def test_up_and_down(value: float, level: Level, severity: Severity, limit: float) -> None:
    found = seen(12, luma_ratio=value)
    assert (found.level, found.severity) == (level, severity)
    assert found.limit == pytest.approx(limit)


def test_a_tiny_spread_counts_as_the_floor() -> None:
    assert seen(0, luma_ratio=0.12).level is Level.OK  # 7 of its own spreads, 3.5 of the floor
    assert seen(0, luma_ratio=0.14).level is Level.FIRING


def test_it_is_over_only_within_the_clear_mark() -> None:
    window = Window()
    levels = [seen(12, window=window, luma_ratio=value).level for value in (0.72, 0.68, 0.64)]
    assert levels == [Level.FIRING, Level.FIRING, Level.OK]


def test_nothing_is_said_of_an_hour_that_nobody_knows() -> None:
    assert seen(5, luma_ratio=0.0).level is Level.UNKNOWN
    assert seen(12, {}, luma_ratio=0.0).level is Level.UNKNOWN
    assert seen(12, other_ratio=0.0).level is Level.UNKNOWN


def test_of_several_items_the_strangest_counts() -> None:
    known: CheckBaseline = {"luma_ratio:a": {12: Usual(0.5, 0.05)}, "luma_ratio:b": {12: Usual(0.1, 0.05)}}
    items: Any = {"luma_ratio:a": 0.5, "luma_ratio:b": 0.5, "luma_ratio:c": 9.0, "other:a": 9.0}
    assert seen(12, known, **items).value == "luma_ratio:b"


def test_a_failed_probe_is_no_deviation() -> None:
    result = Observation(
        "a.video", MIDNIGHT, MIDNIGHT, 1.0, "centre", Outcome.FAILED, Failure("play", "timed_out"),
        values={"luma_ratio": 9.0},
    )  # fmt: skip
    found = judge(Rule("odd", "异常", Selector(), ODD, Severity.MAJOR), Window(), result, DAY)
    assert found is not None
    assert found.level is Level.UNKNOWN
