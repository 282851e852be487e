"""The one thread that writes: what is queued goes into one transaction, flushed to the disk once (group commit)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw
import structlog

from sentinel.config.configuration import Retention
from sentinel.domain.baseline import Moments
from sentinel.engine.ports import Clock, StoreFailed
from sentinel.storage import hourly, opening, rollups
from sentinel.storage.hourly import Samples
from sentinel.storage.opening import Rebuilt
from sentinel.storage.retention import housekeep_once
from sentinel.storage.rollups import Tally

log = structlog.get_logger(__name__)

PERIOD: Final = 1.0
"""Seconds between flushes of the roll-ups, and between attempts while the disk takes nothing."""
ALIVE: Final = 5.0
"""Seconds after which a store with nothing to write says that the daemon is alive."""
HOUSEKEEPING: Final = 300.0
GROUP: Final = 1_000
"""The most jobs in one transaction."""
MOST_KEPT: Final = 50_000
"""The most jobs that wait in memory; while that many do, a new one is refused and not kept."""

# The job's own fault: the others of its transaction are not touched, and to try it again would be of no use.
_ITS_OWN = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)

# The descriptor may be of no use for ever: the file was moved, or the file system was mounted anew.
_GONE = (apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)

Work = Callable[[apsw.Connection], object]


@dataclass(slots=True, eq=False)
class Job:
    """One atomic change, and who waits for it (None once that has been told of a failure)."""

    work: Work
    future: asyncio.Future[None] | None


class Writer:
    """Owns the writing connection.

    ``submit`` and ``tally`` are the loop's side; everything else runs in the thread.  A job that the disk did not
    take fails its future, is kept in order and tried again each second: ``failing`` says why until then.
    ``beats`` grows at least once a second while the thread is alive and not stuck in a call of the system.
    """

    def __init__(
        self, path: Path, connection: apsw.Connection, clock: Clock, retention: Retention, *, most_kept: int = MOST_KEPT
    ) -> None:
        self._path, self._clock, self._retention = path, clock, retention
        self._connection: apsw.Connection | None = connection
        self._identity = opening.identity(path)
        self._most_kept = most_kept
        self._loop = asyncio.get_running_loop()
        self._condition = threading.Condition()
        self._queue: deque[Job] = deque()
        self._closing = False
        self._kept: deque[Job] = deque()
        self._next_flush = self._next_try = self._next_alive = 0.0
        self._next_housekeeping = time.monotonic() + PERIOD
        self.tally = Tally()
        self.samples = Samples()
        self.failing: str | None = None
        self.rebuilt: Rebuilt | None = None
        self.generation = 0
        self.beats = 0
        self.transactions = 0
        self.refused = 0
        self.pending = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that are not on the disk yet."""
        return len(self._queue) + len(self._kept)

    def submit(self, work: Work) -> asyncio.Future[None]:
        """Have a change made in a transaction; the future ends when that is on the disk.

        Raises (in the future):
            StoreFailed: it could not be written now; it is kept, unless the message says that it was refused.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self.pending += 1
        future.add_done_callback(self._answered)
        if self._closing or not self._thread.is_alive():
            future.set_exception(StoreFailed("the store is closed"))
        elif self.waiting >= self._most_kept:
            self.refused += 1
            future.set_exception(
                StoreFailed(
                    f"refused: {self.waiting} changes wait for the disk already ({self.failing or 'it is slow'})"
                )
            )
        else:
            with self._condition:
                self._queue.append(Job(work, future))
                self._condition.notify()
        return future

    def _answered(self, _future: asyncio.Future[None]) -> None:
        self.pending -= 1

    def close(self, within: float) -> bool:
        """Write what is left and end the thread (blocking, at most ``within`` seconds); whether all was written."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(within)
        return not self._thread.is_alive() and not (self.waiting or self.tally or self.samples)

    def _run(self) -> None:
        while True:
            self.beats += 1
            jobs, closing = self._take()
            self._kept.extend(jobs)
            try:
                self._round(jobs, closing=closing)
            except Exception as error:  # a defect must not end the only thread that saves
                log.exception("store_writer_defect")
                self._failed(error)
            if closing and (self.failing or not (self._queue or self._kept)):
                break
        if self._connection is not None:
            self._connection.close()

    def _take(self) -> tuple[list[Job], bool]:
        """What is queued; nothing after a second without work."""
        with self._condition:
            more = self._queue or self._closing or (self._kept and not self.failing)
            if not more:
                wake_at = self._next_try if self.failing else self._next_flush
                self._condition.wait(min(PERIOD, max(0.0, wake_at - time.monotonic())))
            taken = min(GROUP, len(self._queue))
            return [self._queue.popleft() for _ in range(taken)], self._closing

    def _round(self, jobs: list[Job], *, closing: bool) -> None:
        now = time.monotonic()
        if self.failing and now < self._next_try and not closing:
            self._tell([(job, StoreFailed(self.failing)) for job in jobs])
            return
        group = [self._kept[number] for number in range(min(GROUP, len(self._kept)))]
        flush = closing or now >= self._next_flush
        if flush:
            self._next_flush = now + PERIOD
        idle = not group and not (flush and (self.tally or self.samples)) and now < self._next_alive
        if idle and not closing:
            return
        taken, measured = (self.tally.take(), self.samples.take()) if flush else ({}, {})
        try:
            outcomes = self._transaction(group, taken, measured, housekeeping=now >= self._next_housekeeping)
        except BaseException as error:
            self.tally.give_back(taken)
            self.samples.give_back(measured)
            if not isinstance(error, apsw.Error | StoreFailed):
                raise
            self._failed(error)
            return
        for _ in group:
            self._kept.popleft()
        self._next_alive = now + ALIVE
        self._recovered()
        self._tell(outcomes)

    def _transaction(
        self,
        group: list[Job],
        taken: Mapping[rollups.Key, rollups.Figures],
        measured: Mapping[hourly.Key, Moments],
        *,
        housekeeping: bool,
    ) -> list[tuple[Job, Exception | None]]:
        connection = self._connection = self._connection or self._reopen()
        if opening.identity(self._path) != self._identity:
            # SQLite goes on writing into a file that nobody will find again.
            raise apsw.CantOpenError("the database file was moved or deleted")
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [(job, self._apply(connection, job)) for job in group]
            if taken:
                rollups.flush(connection, taken)
            if measured:
                hourly.flush(connection, measured)
            wall = self._clock.now()
            connection.execute("INSERT OR REPLACE INTO marks VALUES ('alive_at', ?)", (wall,))
            if housekeeping and not housekeep_once(connection, wall, self._retention):
                self._next_housekeeping = time.monotonic() + HOUSEKEEPING
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                _roll_back(connection)
        self.transactions += 1
        return outcomes

    def _reopen(self) -> apsw.Connection:
        connection, rebuilt = opening.open_database(self._path, self._clock.now())
        self.rebuilt = rebuilt or self.rebuilt
        self._identity = opening.identity(self._path)
        self.generation += 1
        return connection

    @staticmethod
    def _apply(connection: apsw.Connection, job: Job) -> Exception | None:
        # A job that fails by its own fault leaves the others alone.
        connection.execute("SAVEPOINT job")
        try:
            job.work(connection)
        except Exception as error:
            if isinstance(error, apsw.Error) and not isinstance(error, _ITS_OWN):
                raise  # the disk's doing: SQLite may have rolled back everything, savepoints and all
            connection.execute("ROLLBACK TO job")
            return error
        finally:
            if connection.in_transaction:
                connection.execute("RELEASE job")
        return None

    def _failed(self, error: Exception) -> None:
        """Nothing of the group was written: keep it, and tell those who wait."""
        reason = f"{type(error).__name__}: {error}"
        if self.failing is None:
            log.error("store_failing", reason=reason, kept=len(self._kept))
        self.failing = reason
        self._next_try = time.monotonic() + PERIOD
        self._tell([(job, StoreFailed(reason)) for job in self._kept if job.future is not None])
        if isinstance(error, (*opening.BROKEN, *_GONE)) and self._connection is not None:
            # Opened again before the next try, which sets a broken file aside and finds one that was moved away.
            self._connection.close()
            self._connection = None

    def _recovered(self) -> None:
        if self.failing is not None:
            log.warning("store_recovered", was=self.failing, kept=len(self._kept))
            self.failing = None

    def _tell(self, outcomes: list[tuple[Job, Exception | None]]) -> None:
        told = [(job.future, error) for job, error in outcomes if job.future is not None]
        for job, _ in outcomes:
            job.future = None
        for _, error in outcomes:
            if error is not None and not isinstance(error, StoreFailed):
                log.error("store_refused_a_change", error=f"{type(error).__name__}: {error}")
        if told:
            try:
                self._loop.call_soon_threadsafe(_settle, told)
            except RuntimeError:  # the loop is closed: nobody waits any more
                log.debug("store_loop_closed", told=len(told))


def _roll_back(connection: apsw.Connection) -> None:
    try:
        connection.execute("ROLLBACK")
    except apsw.Error as error:  # SQLite has rolled back by itself, or the file is gone: the cause is under way
        log.debug("store_rollback", error=str(error))


def _settle(told: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for future, error in told:
        if future.done():  # who waited was cancelled
            continue
        if error is None:
            future.set_result(None)
        elif isinstance(error, StoreFailed):
            future.set_exception(error)
        else:
            future.set_exception(StoreFailed(f"refused: {type(error).__name__}: {error}"))
