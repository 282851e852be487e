from typing import Any

from sentinel.protocols.icmp.wheel import NEVER, Wheel

A: Any = object()
B: Any = object()


def test_a_ping_is_taken_at_its_tick_and_once() -> None:
    wheel = Wheel()
    wheel.put(A, 5, exact=False)
    assert wheel.turn(4) == []
    assert wheel.turn(5) == [A]
    assert wheel.turn(6) == []


def test_what_is_late_is_taken_at_the_next_turn() -> None:
    wheel = Wheel()
    wheel.turn(10)
    wheel.put(A, 3, exact=False)
    assert wheel.turn(11) == [A]


def test_soonest_is_the_next_exact_tick() -> None:
    wheel = Wheel()
    wheel.put(A, 4, exact=False)
    assert wheel.soonest == NEVER
    wheel.put(B, 9, exact=True)
    wheel.put(A, 12, exact=True)
    assert wheel.soonest == 9
    assert wheel.turn(9) == [A, B]
    assert wheel.soonest == 12
    wheel.turn(12)
    assert wheel.soonest == NEVER


def test_a_restart_forgets_and_does_not_walk_through_the_night() -> None:
    wheel = Wheel()
    wheel.put(A, 4, exact=True)
    wheel.restart(10**9)
    assert (wheel.pings(), wheel.soonest) == ([], NEVER)
    wheel.put(B, 5, exact=False)
    assert wheel.pings() == [B]
    assert wheel.turn(10**9 + 1) == [B]
