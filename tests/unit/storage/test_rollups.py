import asyncio
import sys
import threading
from collections import Counter
from pathlib import Path

import apsw
import pytest

from sentinel.config.configuration import Retention
from sentinel.domain.notice import NoticeStatus
from sentinel.domain.observation import Outcome
from sentinel.engine.ports import Commit, RollUp, Settled, Status
from sentinel.storage import retention, rollups, schema
from sentinel.storage.rollups import Tally
from sentinel.storage.sqlite import SqliteStore, open_store
from tests.unit.storage.conftest import NOON, HandClock, incident, notice, opening, transition

DAY = 86_400.0


@pytest.fixture
def connection() -> apsw.Connection:
    made = apsw.Connection(":memory:")
    schema.migrate(made, NOON)
    return made


def flush(connection: apsw.Connection, *results: tuple[str, float, Outcome, float]) -> None:
    tally = Tally()
    for result in results:
        tally.add(*result)
    rollups.flush(connection, tally.take())


async def test_results_are_counted_by_five_minutes_and_on_the_disk_within_a_second(store: SqliteStore) -> None:
    store.roll("a", NOON + 1, Outcome.OK, 0.1)
    store.roll("a", NOON + 299.9, Outcome.FAILED, 2.0)
    store.roll("a", NOON + 300, Outcome.UNKNOWN, 0.0)
    store.roll("b", NOON + 1, Outcome.OK, 9.0)
    async with asyncio.timeout(3):
        while len(found := await store.rollups("a", NOON, 300)) < 2:
            await asyncio.sleep(0.02)
    assert found == [
        RollUp("a", NOON, 300, 1, 1, 0, 2.1, 2.0),
        RollUp("a", NOON + 300, 300, 0, 0, 1, 0.0, 0.0),
    ]
    store.roll("a", NOON + 2, Outcome.OK, 0.4)
    async with asyncio.timeout(3):
        while (await store.rollups("a", NOON, 300))[0].ok < 2:
            await asyncio.sleep(0.02)
    assert await store.rollups("a", NOON + 1, 300) == [RollUp("a", NOON + 300, 300, 0, 0, 1, 0.0, 0.0)]
    assert await store.rollups("nobody", 0, 300) == []


async def test_what_is_counted_at_the_stop_is_kept(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        store.roll("a", NOON, Outcome.OK, 0.1)
    async with open_store(path, clock) as store:
        assert await store.rollups("a", 0, 300) == [RollUp("a", NOON, 300, 1, 0, 0, 0.1, 0.1)]


async def test_there_are_two_widths(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="none of 60"):
        await store.rollups("a", 0, 60)


def test_an_hour_that_is_over_is_compacted_once(connection: apsw.Connection) -> None:
    flush(
        connection, ("a", NOON, Outcome.OK, 1.0), ("a", NOON + 3599, Outcome.FAILED, 3.0), ("b", NOON, Outcome.OK, 2.0)
    )
    flush(connection, ("a", NOON + 3600, Outcome.OK, 1.0))
    assert not rollups.compact_one(connection, NOON + 3600 + rollups.LATE - 1)
    assert rollups.compact_one(connection, NOON + 3600 + rollups.LATE)
    assert not rollups.compact_one(connection, NOON + 3600 + rollups.LATE)
    assert rollups.read(connection, "a", 0, 3600) == [
        RollUp("a", NOON, 3600, 1, 1, 0, 4.0, 3.0),
        RollUp("a", NOON + 3600, 3600, 1, 0, 0, 1.0, 1.0),  # summed on the way: its hour is not over
    ]
    assert rollups.read(connection, "a", NOON + 1, 3600) == [RollUp("a", NOON + 3600, 3600, 1, 0, 0, 1.0, 1.0)]


def test_what_comes_late_is_in_the_hour_all_the_same(connection: apsw.Connection) -> None:
    flush(connection, ("a", NOON, Outcome.OK, 1.0))
    rollups.compact_one(connection, NOON + 7200)
    flush(connection, ("a", NOON + 10, Outcome.OK, 5.0), ("new", NOON + 10, Outcome.FAILED, 1.0))
    assert rollups.read(connection, "a", 0, 3600) == [RollUp("a", NOON, 3600, 2, 0, 0, 6.0, 5.0)]
    assert rollups.read(connection, "new", 0, 3600) == [RollUp("new", NOON, 3600, 0, 1, 0, 1.0, 1.0)]


def test_hours_without_results_are_passed_over(connection: apsw.Connection) -> None:
    flush(connection, ("a", NOON, Outcome.OK, 1.0), ("a", NOON + 10 * DAY, Outcome.OK, 1.0))
    work = 0
    while rollups.compact_one(connection, NOON + 11 * DAY):
        work += 1
    assert work == 2


def housekeep(connection: apsw.Connection, now: float, kept: Retention | None = None) -> None:
    while retention.housekeep_once(connection, now, kept or Retention()):
        pass


def widths(connection: apsw.Connection) -> dict[int, int]:
    counts = connection.execute("SELECT width, count(*) FROM rollups GROUP BY width")
    return {int(width): int(count) for width, count in counts}


def test_five_minutes_are_kept_for_14_days_and_hours_for_two_years(connection: apsw.Connection) -> None:
    flush(connection, *(("a", NOON + n * 300, Outcome.OK, 1.0) for n in range(24)))
    housekeep(connection, NOON + 14 * DAY)
    assert widths(connection) == {300: 24, 3600: 2}
    housekeep(connection, NOON + 14 * DAY + 3600)
    assert widths(connection) == {300: 12, 3600: 2}
    housekeep(connection, NOON + 15 * DAY)
    assert widths(connection) == {3600: 2}
    assert [one.ok for one in rollups.read(connection, "a", 0, 3600)] == [12, 12]
    housekeep(connection, NOON + 731 * DAY)
    assert widths(connection) == {}


def test_five_minutes_stay_until_their_hour_is_made(connection: apsw.Connection) -> None:
    flush(connection, ("a", NOON, Outcome.OK, 1.0))
    assert not retention._prune_once(connection, NOON + 100 * DAY, Retention())
    assert widths(connection) == {300: 1}


async def test_old_messages_and_statuses_go_and_incidents_stay(path: Path, clock: HandClock) -> None:
    ended = incident(1)
    async with open_store(path, clock) as store:
        await store.commit(opening(1, "desk", "wall"))
        await store.commit(Commit(incidents=[ended], transitions=[transition(1, 2)], notices=[notice(1, 2)]))
        await store.settle([Settled("i1", 1, "desk", NoticeStatus.SENT, 1, NOON, "", NOON)])
        await store.commit(Commit(statuses=[Status("a", NOON, "up"), Status("a", NOON + 1, "down")]))
    connection = apsw.Connection(str(path))
    housekeep(connection, NOON + 731 * DAY)
    connection.close()
    async with open_store(path, clock) as store:
        history = await store.history("i1")
        assert history is not None
        assert len(history.transitions) == 2
        assert [(one.seq, one.channel) for one in history.notices] == [(1, "wall"), (2, "desk")]  # still queued
        assert (await store.restore()).statuses == [Status("a", NOON + 1, "down")]


def test_counts_of_quick_retrievals_live_as_long_as_hours(connection: apsw.Connection) -> None:
    put = "INSERT INTO retrieval_hours VALUES (?, 'cam', 1, 1.0, 1.0, ?, 1.0)"
    connection.executemany(put, [(int(NOON) + n * 3600, NOON) for n in range(3)])
    connection.execute("INSERT INTO retrievals VALUES ('r', 'cam', ?, ?, 1, 2, '', '')", (NOON, NOON + 5))
    housekeep(connection, NOON + 730 * DAY + 3599)
    assert connection.execute("SELECT count(*) FROM retrieval_hours").get == 3
    housekeep(connection, NOON + 730 * DAY + 7200)
    assert [row[0] for row in connection.execute("SELECT at FROM retrieval_hours")] == [NOON + 7200]
    housekeep(connection, NOON + 800 * DAY)
    assert connection.execute("SELECT count(*) FROM retrieval_hours").get == 0
    assert connection.execute("SELECT count(*) FROM retrievals").get == 1  # for ever


def test_quick_retrievals_of_an_older_database_become_counts() -> None:
    old = apsw.Connection(":memory:")
    (_, _, first), (_, _, second), *_ = schema.steps()
    old.execute(first)
    put = "INSERT INTO retrievals VALUES (?, 'cam', ?, ?, ?, ?, '', '')"
    old.executemany(
        put,
        [
            ("a", NOON + 1, NOON + 3, 1, 1),
            ("b", NOON + 8, NOON + 9, 1, 1),
            ("c", NOON + 3600, NOON + 3610, 1, 1),
            ("slow", NOON, NOON + 10.5, 1, 1),
            ("tried", NOON, NOON + 5, 1, 2),
            ("given-up", NOON, NOON + 5, 0, 1),
            ("open", NOON, None, 0, 1),
        ],
    )
    old.execute(second)
    assert list(old.execute("SELECT * FROM retrieval_hours")) == [
        (NOON, "cam", 2, 3.0, 2.0, NOON + 9, 1.0),
        (NOON + 3600, "cam", 1, 10.0, 10.0, NOON + 3610, 10.0),
    ]
    assert {row[0] for row in old.execute("SELECT id FROM retrievals")} == {"slow", "tried", "given-up", "open"}


async def test_the_writer_keeps_house(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        store.roll("a", NOON, Outcome.OK, 1.0)
    clock.wall = NOON + 20 * DAY
    async with open_store(path, clock) as store:
        async with asyncio.timeout(10):
            while await store.rollups("a", 0, 300):
                store.roll("b", clock.wall, Outcome.OK, 1.0)
                await asyncio.sleep(0.05)
        assert [one.ok for one in await store.rollups("a", 0, 3600)] == [1]


def test_what_the_disk_did_not_take_is_added_again_and_bounded() -> None:
    tally = Tally(most=2)
    tally.add("a", NOON, Outcome.OK, 1.0)
    tally.add("b", NOON - 300, Outcome.OK, 1.0)
    taken = tally.take()
    assert not tally
    tally.add("a", NOON, Outcome.FAILED, 3.0)
    tally.give_back(taken)
    assert tally.take() == {("a", NOON): [1, 1, 0, 4.0, 3.0], ("b", NOON - 300): [1, 0, 0, 1.0, 1.0]}
    tally.add("c", NOON, Outcome.OK, 1.0)
    tally.give_back(taken)
    assert tally
    assert set(tally.take()) == {("a", NOON), ("c", NOON)}
    assert tally.dropped == 1
    assert not tally


def test_no_result_is_lost_or_counted_twice_while_the_writer_takes() -> None:
    tally, stop, found = Tally(), threading.Event(), Counter[str]()

    def write() -> None:
        while not stop.is_set():
            for (check, _), figures in tally.take().items():
                found[check] += int(figures[0])

    writer = threading.Thread(target=write)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the loop is interrupted anywhere
    try:
        writer.start()
        for n in range(60_000):
            tally.add("ab"[n % 2], NOON + n % 600, Outcome.OK, 0.001)
    finally:
        stop.set()
        writer.join()
        sys.setswitchinterval(interval)
    for (check, _), figures in tally.take().items():
        found[check] += int(figures[0])
    assert found == {"a": 30_000, "b": 30_000}
