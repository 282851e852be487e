"""What stands still, and what only looks like it."""

import numpy as np
import numpy.typing as npt
import pytest

from sentinel.picture.stillness import KEPT, Stillness

Patches = npt.NDArray[np.uint8]


def picture(seed: int, level: int = 60) -> Patches:
    return np.random.default_rng(seed).integers(0, level, (20, 16, 16), dtype=np.uint8)


def follow(pictures: list[Patches], apart: float = 5.0) -> list[float | None]:
    """Each in a run of its own, going on from the traces of the one before."""
    found, traces = [], b""
    for one in pictures:
        stillness = Stillness(traces, apart)
        stillness.follow(one, 1.0, 640, 360, 0.0)
        traces = stillness.packed(0.0)
        found.append(stillness.last)
    return found


def test_the_same_picture_again_and_again() -> None:
    assert follow([picture(1)] * 4) == [0.0, 0.0, 10.0, 15.0]


def test_a_scene_without_motion_has_grain() -> None:
    assert follow([picture(1) + picture(number, 2) for number in range(5)]) == [0.0] * 5


def test_an_encoder_that_quantises_one_picture_in_two_ways() -> None:
    found = follow([picture(1), picture(2), picture(1), picture(2), picture(1), picture(2)])
    assert found == [0.0, 0.0, 0.0, 15.0, 20.0, 25.0]


def test_an_encoder_that_keeps_to_a_bit_rate_has_yet_another_way() -> None:
    ways = [0, 1, 2, 3, 3, 2, 4, 4, 1, 5, 1, 2]
    found = follow([picture(way) for way in ways])
    assert [bool(still) for still in found] == [place > 4 for place in range(len(ways))]
    assert found[-1] == 5.0 * 10
    assert follow([picture(way) for way in [*ways, 20, 21, 22]])[-3:] == [55.0, 60.0, 0.0]


def test_what_moves_is_told_at_once_where_the_encoder_has_few_ways() -> None:
    assert follow([picture(way) for way in (1, 1, 1, 2, 2, 2, 3)]) == [0.0, 0.0, 10.0, 0.0, 0.0, 10.0, 0.0]


def test_a_recording_that_is_played_round_and_round_is_not_frozen() -> None:
    assert follow([picture(number % (KEPT + 1)) for number in range(3 * KEPT + 3)]) == [0.0] * (3 * KEPT + 3)


def test_a_clock_goes_on_while_the_rest_stands_still() -> None:
    pictures = [picture(1) for _ in range(3)]
    for number, one in enumerate(pictures):
        one[:4] = picture(50 + number)[:4]
    assert follow(pictures) == [0.0, 0.0, 10.0]
    for number, one in enumerate(pictures):
        one[:5] = picture(60 + number)[:5]  # more than a fifth is no clock
    assert follow(pictures) == [0.0, 0.0, 0.0]


def test_nothing_is_said_of_a_picture_that_shows_nothing() -> None:
    flat = np.full((20, 16, 16), 40, np.uint8)
    assert follow([flat] * 3) == [None, None, None]
    assert follow([picture(1), flat, picture(1)]) == [0.0, None, 0.0]  # it was away: nobody knows


def test_what_was_long_ago_is_forgotten() -> None:
    others = [picture(number) for number in range(10, 10 + KEPT)]
    assert follow([picture(1), picture(1), *others, picture(1), picture(1)])[-1] == 0.0
    assert follow([picture(1), picture(1), *others[1:], picture(1), picture(1)])[-1] == 5.0 * (KEPT + 2)


def test_another_size_is_another_picture() -> None:
    stillness = Stillness(b"", 0.0)
    stillness.follow(picture(1), 1.0, 640, 360, 0.0)
    stillness.follow(picture(1), 1.0, 1280, 720, 1.0)
    assert stillness.last == 0.0
    stillness.follow(picture(1)[:10], 1.0, 1280, 720, 2.0)
    assert stillness.last == 0.0


@pytest.mark.parametrize("cut", [1, 5, 14, 40])
def test_traces_that_are_cut_short(cut: int) -> None:
    stillness = Stillness(b"", 0.0)
    stillness.follow(picture(1), 1.0, 640, 360, 0.0)
    after = Stillness(stillness.packed(0.0)[:-cut], 1.0)
    after.follow(picture(1), 1.0, 640, 360, 0.0)
    assert after.last == 0.0


def test_traces_are_small() -> None:
    stillness = Stillness(b"", 0.0)
    for seed in range(20):
        stillness.follow(np.random.default_rng(seed).integers(0, 255, (90, 32, 32), np.uint8), 1.0, 640, 360, seed)
    assert len(stillness.packed(0.0)) < 4_000
