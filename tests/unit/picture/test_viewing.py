"""A stream as it is received: rates, gaps, and the key frames that are kept."""

import pytest

from sentinel.picture.examination import MAX_SHOTS
from sentinel.picture.viewing import Viewing
from sentinel.wire.rtp import AccessUnit


def unit(seconds: float, *, key: bool = False, complete: bool = True, base: int = 0) -> AccessUnit:
    return AccessUnit((base + round(seconds * 90_000)) & 0xFFFF_FFFF, key, complete, (b"\x65" + b"x" * 99,))


def seen(watch: float, seconds: float, rate: int = 10, gop: int = 20, base: int = 0) -> Viewing:
    viewing = Viewing(watch)
    for number in range(round(seconds * rate)):
        viewing.unit(unit(number / rate, key=number % gop == 0, base=base), 100 + number / rate)
    return viewing


def test_one_key_frame_is_enough_without_a_watch() -> None:
    viewing = Viewing(0.0)
    viewing.unit(unit(0.0), 1.0)
    states = [viewing.satisfied]
    viewing.unit(unit(0.1, key=True, complete=False), 1.1)
    states.append(viewing.satisfied)
    viewing.unit(unit(0.2, key=True), 1.2)
    states.append(viewing.satisfied)
    assert viewing.values == {"key_frame_bytes": 100.0}
    viewing.drop()
    assert [*states, viewing.satisfied] == [False, False, True, False]


@pytest.mark.parametrize("base", [0, 0xFFFF_0000])  # the time stamps wrap around
def test_rates(base: int) -> None:
    viewing = seen(8.0, 8.2, base=base)
    assert viewing.satisfied
    assert viewing.values == {
        "key_frame_bytes": 100,
        "watched_seconds": pytest.approx(8.1),
        "longest_gap_seconds": pytest.approx(0.1),
        "frame_rate_hertz": pytest.approx(10.0),
        "key_frame_interval_seconds": pytest.approx(2.0),
    }
    assert [shot.seconds for shot in viewing.shots] == pytest.approx([0.0, 2.0, 4.0, 6.0, 8.0])


def test_a_gap() -> None:
    viewing = seen(5.0, 2.0)
    viewing.unit(unit(4.5), 104.5)
    assert viewing.values["longest_gap_seconds"] == pytest.approx(2.6)


def test_key_frames_that_never_come_again() -> None:
    viewing = seen(6.0, 6.0, gop=1000)
    assert viewing.values["key_frame_interval_seconds"] == pytest.approx(5.9)


def test_another_time_base_is_no_gap_in_time() -> None:
    viewing = seen(5.0, 2.0)
    viewing.unit(unit(30_000.0), 102.0)
    assert viewing.watched == pytest.approx(2.0)


def test_pictures_that_come_out_of_order_count_once() -> None:
    viewing = Viewing(10.0)
    for number, seconds in enumerate((0.0, 0.3, 0.1, 0.2, 0.6, 0.4, 0.5)):
        viewing.unit(unit(seconds, key=number == 0), 1 + number / 10)
    assert viewing.watched == pytest.approx(0.6)


def test_no_more_is_kept_than_is_examined() -> None:
    viewing = seen(60.0, 50.0, rate=2, gop=2)
    assert len(viewing.shots) == MAX_SHOTS
    assert (viewing.shots[0].seconds, viewing.shots[-1].seconds) == (0.0, 49.0)


def test_pictures_in_quick_succession_are_not_all_kept() -> None:
    viewing = seen(5.0, 4.0, rate=10, gop=1)  # every picture is a key frame, as with MJPEG
    assert [shot.seconds for shot in viewing.shots] == pytest.approx([0.0, 0.9, 1.8, 2.7, 3.6], abs=0.11)
