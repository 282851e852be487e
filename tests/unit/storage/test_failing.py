import asyncio
from pathlib import Path

import apsw
import pytest

from sentinel.domain.notice import NoticeStatus
from sentinel.domain.observation import Outcome
from sentinel.engine.ports import Commit, Settled, StoreFailed
from sentinel.storage import writer as writer_module
from sentinel.storage.sqlite import SqliteStore, open_store
from tests.unit.storage.conftest import NOON, HandClock, incident, notice, opening, transition


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "PERIOD", 0.05)


async def fill_disk(store: SqliteStore) -> None:
    """From now on SQLite's answer is "database or disk is full"."""

    def limit(connection: apsw.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {connection.pragma('page_count')}")

    await store._writer.submit(limit)


async def make_room(store: SqliteStore) -> None:
    connection = store._writer._connection
    assert connection is not None
    async with asyncio.timeout(5):
        while True:
            try:
                connection.execute("PRAGMA max_page_count = 1000000")
            except apsw.ThreadingViolationError:
                await asyncio.sleep(0.001)
            else:
                return


async def until_full(store: SqliteStore, first: int) -> int:
    """Commit until one fails; its number."""
    for number in range(first, first + 1000):
        try:
            await store.commit(opening(number))
        except StoreFailed as failed:
            if "FullError" in str(failed):
                return number
            raise
    raise AssertionError("the disk was never full")


async def recovered(store: SqliteStore) -> None:
    async with asyncio.timeout(5):
        while store.failing is not None:
            await asyncio.sleep(0.01)


async def test_a_full_disk_is_said_and_what_failed_is_kept_and_written_later_in_order(store: SqliteStore) -> None:
    await fill_disk(store)
    failed = await until_full(store, 1)
    assert store.failing is not None
    assert "FullError" in store.failing
    closed = incident(failed, title="later", version=2)
    late = store.commit(Commit(incidents=[closed], transitions=[transition(failed, 2)]))
    with pytest.raises(StoreFailed, match="FullError"):
        await late
    with pytest.raises(StoreFailed):
        await store.settle([Settled(f"i{failed}", 1, "desk", NoticeStatus.SENT, 1, NOON, "", NOON)])
    assert store.waiting == 3
    assert await store.history(f"i{failed}") is None
    assert len(await store.incidents(limit=1000)) == failed - 1  # reading goes on
    beats = store.beats
    await make_room(store)
    await recovered(store)
    assert store.waiting == 0
    assert store.beats > beats
    history = await store.history(f"i{failed}")
    assert history is not None
    assert history.incident.title == "later"
    assert [one.seq for one in history.transitions] == [1, 2]
    assert history.notices[0].status is NoticeStatus.SENT


async def test_counts_are_not_lost_while_the_disk_is_full(store: SqliteStore, clock: HandClock) -> None:
    await fill_disk(store)
    await until_full(store, 1)
    for _ in range(3):
        for number in range(2000):
            store.roll(f"check-{number}", NOON, Outcome.OK, 0.5)
        await asyncio.sleep(0.1)
    await make_room(store)
    await recovered(store)
    async with asyncio.timeout(5):
        while not (found := await store.rollups("check-7", NOON, 300)):
            await asyncio.sleep(0.05)
    assert (found[0].ok, found[0].took_sum, found[0].took_max) == (3, 1.5, 0.5)


async def test_there_is_an_end_to_what_is_kept(path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module.Writer.__init__, "__kwdefaults__", {"most_kept": 20})
    async with open_store(path, clock) as store:
        await fill_disk(store)
        failed = await until_full(store, 1)
        outcomes = await asyncio.gather(
            *(store.commit(opening(number)) for number in range(failed + 1, failed + 31)), return_exceptions=True
        )
        assert all(isinstance(outcome, StoreFailed) for outcome in outcomes)
        assert sum("refused" in str(outcome) for outcome in outcomes) == store.refused == 11
        await make_room(store)
        await recovered(store)
        assert len(await store.incidents(limit=1000)) == failed + 19


async def test_a_database_that_is_moved_away_is_begun_anew(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        await store.commit(opening(1))
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").rename(f"{path}.moved{suffix}")
        with pytest.raises(StoreFailed):
            await store.commit(opening(2))
        await recovered(store)
        assert await store.history("i2") is not None
        assert path.exists()


async def test_a_stop_while_the_disk_is_full_comes_to_an_end(
    path: Path, clock: HandClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_store(path, clock) as store:
        await fill_disk(store)
        await until_full(store, 1)
    assert "store_closed_with_work_left" in capsys.readouterr().out


async def test_a_defect_in_one_change_is_its_own(store: SqliteStore) -> None:
    bad = store._writer.submit(lambda _connection: {}["no"])  # type: ignore[index]
    good = store.commit(Commit(notices=[notice()]))
    await good
    with pytest.raises(StoreFailed, match="KeyError"):
        await bad
