"""Evidence: one transaction with its incident, bounded in number, size and age, gone with the oldest first."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import apsw
import pytest

from sentinel.config.configuration import Retention
from sentinel.domain.evidence import MAX_BYTES, MAX_PIECES, Evidence
from sentinel.engine.ports import Commit, Exhibit, Piece, StoreFailed
from sentinel.storage import sqlite
from sentinel.storage.sqlite import SqliteStore, open_store
from tests.unit.storage.conftest import NOON, HandClock, opening

DAY = 86_400.0


def frame(text: str = "frame", size: int = 0) -> Evidence:
    return Evidence("picture", "image/jpeg", text.encode().ljust(size, b"."))


def shown(number: int = 1, *frames: Evidence, at: float = NOON) -> Commit:
    """The opening of an incident with what it was opened on."""
    return dataclasses.replace(opening(number), evidence=[Piece(f"i{number}", at, one) for one in frames])


async def pieces(store: SqliteStore, number: int) -> list[Exhibit]:
    history = await store.history(f"i{number}")
    assert history is not None
    return list(history.exhibits)


async def test_what_was_kept_is_there_after_a_restart_exactly_as_it_was(path: Path, clock: HandClock) -> None:
    every = bytes(range(256))
    async with open_store(path, clock) as store:
        await store.commit(shown(1, frame(), Evidence("path", "application/json", every)))
        await store.commit(Commit(evidence=[Piece("i1", NOON + 9, frame("late"))]))
        await store.commit(opening(2))
    async with open_store(path, clock) as store:
        assert await pieces(store, 1) == [
            Exhibit("i1", 1, NOON, "picture", "image/jpeg", 5),
            Exhibit("i1", 2, NOON, "path", "application/json", 256),
            Exhibit("i1", 3, NOON + 9, "picture", "image/jpeg", 4),
        ]
        assert await store.exhibit("i1", 2) == Evidence("path", "application/json", every)
        assert await pieces(store, 2) == []
        for incident, number in (("i1", 4), ("i1", 0), ("i2", 1), ("nobody", 1)):
            assert await store.exhibit(incident, number) is None


async def test_an_incident_has_so_many_pieces_and_no_more(store: SqliteStore) -> None:
    await store.commit(shown(1, *(frame(str(n)) for n in range(MAX_PIECES - 1))))
    await store.commit(Commit(evidence=[Piece("i1", NOON, frame("last")), Piece("i1", NOON, frame("too many"))]))
    assert len(await pieces(store, 1)) == MAX_PIECES
    assert await store.exhibit("i1", MAX_PIECES) == frame("last")


@pytest.mark.parametrize(
    "kept", [Retention(evidence_pieces=3), Retention(evidence_size=3 * 1000 + 999)], ids=["number", "size"]
)
async def test_all_together_are_bounded_and_the_oldest_go_first(path: Path, clock: HandClock, kept: Retention) -> None:
    async with open_store(path, clock, retention=kept) as store:
        for number in range(1, 9):
            await store.commit(shown(number, frame(size=1000), at=NOON + number))
        left = [number for number in range(1, 9) if await pieces(store, number)]
        assert left == [6, 7, 8]


async def test_what_is_too_old_goes_and_its_incident_stays(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock, retention=Retention(evidence=DAY)) as store:
        await store.commit(shown(1, frame()))
    clock.wall += DAY + 60
    async with open_store(path, clock, retention=Retention(evidence=DAY)) as store:
        async with asyncio.timeout(10):
            while await pieces(store, 1):
                store.remember("tick", {})
                await asyncio.sleep(0.05)
        assert await store.history("i1") is not None


async def test_evidence_of_an_incident_that_nobody_knows_is_refused_alone(store: SqliteStore) -> None:
    refused = store.commit(Commit(evidence=[Piece("nobody", NOON, frame())]))
    await store.commit(opening(1))
    with pytest.raises(StoreFailed, match="refused"):
        await refused
    assert await store.history("i1") is not None


async def test_while_too_much_waits_for_the_disk_incidents_are_kept_without_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MOST_HELD", 3 * MAX_BYTES)
    waiting = [store.commit(shown(number, frame(size=MAX_BYTES))) for number in range(1, 9)]  # in one turn of the loop
    await asyncio.gather(*waiting)
    assert [number for number in range(1, 9) if await pieces(store, number)] == [1, 2, 3]
    await store.commit(shown(9, frame(size=MAX_BYTES)))
    assert await pieces(store, 9)


async def test_a_memory_is_there_after_a_restart_the_newest_alone(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        store.remember("unit-1.beat", {"at": 1.0})
        store.remember("unit-1.beat", {"at": 2.5, "failed": 1.0})
        store.remember("unit-2.beat", {})
    async with open_store(path, clock) as store:
        assert (await store.restore()).memories == {"unit-1.beat": {"at": 2.5, "failed": 1.0}, "unit-2.beat": {}}


async def test_both_are_saved_out_of_a_broken_file(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        await store.commit(shown(1, frame("one"), frame("two")))
        store.remember("unit-1.beat", {"at": 1.0})
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA ignore_check_constraints = ON; UPDATE evidence SET size = 99 WHERE number = 2")
    connection.close()
    async with open_store(path, clock) as store:
        assert store.rebuilt is not None
        assert [one.number for one in await pieces(store, 1)] == [1]
        assert await store.exhibit("i1", 1) == frame("one")
        assert (await store.restore()).memories == {"unit-1.beat": {"at": 1.0}}
