"""Roll-ups: results counted in memory, added to the database each second, compacted from 5 minutes into hours."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import apsw

from sentinel.domain.observation import Outcome
from sentinel.engine.ports import RollUp
from sentinel.storage import rows

SHORT: Final = 300
LONG: Final = 3600
LATE: Final = 600.0
"""Seconds that an hour stays open for results that come late; later ones are added to it one by one."""

Key = tuple[str, int]
Figures = list[float]  # ok, failed, unknown, took_sum, took_max

_PLACE = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.UNKNOWN: 2}

_ADD = """
INSERT INTO rollups (width, at, check_id, ok, failed, unknown, took_sum, took_max) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (width, at, check_id) DO UPDATE SET
    ok = ok + excluded.ok, failed = failed + excluded.failed, unknown = unknown + excluded.unknown,
    took_sum = took_sum + excluded.took_sum, took_max = max(took_max, excluded.took_max)
"""

_COMPACT = """
INSERT INTO rollups (width, at, check_id, ok, failed, unknown, took_sum, took_max)
SELECT 3600, :at, check_id, sum(ok), sum(failed), sum(unknown), sum(took_sum), max(took_max)
FROM rollups WHERE width = 300 AND at >= :at AND at < :at + 3600
GROUP BY check_id
ON CONFLICT (width, at, check_id) DO NOTHING
"""

# One look-up a period: all checks of a period lie side by side, and a range would read every one of them.
_READ = """
WITH RECURSIVE period (at) AS (
    SELECT :first WHERE :first <= :last
    UNION ALL
    SELECT at + :width FROM period WHERE at + :width <= :last
)
SELECT r.check_id, r.at, r.width, r.ok, r.failed, r.unknown, r.took_sum, r.took_max
FROM period CROSS JOIN rollups AS r ON r.width = :width AND r.at = period.at AND r.check_id = :check
"""


class Tally:
    """Results counted since the last flush: ``add`` is the loop's alone, everything else the writer's thread's.

    No lock, for it would be taken once a result: the writer takes the loop's counts by putting empty ones in their
    place, and waits while the loop is in the middle of an ``add`` that may have seen the old ones.
    """

    def __init__(self, most: int = 200_000) -> None:
        self._most = most
        self._adding = False
        self._counting: dict[int, dict[str, Figures]] = {}
        self._kept: dict[Key, Figures] = {}  # what came back
        self._begin = self._end = 0
        self.dropped = 0
        """Rows thrown away because the disk took nothing for too long."""

    def add(self, check: str, at: float, outcome: Outcome, took: float) -> None:
        """Count one result that belongs to ``at`` (UTC epoch seconds) and took so many seconds."""
        if not self._begin <= at < self._end:
            self._begin = int(at // SHORT) * SHORT
            self._end = self._begin + SHORT
        self._adding = True  # before the counts are looked up: see take
        try:
            period = self._counting.get(self._begin)
            if period is None:
                period = self._counting[self._begin] = {}
            figures = period.get(check)
            if figures is None:
                figures = period[check] = [0, 0, 0, 0.0, 0.0]
            figures[_PLACE[outcome]] += 1
            figures[3] += took
            if took > figures[4]:  # not max(): this runs for each result  # noqa: PLR1730 - the same
                figures[4] = took
        finally:
            self._adding = False

    def take(self) -> Mapping[Key, Figures]:
        """All that was counted since the last ``take``, and what came back; the newest where there are too many."""
        counted, self._counting = self._counting, {}
        # An add that began before this line may still write into what was taken; one that begins after it cannot.
        while self._adding:
            time.sleep(0)
        taken, self._kept = self._kept, {}
        for at, period in counted.items():
            for check, figures in period.items():
                before = taken.get((check, at))
                taken[check, at] = figures if before is None else _sum(before, figures)
        surplus = len(taken) - self._most
        if surplus > 0:
            for key in sorted(taken, key=lambda key: key[1])[:surplus]:
                del taken[key]
            self.dropped += surplus
        return taken

    def give_back(self, taken: Mapping[Key, Figures]) -> None:
        """The disk did not take them: the next ``take`` gives them again."""
        self._kept = dict(taken)

    def __bool__(self) -> bool:
        return bool(self._counting or self._kept)


def _sum(one: Figures, other: Figures) -> Figures:
    return [*(mine + its for mine, its in zip(one[:4], other[:4], strict=True)), max(one[4], other[4])]


def flush(connection: apsw.Connection, taken: Mapping[Key, Figures]) -> None:
    """Add the counts to their periods, and to the hour where that is compacted already."""
    until = compacted_until(connection)
    changes = [(SHORT, at, check, *_whole(figures)) for (check, at), figures in taken.items()]
    changes += [
        (LONG, at // LONG * LONG, check, *_whole(figures)) for (check, at), figures in taken.items() if at < until
    ]
    connection.executemany(_ADD, changes)


def _whole(figures: Figures) -> tuple[int, int, int, float, float]:
    ok, failed, unknown, took_sum, took_max = figures
    return int(ok), int(failed), int(unknown), took_sum, took_max


def compacted_until(connection: apsw.Connection) -> int:
    """The end of the last compacted hour, 0 where none is."""
    return int(connection.execute("SELECT value FROM marks WHERE name = 'compacted_until'").get or 0)


def compact_one(connection: apsw.Connection, now: float) -> bool:
    """Make the hourly row of the oldest hour that is over and not compacted; whether there was one.

    An hour is over ``LATE`` seconds after its end.
    """
    until = compacted_until(connection)
    first = connection.execute("SELECT min(at) FROM rollups WHERE width = 300 AND at >= ?", (until,)).get
    if first is None:
        return False
    hour = int(first) // LONG * LONG
    if hour + LONG + LATE > now:
        return False
    with connection:
        connection.execute(_COMPACT, {"at": hour})
        connection.execute("INSERT OR REPLACE INTO marks VALUES ('compacted_until', ?)", (hour + LONG,))
    return True


def read(connection: apsw.Connection, check: str, since: float, width: int) -> Sequence[RollUp]:
    """A check's periods that start at or after ``since``, rising; an hour that is not compacted yet is summed here.

    Raises:
        ValueError: ``width`` is neither 300 nor 3600.
    """
    if width not in (SHORT, LONG):
        raise ValueError(f"there are roll-ups of {SHORT} and of {LONG} seconds, none of {width}")
    found = [rows.rollup_of(row) for row in _range(connection, check, since, width)]
    if width == LONG:
        until = compacted_until(connection)
        first = max(until, -int(-since // LONG) * LONG)
        found += _summed([rows.rollup_of(row) for row in _range(connection, check, first, SHORT)])
    return found


def _range(connection: apsw.Connection, check: str, since: float, width: int) -> apsw.Cursor:
    ends = "SELECT min(at), max(at) FROM rollups WHERE width = ?"
    first, last = connection.execute(ends, (width,)).get
    if first is None:
        first, last = 0, -1
    first = max(first, -int(-since // width) * width)  # rounded up: a period belongs to its start
    return connection.execute(_READ, {"first": first, "last": last, "width": width, "check": check})


def _summed(short: Sequence[RollUp]) -> list[RollUp]:
    hours: dict[float, list[RollUp]] = {}
    for rollup in short:
        hours.setdefault(rollup.at // LONG * LONG, []).append(rollup)
    return [
        RollUp(
            check=parts[0].check,
            at=hour,
            width=LONG,
            ok=sum(part.ok for part in parts),
            failed=sum(part.failed for part in parts),
            unknown=sum(part.unknown for part in parts),
            took_sum=sum(part.took_sum for part in parts),
            took_max=max(part.took_max for part in parts),
        )
        for hour, parts in sorted(hours.items())
    ]
