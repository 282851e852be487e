"""What is kept of a registration: there and back, nothing that is odd, and no secret."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.protocols.gb28181.kept import Kept, mark_of

MARK = mark_of("127.0.0.1", 5060, "11000000002000000001", "1100000000", "11010000002000000007")
KEPT = Kept(MARK, "198.51.100.7", 5060, over_tcp=False, since=1e9, heard_at=1e9 + 5, expires_at=1e9 + 60, silent=False)


@given(
    host=st.ip_addresses().map(str),
    port=st.integers(1, 65_535),
    over_tcp=st.booleans(),
    silent=st.booleans(),
    at=st.floats(0, 4e9),
    mark=st.integers(0, 2**48 - 1),
)
def test_there_and_back(host: str, port: int, at: float, mark: int, *, over_tcp: bool, silent: bool) -> None:
    kept = Kept(mark, host, port, over_tcp, at, at + 1, at + 2, silent)
    memory = kept.memory()
    assert all(isinstance(number, float) for number in memory.values())
    assert Kept.of(memory) == kept


@pytest.mark.parametrize("host", ["fe80::1%eth0", "platform.example", ""])
def test_an_address_that_is_no_number_is_not_kept(host: str) -> None:
    assert Kept(MARK, host, 5060, False, 0.0, 0.0, 0.0, False).memory() == {}
    assert Kept.of({}) is None


@given(name=st.sampled_from(sorted(KEPT.memory())), value=st.none() | st.floats() | st.just("x"))
def test_what_is_odd_is_nothing_or_an_address_and_never_an_error(name: str, value: float | str | None) -> None:
    edited: Mapping[str, Any] = KEPT.memory() | {name: value}  # as a file that somebody edited may have it
    found = Kept.of(edited)
    assert found is None or (found.host and 0 < found.port <= 65_535 and math.isfinite(found.expires_at))


def test_a_mark_is_of_one_device_and_registrar() -> None:
    assert mark_of("127.0.0.1", 5060, "11000000002000000001", "1100000000", "11010000002000000007") == MARK
    assert mark_of("127.0.0.1", 5061, "11000000002000000001", "1100000000", "11010000002000000007") != MARK
    assert MARK < 2**48
