from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.pool import Pool, PoolFullError, sessions

PUBLIC = Credentials("v2c", "public")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_session_is_lent_to_one_and_used_again() -> None:
    pool = Pool(4)
    first = pool.open("127.0.0.1", 9, PUBLIC)
    assert pool.resting("127.0.0.1", 9, PUBLIC) is None
    pool.take_back(first)
    assert pool.resting("127.0.0.1", 9, Credentials("v2c", "other")) is None
    assert pool.resting("127.0.0.1", 9, Credentials("v2c", "public")) is first
    pool.take_back(first)
    pool.close()


async def test_the_least_recently_used_makes_room_and_descriptors_are_given_back() -> None:
    before = descriptors()
    pool = Pool(2)
    for port in (1, 2, 1, 3):
        pool.take_back(pool.resting("127.0.0.1", port, PUBLIC) or pool.open("127.0.0.1", port, PUBLIC))
        assert pool.sessions <= 2
    assert pool.resting("127.0.0.1", 2, PUBLIC) is None
    kept = pool.resting("127.0.0.1", 1, PUBLIC)
    assert kept is not None
    pool.take_back(kept)
    pool.close()
    assert descriptors() == before


async def test_all_lent_is_said() -> None:
    pool = Pool(1)
    session = pool.open("127.0.0.1", 1, PUBLIC)
    with pytest.raises(PoolFullError):
        pool.open("127.0.0.1", 2, PUBLIC)
    session.fit = False
    pool.take_back(session)
    assert pool.sessions == 0
    pool.close()


async def test_what_comes_back_after_the_end_is_closed() -> None:
    before = descriptors()
    async with sessions() as pool:
        session = pool.open("127.0.0.1", 1, PUBLIC)
    pool.take_back(session)
    assert pool.sessions == 0
    assert descriptors() == before


def test_a_master_key_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(algorithm: str, password: str) -> bytes:
        made.append((algorithm, password))
        return b"key"

    monkeypatch.setattr("sentinel.protocols.snmp.pool.master_key", make)
    pool = Pool(1)
    assert pool.master_key("sha", "password1") == pool.master_key("sha", "password1") == b"key"
    assert len(made) == 1
    pool.close()
