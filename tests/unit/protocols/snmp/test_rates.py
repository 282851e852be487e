from __future__ import annotations

import pytest

from sentinel.protocols.snmp.rates import Counters

WRAP = 2**32


def rate(
    kind: str,
    counts: tuple[int, int],
    ticks: tuple[float | None, float | None] = (1e6, 1e6 + 1000),
    seconds: float = 10.0,
) -> float | None:
    counters = Counters()
    counters.begin(ticks[0], 100.0)
    assert counters.rate("k", kind, counts[0], 100.0) is None
    counters.begin(ticks[1], 100.0 + seconds)
    return counters.rate("k", kind, counts[1], 100.0 + seconds)


@pytest.mark.parametrize(
    ("kind", "counts", "per_second"),
    [
        ("counter32", (1000, 2000), 100.0),
        ("counter32", (WRAP - 500, 500), 100.0),
        ("counter64", (2**63, 2**63 + 10), 1.0),
        ("counter64", (500, 400), None),
        ("counter32", (5, WRAP), None),
        ("counter64", (-1, 5), None),
    ],
)
def test_a_rate(kind: str, counts: tuple[int, int], per_second: float | None) -> None:
    assert rate(kind, counts) == per_second


def test_a_counter64_keeps_its_last_digits() -> None:
    assert rate("counter64", (2**64 - 21, 2**64 - 1)) == 2.0


@pytest.mark.parametrize(
    ("ticks", "seconds", "known"),
    [
        ((100_000, 101_000), 10, True),
        ((100_000, 50), 10, False),  # back to the start
        ((1_000, 3_000), 60, False),  # restarted, and up for longer than it was before
        ((WRAP - 500, 500), 10, True),  # 497 days are over
        ((WRAP - 500_000, 500), 10, False),
        ((100_000, 100_100), 3, True),  # an agent whose clock is coarse
    ],
)
def test_a_restart_gives_no_rate(ticks: tuple[float, float], seconds: float, known: bool) -> None:  # noqa: FBT001
    assert (rate("counter64", (1000, 2000), ticks, seconds) is not None) is known


def test_without_an_uptime_a_small_wrap_is_believed_and_a_large_step_is_not() -> None:
    assert rate("counter32", (WRAP - 500, 500), (None, None)) == 100.0
    assert rate("counter32", (2**30, 500), (None, None)) is None


def test_only_the_last_round_is_remembered() -> None:
    counters = Counters()
    for turn in range(3):
        counters.begin(None, float(turn))
        counters.rate(f"row-{turn}", "counter32", 1, float(turn))
    assert list(counters.seen) == ["row-2"]
