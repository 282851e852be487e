"""The store on SQLite (apsw): the loop's side of the writing thread and of the reading one.

async with open_store(Path("/var/lib/sentinel/sentinel.db"), clock) as store:
    await store.commit(Commit(incidents=[incident], transitions=[transition], notices=notices))
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import apsw
import structlog

from sentinel.config.configuration import Retention
from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.evidence import Evidence
from sentinel.domain.incident import Incident
from sentinel.domain.notice import Message, Notice, NoticeStatus
from sentinel.domain.observation import Outcome
from sentinel.domain.retrieval import Retrieval
from sentinel.engine.ports import (
    ChannelState,
    Clock,
    Commit,
    History,
    QuickRetrievals,
    Restored,
    RollUp,
    Settled,
    Status,
    StoreFailed,
)
from sentinel.storage import evidence, hourly, opening, queries, rollups, rows
from sentinel.storage.opening import Rebuilt
from sentinel.storage.writer import Writer

log = structlog.get_logger(__name__)

CLOSE_WITHIN: Final = 10.0
"""Seconds that the last flush may take when the daemon stops."""

MOST_HELD: Final = 32 * 1_048_576
"""Bytes of evidence that may wait for the disk."""

P = ParamSpec("P")
T = TypeVar("T")

_PUT_INCIDENT = rows.upsert("incidents", rows.INCIDENT)
_PUT_RETRIEVAL = rows.upsert("retrievals", rows.RETRIEVAL)
_COUNT_QUICK = """
INSERT INTO retrieval_hours (at, check_id, count, seconds, slowest, last_at, last_seconds)
VALUES (?1, ?2, 1, ?3, ?3, ?4, ?3)
ON CONFLICT (at, check_id) DO UPDATE SET
    count = count + 1, seconds = seconds + excluded.seconds, slowest = max(slowest, excluded.slowest),
    last_seconds = iif(excluded.last_at >= last_at, excluded.last_seconds, last_seconds),
    last_at = max(last_at, excluded.last_at)
"""
_PUT_MEMORY = rows.upsert("memories", rows.MEMORY)
_PUT_CHANNEL_STATE = rows.upsert("channel_states", "channel, sent, broken_until")
_ADD_TRANSITION = rows.insert("transitions", rows.TRANSITION)
_ADD_NOTICE = rows.insert("notices", rows.NOTICE)
_ADD_STATUS = rows.insert("statuses", rows.STATUS)
_SETTLE = """
UPDATE notices SET status = ?, attempts = ?, next_at = ?, error = ?, settled_at = ?
WHERE incident = ? AND seq = ? AND channel = ?
"""


@asynccontextmanager
async def open_store(path: Path, clock: Clock, *, retention: Retention | None = None) -> AsyncIterator[SqliteStore]:
    """Open, check and migrate the database, and run its threads while the block runs.

    A broken file is set aside beside it and rebuilt from what can be read; ``store.rebuilt`` then says so.

    Raises:
        StoreRefused: it cannot be opened, another process has it, or a newer Sentinel wrote it.
    """
    loop = asyncio.get_running_loop()
    descriptor = opening.lock(path)
    readers = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
    try:
        connection, rebuilt = await loop.run_in_executor(readers, opening.open_database, path, clock.now())
        kept = retention or Retention()
        writer = Writer(path, connection, clock, kept)
        writer.rebuilt = rebuilt
        store = SqliteStore(path, writer, readers, clock, kept)
        # Before the writer's first mark: what this says is when the daemon before us was last alive.
        store.found = await store._read(queries.restored)  # noqa: SLF001 - its maker
        writer.start()
        try:
            yield store
        finally:
            # The reader first: only the writer may be the last, who moves the log into the database and removes it.
            await loop.run_in_executor(readers, store._close)  # noqa: SLF001 - the same
            if not await loop.run_in_executor(None, writer.close, CLOSE_WITHIN):
                log.error("store_closed_with_work_left", waiting=writer.waiting, failing=writer.failing)
    finally:
        readers.shutdown(wait=False)
        os.close(descriptor)


class SqliteStore:
    """``engine.ports.Store``; see there.  Made by ``open_store``."""

    def __init__(
        self, path: Path, writer: Writer, readers: ThreadPoolExecutor, clock: Clock, retention: Retention
    ) -> None:
        self._path, self._writer, self._readers = path, writer, readers
        self._clock, self._retention = clock, retention
        self._held = 0
        self._reading: apsw.Connection | None = None  # the reader thread's alone
        self._generation = 0
        self._closed = False
        self.found = Restored()

    @property
    def failing(self) -> str | None:
        """Why the disk takes nothing at the moment; None where it does.  What is kept is tried again each second."""
        return self._writer.failing

    @property
    def rebuilt(self) -> Rebuilt | None:
        """Set where the database was found broken, at the start or later: people must be told."""
        return self._writer.rebuilt

    @property
    def beats(self) -> int:
        """Grows at least once a second while the writing thread is not stuck: for the watchdog."""
        return self._writer.beats

    @property
    def waiting(self) -> int:
        """Changes that are not on the disk yet."""
        return self._writer.waiting

    @property
    def pending(self) -> int:
        """Futures of changes that are not done."""
        return self._writer.pending

    @property
    def refused(self) -> int:
        """Changes that were not even kept, because too many waited already."""
        return self._writer.refused

    @property
    def transactions(self) -> int:
        """Transactions written since the start."""
        return self._writer.transactions

    def commit(self, commit: Commit) -> asyncio.Future[None]:
        """Write it all or nothing.  Not tried again by the caller: a commit that failed is kept and tried here."""
        return self._writer.submit(partial(_write, commit=self._lightened(commit), retention=self._retention))

    def roll(self, check: str, at: float, outcome: Outcome, took: float) -> None:
        """Count a result in its 5-minute period; on the disk within a second."""
        self._writer.tally.add(check, at, outcome, took)

    def sample(self, check: str, at: float, values: Mapping[str, float]) -> None:
        """Count what was measured in its hour; on the disk within a second."""
        self._writer.samples.add(check, at, values)

    def remember(self, check: str, memory: Mapping[str, float]) -> None:
        """Replace what is remembered of the check."""
        row = (rows.clean(check), self._clock.now(), rows.to_json(dict(memory)))
        written = self._writer.submit(lambda connection: connection.execute(_PUT_MEMORY, row))
        written.add_done_callback(asyncio.Future.exception)  # kept and tried again where the disk took nothing

    def _lightened(self, commit: Commit) -> Commit:
        """Without its evidence where as much as memory may hold of it waits for the disk already."""
        if not self._writer.waiting:
            self._held = 0
        self._held += sum(len(piece.evidence.data) for piece in commit.evidence)
        if self._held <= MOST_HELD or not commit.evidence:
            return commit
        log.warning("store_evidence_dropped", pieces=len(commit.evidence), waiting=self._writer.waiting)
        return replace(commit, evidence=())

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Record what became of attempts to deliver."""
        await self._writer.submit(partial(_settle, settled=tuple(settled)))

    async def save_channel_state(self, state: ChannelState) -> None:
        """Replace the channel's."""
        row = (state.channel, rows.to_json(list(state.sent)), state.broken_until)
        await self._writer.submit(lambda connection: connection.execute(_PUT_CHANNEL_STATE, row))

    async def flush(self) -> None:
        """Return when everything that was submitted before is on the disk."""
        await self._writer.submit(lambda _connection: None)

    async def restore(self) -> Restored:
        """As it was when the store was opened."""
        return self.found

    async def notices_due(self, channel: str, now: float, limit: int) -> Sequence[Notice]:
        """Queued messages whose time has come, in the order of their commits; see ``queries._DUE`` for who waits."""
        return await self._read(queries.notices_due, channel, now, limit)

    async def next_due(self, channel: str) -> float | None:
        """When a message of the channel may be tried next, UTC epoch seconds; None where none is queued."""
        return await self._read(queries.next_due, channel)

    async def queued(self) -> Mapping[str, int]:
        """By channel, how many messages wait."""
        return await self._read(queries.queued)

    async def told(self, channel: str) -> Sequence[Message]:
        """The last message that left the channel's queue for each open incident that was told, the oldest first."""
        return await self._read(queries.told, channel)

    async def undelivered(self) -> Mapping[str, int]:
        """By channel, how many messages it never took."""
        return await self._read(queries.undelivered)

    async def channel_states(self) -> Sequence[ChannelState]:
        """Every channel's limiter and breaker as last saved."""
        return await self._read(queries.channel_states)

    async def incidents(self, *, open_only: bool = False, since: float = 0.0, limit: int = 500) -> Sequence[Incident]:
        """Those that are open, or that ended at or after ``since`` too; the latest opening first."""
        return await self._read(queries.incidents, open_only=open_only, since=since, limit=limit)

    async def history(self, incident: str) -> History | None:
        """One incident with all that happened to it, None where nobody knows it."""
        return await self._read(queries.history, incident)

    async def exhibit(self, incident: str, number: int) -> Evidence | None:
        """One piece of an incident's evidence, None where there is none."""
        return await self._read(evidence.exhibit, incident, number)

    async def retrievals(self, since: float, until: float) -> Sequence[Retrieval]:
        """Episodes that began in [since, until) and were not quick, in that order."""
        return await self._read(queries.retrievals, since, until)

    async def quick_retrievals(self, since: float, until: float) -> Sequence[QuickRetrievals]:
        """Quick ones by check, of the whole hours that start in [since, until)."""
        return await self._read(queries.quick_retrievals, since, until)

    async def open_retrievals(self) -> frozenset[str]:
        """The ids of those that have not ended."""
        return await self._read(queries.open_retrievals)

    async def statuses(self, since: float, until: float) -> Sequence[Status]:
        """Changes of state in [since, until) by time, led by each check's last one before ``since``."""
        return await self._read(queries.statuses, since, until)

    async def rollups(self, check: str, since: float, width: int) -> Sequence[RollUp]:
        """A check's periods of 300 or 3600 seconds that start at or after ``since``, rising.

        Raises:
            ValueError: another width.
        """
        return await self._read(rollups.read, check, since, width)

    async def usual(self, check: str, since: float, until: float) -> CheckBaseline:
        """What is usual of a check, learned from the hours that start in [since, until)."""
        return await self._read(hourly.usual, check, since, until)

    async def _read(self, query: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, partial(self._query, query, *args, **kwargs))
        except opening.BROKEN as error:
            # The writer decides, and sets the file aside where it is broken indeed.
            self._writer.submit(lambda _connection: opening.verify(self._path)).add_done_callback(
                asyncio.Future.exception
            )
            raise StoreFailed(f"{type(error).__name__}: {error}") from error
        except (
            apsw.Error,
            UnicodeDecodeError,
            TypeError,
            KeyError,
            IndexError,
        ) as error:  # or a byte flipped in a text
            raise StoreFailed(f"{type(error).__name__}: {error}") from error

    def _query(self, query: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise StoreFailed("the store is closed")
        if self._reading is None or self._generation != self._writer.generation:
            self._leave()
            self._generation = self._writer.generation
            self._reading = opening.connect(self._path, read_only=True)
        return query(self._reading, *args, **kwargs)

    def _close(self) -> None:
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def _write(connection: apsw.Connection, commit: Commit, retention: Retention) -> None:
    connection.executemany(_PUT_INCIDENT, [rows.incident_row(incident) for incident in commit.incidents])
    connection.executemany(_ADD_TRANSITION, [rows.transition_row(transition) for transition in commit.transitions])
    connection.executemany(_ADD_NOTICE, [rows.notice_row(notice) for notice in commit.notices])
    connection.executemany(_ADD_STATUS, [rows.status_row(status) for status in commit.statuses])
    for retrieval in commit.retrievals:
        if retrieval.quick:
            connection.execute(_COUNT_QUICK, _quick_row(retrieval))
        else:
            connection.execute(_PUT_RETRIEVAL, rows.retrieval_row(retrieval))
    evidence.put(connection, commit.evidence, retention)


def _quick_row(retrieval: Retrieval) -> tuple[int, str, float, float | None]:
    hour = int(retrieval.started_at // rollups.LONG) * rollups.LONG  # it belongs to the period of its request
    return hour, rows.clean(retrieval.check), retrieval.elapsed(0.0), retrieval.ended_at


def _settle(connection: apsw.Connection, settled: Sequence[Settled]) -> None:
    changes = [
        (
            one.status.value,
            one.attempts,
            one.next_at,
            rows.clean(one.error),
            None if one.status is NoticeStatus.QUEUED else one.at,
            one.incident,
            one.seq,
            one.channel,
        )
        for one in settled
    ]
    connection.executemany(_SETTLE, changes)
