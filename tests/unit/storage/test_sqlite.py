import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import apsw
import pytest

from sentinel.domain.incident import State
from sentinel.domain.notice import NoticeStatus
from sentinel.domain.retrieval import Retrieval
from sentinel.engine.ports import ChannelState, Commit, QuickRetrievals, Settled, Status, Store, StoreFailed
from sentinel.storage.sqlite import SqliteStore, open_store
from tests.unit.storage.conftest import NOON, HandClock, incident, notice, opening, transition


def settled(number: int, seq: int, status: NoticeStatus, next_at: float = NOON, channel: str = "desk") -> Settled:
    return Settled(f"i{number}", seq, channel, status, 1, next_at, "", NOON + 1)


async def test_it_is_a_store(store: SqliteStore) -> None:
    port: Store = store
    assert port.commit == store.commit


async def test_what_was_committed_is_there_after_a_restart_exactly_as_it_was(path: Path, clock: HandClock) -> None:
    retrieval = Retrieval("r1", "cam-1.main", NOON, attempts=2, stage="describe", code="unauthorized")
    shown = Retrieval("r0", "cam-1.main", NOON - 100, NOON - 90, shown=True, attempts=2)
    resolved = incident(2, state=State.RESOLVED, resolved_at=NOON + 3, verdict=None)
    async with open_store(path, clock) as store:
        await store.commit(
            dataclasses.replace(
                opening(1, "desk", "wall"),
                statuses=[Status("hall-01.ping", NOON - 9, "up"), Status("hall-01.ping", NOON, "down")],
                retrievals=[retrieval, shown],
            )
        )
        await store.commit(Commit(incidents=[resolved], transitions=[transition(2, verdict=None, event=None)]))
        await store.save_channel_state(ChannelState("desk", (1.5, 2.5), 9.0))
    async with open_store(path, clock) as store:
        restored = await store.restore()
        assert restored.incidents == [incident(1)]
        assert restored.retrievals == [retrieval]
        assert restored.statuses == [Status("hall-01.ping", NOON, "down")]
        assert restored.alive_at == NOON
        assert await store.channel_states() == [ChannelState("desk", (1.5, 2.5), 9.0)]
        assert await store.incidents(since=NOON) == [resolved, incident(1)]
        assert await store.incidents(since=NOON + 4) == [incident(1)]
        assert await store.incidents(open_only=True) == [incident(1)]
        assert len(await store.incidents(limit=1)) == 1
        history = await store.history("i1")
        assert history is not None
        assert history.transitions == [transition(1)]
        assert history.notices == [notice(1, 1, "desk"), notice(1, 1, "wall")]
        assert await store.history("nobody") is None
        assert await store.retrievals(NOON - 100, NOON) == [shown]
        assert await store.retrievals(NOON - 100, NOON + 1) == [shown, retrieval]


async def test_quick_retrievals_are_counted_by_the_hour_and_others_are_rows(path: Path, clock: HandClock) -> None:
    def episode(name: str, start: float, took: float, **changes: Any) -> Retrieval:
        made = Retrieval(name, "cam-1.main", NOON + start, NOON + start + took, shown=True, attempts=1)
        return dataclasses.replace(made, **changes)

    slow, tried, given_up = (
        episode("slow", 1, 10.5),
        episode("tried", 2, 3.0, attempts=2),
        episode("given-up", 3, 3.0, shown=False),
    )
    async with open_store(path, clock) as store:
        await store.commit(Commit(retrievals=[episode("a", -1, 9.0)]))  # the hour before
        await store.commit(Commit(retrievals=[episode("b", 0, 2.0), episode("c", 9, 10.0), slow, tried, given_up]))
        await store.commit(Commit(retrievals=[episode("d", 7200, 1.0), episode("late", 7100, 0.5)]))
        await store.commit(Commit(retrievals=[episode("e", 5, 4.0, check="cam-2.main")]))
    async with open_store(path, clock) as store:
        assert await store.retrievals(0, 2 * NOON) == [slow, tried, given_up]
        one, two = sorted(await store.quick_retrievals(NOON, NOON + 7201), key=lambda found: found.check)
        assert one == QuickRetrievals("cam-1.main", 4, 13.5, 10.0, NOON + 7201, 1.0)
        assert two == QuickRetrievals("cam-2.main", 1, 4.0, 4.0, NOON + 9, 4.0)
        assert [found.count for found in await store.quick_retrievals(NOON - 3600, NOON)] == [1]
        assert await store.open_retrievals() == frozenset()
        await store.commit(Commit(retrievals=[Retrieval("open", "cam-1.main", NOON, attempts=1)]))
        assert await store.open_retrievals() == {"open"}


async def test_a_first_start_has_nothing(store: SqliteStore) -> None:
    restored = await store.restore()
    assert (restored.incidents, restored.statuses, restored.alive_at) == ([], [], None)


async def test_an_incident_is_replaced_and_its_transitions_add_up(store: SqliteStore) -> None:
    await store.commit(opening(1))
    ended = incident(1, state=State.RESOLVED, resolved_at=NOON + 60, version=2)
    await store.commit(Commit(incidents=[ended], transitions=[transition(1, 2, reason="recovered")]))
    history = await store.history("i1")
    assert history is not None
    assert history.incident == ended
    assert [change.reason for change in history.transitions] == ["confirmed", "recovered"]


async def test_hostile_text_is_kept_and_read_back(store: SqliteStore) -> None:
    nasty = 'x\x00\x1b[2J\udc80"\n}</script>\u202e'
    changed = dataclasses.replace(notice(1).message, text=nasty)
    await store.commit(
        Commit(incidents=[incident(1, title=nasty)], notices=[dataclasses.replace(notice(1), message=changed)])
    )
    history = await store.history("i1")
    assert history is not None
    assert history.notices[0].message.text == nasty
    assert history.incident.title == nasty.replace("\udc80", "\\udc80")


async def test_a_commit_is_all_or_nothing_and_takes_no_other_with_it(store: SqliteStore) -> None:
    await store.commit(opening(1))
    good, bad, after = (
        store.commit(opening(2)),
        store.commit(Commit(incidents=[incident(3)], transitions=[transition(1)])),  # (i1, 1) is there already
        store.commit(opening(4)),
    )
    await good
    await after
    with pytest.raises(StoreFailed, match="refused: ConstraintError"):
        await bad
    assert {one.id for one in await store.incidents()} == {"i1", "i2", "i4"}
    assert store.failing is None


async def test_a_transition_without_its_incident_is_refused(store: SqliteStore) -> None:
    with pytest.raises(StoreFailed, match="FOREIGN KEY"):
        await store.commit(Commit(transitions=[transition(1)]))


async def test_two_open_incidents_of_one_key_are_refused(store: SqliteStore) -> None:
    await store.commit(opening(1))
    with pytest.raises(StoreFailed, match="UNIQUE"):
        await store.commit(Commit(incidents=[incident(2, key=incident(1).key)]))


async def test_what_is_queued_together_is_flushed_together(store: SqliteStore) -> None:
    await store.flush()
    before = store.transactions
    await asyncio.gather(*(store.commit(opening(number)) for number in range(500)))
    assert store.transactions - before <= 5
    assert len(await store.incidents(limit=1000)) == 500


async def test_a_waiter_that_was_cancelled_harms_nobody(store: SqliteStore) -> None:
    pending = store.commit(opening(1))
    assert isinstance(pending, asyncio.Future)
    pending.cancel()
    await store.flush()
    assert len(await store.incidents()) == 1


async def test_an_earlier_message_of_an_incident_holds_its_later_ones_and_nobody_elses(store: SqliteStore) -> None:
    await store.commit(Commit(notices=[notice(1, 1), notice(1, 2), notice(2, 1), notice(1, 1, "wall")]))
    assert [(n.incident, n.seq) for n in await store.notices_due("desk", NOON, 10)] == [("i1", 1), ("i1", 2), ("i2", 1)]
    await store.settle([settled(1, 1, NoticeStatus.QUEUED, NOON + 30), settled(2, 1, NoticeStatus.SENT)])
    assert await store.notices_due("desk", NOON, 10) == []
    assert await store.next_due("desk") == NOON + 30
    assert [n.seq for n in await store.notices_due("desk", NOON + 30, 1)] == [1]
    await store.settle([settled(1, 1, NoticeStatus.UNDELIVERED)])
    assert [n.seq for n in await store.notices_due("desk", NOON, 10)] == [2]
    await store.settle([settled(1, 2, NoticeStatus.SENT)])
    assert await store.next_due("desk") is None
    assert await store.next_due("wall") == NOON
    assert await store.undelivered() == {"desk": 1}
    history = await store.history("i1")
    assert history is None  # the messages stand without an incident: a test message has none


async def test_statuses_begin_with_each_checks_last_before_the_period(store: SqliteStore) -> None:
    changes = [Status("a", 1.0, "up"), Status("a", 2.0, "down"), Status("b", 1.5, "up"), Status("a", 5.0, "up")]
    await store.commit(Commit(statuses=changes))
    assert await store.statuses(3.0, 5.0) == [Status("b", 1.5, "up"), Status("a", 2.0, "down")]
    assert (await store.statuses(2.0, 9.0))[-2:] == [Status("a", 2.0, "down"), Status("a", 5.0, "up")]


async def test_the_same_time_twice_keeps_the_order_of_the_commits(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        await store.commit(Commit(statuses=[Status("a", 1.0, "down"), Status("a", 1.0, "up")]))
    async with open_store(path, clock) as store:
        assert (await store.restore()).statuses == [Status("a", 1.0, "up")]


async def test_the_thread_beats_without_work(store: SqliteStore) -> None:
    before = store.beats
    async with asyncio.timeout(5):
        while store.beats == before:
            await asyncio.sleep(0.02)


async def test_a_closed_store_says_so(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        pass
    with pytest.raises(StoreFailed, match="closed"):
        await store.commit(opening(1))


async def test_the_file_is_for_its_owner_and_is_sound(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        await store.commit(opening(1))
        assert all(file.stat().st_mode & 0o077 == 0 for file in path.parent.iterdir())
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    assert connection.pragma("journal_mode") == "wal"
    connection.close()
