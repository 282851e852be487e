"""Packets that a network reorders, and sources that talk into one another."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire.rtp import Packet
from sentinel.wire.rtp_order import DEPTH, PATIENCE, Order, Sources


def packet(sequence: int, ssrc: int = 1) -> Packet:
    return Packet(96, False, sequence & 0xFFFF, 0, ssrc, b"x")


def through(order: Order, numbers: list[int], step: float = 0.001) -> list[int]:
    return [one.sequence for at, number in enumerate(numbers) for one in order.push(packet(number), at * step)]


def test_what_comes_in_order_goes_on_at_once() -> None:
    order = Order()
    assert through(order, [65534, 65535, 0, 1]) == [65534, 65535, 0, 1]
    assert order.reordered == 0


def test_a_packet_that_was_overtaken_is_put_back() -> None:
    order = Order()
    assert through(order, [1, 3, 4, 2, 5]) == [1, 2, 3, 4, 5]
    assert order.reordered == 1


@given(st.data(), st.integers(0, 0xFFFF))
def test_any_order_within_the_depth_is_mended(data: st.DataObject, first: int) -> None:
    numbers = list(range(1, 100))
    shuffled = [0]
    for start in range(0, len(numbers), DEPTH // 2):
        shuffled += data.draw(st.permutations(numbers[start : start + DEPTH // 2]))
    order = Order()
    assert through(order, [first + number for number in shuffled]) == [
        first + number & 0xFFFF for number in [0, *numbers]
    ]


def test_a_packet_that_is_lost_is_given_up() -> None:
    order = Order()
    numbers = [1, *range(3, 3 + DEPTH + 1)]
    assert through(order, numbers) == numbers
    assert through(Order(), [1, 3, 4, 5], step=PATIENCE) == [1, 3, 4, 5]
    assert through(Order(), [1, 3, 4, 5], step=PATIENCE / 10) == [1]


def test_late_twice_and_far_away() -> None:
    order = Order()
    assert through(order, [10, 11, 9, 11, 12]) == [10, 11, 9, 11, 12]
    assert through(order, [14, 9000, 9001]) == [14, 9000, 9001]


def test_a_new_source_begins_anew() -> None:
    order = Order()
    assert through(order, [10, 12]) == [10]
    assert [one.sequence for one in order.push(packet(5, ssrc=2), 0.01)] == [12, 5]


def test_memory_is_bounded() -> None:
    order = Order()
    order.push(packet(0), 0)
    held = 0
    for number in range(2, 3000, 2):
        held += 1 - len(order.push(packet(number), 0))
        assert held <= DEPTH + 1


def test_strangers_are_not_admitted() -> None:
    sources = Sources()
    sent = [packet(1), packet(7, 2), packet(2), packet(8, 2), packet(9, 2), packet(3), packet(40, 3), packet(4)]
    found = [one for each in sent for one in sources.admit(each)]
    assert [(one.ssrc, one.sequence) for one in found] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert (sources.strangers, sources.changes) == (4, 0)


def test_a_source_that_took_over_loses_nothing() -> None:
    sources = Sources()
    sent = [packet(1), packet(65534, 2), packet(65535, 2), packet(0, 2), packet(1, 2)]
    found = [one for each in sent for one in sources.admit(each)]
    assert [(one.ssrc, one.sequence) for one in found] == [(1, 1), (2, 65534), (2, 65535), (2, 0), (2, 1)]
    assert (sources.strangers, sources.changes) == (0, 1)


def test_a_new_source_a_packet_is_never_believed() -> None:
    sources = Sources()
    for number in range(1, 1000):
        assert len(sources.admit(packet(number, ssrc=number))) == (number == 1)
    assert sources.strangers >= 990
