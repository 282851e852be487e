"""The gate: never over a limit, first come first served, and nobody forgotten."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from sentinel.engine.limits import Gate, Key, Keys

A, B, C = ("host", "a"), ("zone", "b"), ("protocol", "c")


class Crowd:
    """Jobs by number that go through a gate; ``started`` in that order."""

    def __init__(self, room: Mapping[Key, int]) -> None:
        self.room = dict(room)
        self.gate = Gate(self.room.__getitem__)
        self.keys: list[Keys] = []
        self.started: list[int] = []
        self.inside: list[int] = []

    def enter(self, *keys: Key) -> int:
        number = len(self.keys)
        self.keys.append(keys)
        self.gate.enter(keys, lambda: self._start(number))
        return number

    def leave(self, number: int) -> None:
        self.inside.remove(number)
        self.gate.leave(self.keys[number])

    def _start(self, number: int) -> None:
        self.started.append(number)
        self.inside.append(number)
        self.check()

    @property
    def parked(self) -> list[int]:
        return [number for number in range(len(self.keys)) if number not in self.started]

    def used(self) -> Counter[Key]:
        return Counter(key for number in self.inside for key in self.keys[number])

    def check(self) -> None:
        assert all(count <= self.room[key] for key, count in self.used().items())


def test_jobs_wait_for_room_and_keep_their_order() -> None:
    crowd = Crowd({A: 2})
    for _ in range(5):
        crowd.enter(A)
    assert crowd.started == [0, 1]
    assert crowd.gate.waiting == 3
    crowd.leave(1)
    crowd.leave(0)
    assert crowd.started == [0, 1, 2, 3]
    assert crowd.gate.waiting == 1


def test_a_job_needs_room_under_each_of_its_keys() -> None:
    crowd = Crowd({A: 1, B: 1})
    crowd.enter(A)
    crowd.enter(B)
    both = crowd.enter(A, B)
    crowd.leave(0)
    assert both in crowd.parked
    crowd.leave(1)
    assert both in crowd.started


def test_a_busy_host_does_not_hold_up_the_others() -> None:
    crowd = Crowd({A: 1, ("host", "x"): 1, B: 3})
    crowd.enter(A, B)
    crowd.enter(A, B)
    other = crowd.enter(("host", "x"), B)
    assert other in crowd.started


def test_who_came_first_has_the_place_whichever_key_it_waits_under() -> None:
    other = ("host", "x")
    crowd = Crowd({A: 1, other: 4, C: 1})
    first = crowd.enter(A, C)
    waits_for_protocol = crowd.enter(other, C)
    waits_for_host = crowd.enter(A, C)
    crowd.leave(first)  # frees both; the host's queue must not help itself to the protocol's place each time
    assert crowd.started == [first, waits_for_protocol]
    crowd.leave(waits_for_protocol)
    assert crowd.started[-1] == waits_for_host


def test_more_room_from_a_reload_is_used_at_the_next_leave() -> None:
    crowd = Crowd({A: 1})
    for _ in range(4):
        crowd.enter(A)
    crowd.room[A] = 3
    crowd.leave(0)
    assert crowd.started == [0, 1, 2, 3]


def test_less_room_lets_nobody_in_until_enough_have_left() -> None:
    crowd = Crowd({A: 3})
    for _ in range(5):
        crowd.enter(A)
    crowd.room[A] = 1
    crowd.leave(0)
    crowd.leave(1)
    assert crowd.started == [0, 1, 2]
    crowd.leave(2)
    assert crowd.started == [0, 1, 2, 3]


def test_a_job_that_ends_while_it_is_started_does_not_confuse_the_gate() -> None:
    gate = Gate(lambda _key: 1)
    order = []

    def job(name: str) -> None:
        order.append(name)
        gate.leave((A,))

    gate.enter((A,), lambda: order.append("first"))
    for name in "bcd":
        gate.enter((A,), lambda name=name: job(name))  # type: ignore[misc]  # a default that binds
    gate.leave((A,))
    assert order == ["first", "b", "c", "d"]
    assert gate.waiting == 0


KEYS = st.tuples(
    st.sampled_from([("host", name) for name in "pqr"]),
    st.sampled_from([("zone", name) for name in "xy"]),
    st.sampled_from([("protocol", name) for name in "uv"]),
)


@given(
    st.lists(st.one_of(KEYS, st.integers(0, 30)), max_size=80),
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 3)),
)
def test_any_crowd(script: list[Keys | int], limits: tuple[int, int, int]) -> None:
    host, zone, protocol = limits
    room = {("host", n): host for n in "pqr"} | {("zone", n): zone for n in "xy"}
    crowd = Crowd(room | {("protocol", n): protocol for n in "uv"})
    for step in script:
        if isinstance(step, int):
            if not crowd.inside:
                continue
            crowd.leave(crowd.inside[step % len(crowd.inside)])
        else:
            crowd.enter(*step)
        crowd.check()
        used = crowd.used()
        for number in crowd.parked:  # nobody waits who could go
            assert any(used[key] >= crowd.room[key] for key in crowd.keys[number])
        assert crowd.gate.waiting == len(crowd.parked)
    while crowd.inside:
        crowd.leave(crowd.inside[0])
    assert sorted(crowd.started) == list(range(len(crowd.keys)))  # each exactly once
    for keys in set(crowd.keys):  # and those that need the same in the order in which they came
        alike = [number for number in crowd.started if crowd.keys[number] == keys]
        assert alike == sorted(alike)
