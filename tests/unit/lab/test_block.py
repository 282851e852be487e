from pathlib import Path

import pytest

from sentinel.lab.block import BlockTaken, Place, running, take
from tests.support.lab import environment

HIGH = 90


def test_a_block_is_taken_once_and_given_back() -> None:
    with take(HIGH) as block:
        assert block.number == HIGH
        with pytest.raises(BlockTaken, match=str(HIGH)):
            take(HIGH)
        with take() as other:
            assert other.number != HIGH
    take(HIGH).release()


def test_no_such_block() -> None:
    with pytest.raises(ValueError, match="from 0"):
        take(1000)


def test_a_place_follows_the_daemons_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    place = Place.of(3)
    place.make()
    assert place.socket == tmp_path / "runtime" / "lab-3" / "control.sock"
    assert place.authority.parent == tmp_path / "state" / "lab-3"
    assert place.runtime.stat().st_mode & 0o777 == 0o700
    assert list(running()) == []
    place.socket.touch()
    assert list(running()) == []
