"""Durations, percentages and limits as operators write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.quantities import quantity, ratio, seconds, size, size_text, text_of


@pytest.mark.parametrize(
    ("text", "value"),
    [("10s", 10), ("5m", 300), ("1h30m", 5400), ("30d", 2_592_000), ("2w", 1_209_600), ("1.5s", 1.5), ("200ms", 0.2)],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(("text", "value"), [("1KiB", 1024), ("256MiB", 268_435_456), ("2GiB", 2_147_483_648)])
def test_sizes(text: str, value: int) -> None:
    assert size(text) == value
    assert size_text(value) == text


@pytest.mark.parametrize("text", ["", "5", 5, "0MiB", "1MB", "1.5MiB", "1 MiB", "-1KiB", "9999999KiB", None])
def test_what_is_no_size(text: Any) -> None:
    with pytest.raises(ValueError, match="a size"):
        size(text)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "10 s", "-5s", "1y", "10S", "1h 30m", "５s", None, True, [], "1" * 99 + "s"]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="a duration"):
        seconds(text)


def test_a_bare_number_is_asked_for_its_unit() -> None:
    with pytest.raises(ValueError, match=r"needs its unit, as in `30s` or `30m`"):
        seconds(30)


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("99.9%", 0.999), ("0%", 0), ("100%", 1)])
def test_percentages(text: str, value: float) -> None:
    assert ratio(text) == value


@pytest.mark.parametrize("text", ["5", 0.05, "101%", "-1%", "5 %", True])
def test_what_is_no_percentage(text: Any) -> None:
    with pytest.raises(ValueError, match="a percentage"):
        ratio(text)


@pytest.mark.parametrize(("text", "value"), [(3, 3.0), (-2.5, -2.5), ("2s", 2.0), ("5%", 0.05)])
def test_limits(text: Any, value: float) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["many", True, None])
def test_what_is_no_limit(text: Any) -> None:
    with pytest.raises(ValueError, match="a limit is"):
        quantity(text)


@given(st.integers(0, 10**12))
def test_written_durations_are_read_again(milliseconds: int) -> None:
    assert seconds(text_of(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
