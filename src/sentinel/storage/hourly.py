"""What was measured, by the hour: counted in memory, added to the database each second, for baselines to learn from."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

import apsw

from sentinel.config.configuration import Retention
from sentinel.domain.baseline import CheckBaseline, Moments, by_hour
from sentinel.storage import rows

HOUR: Final = 3600
MOST_KEYS: Final = 64
"""Values, or items of values, that are counted of one check; more would be of a table that has no end."""

HUGE: Final = 1e100
"""A number that nobody measures, and whose square is still one."""

Key = tuple[int, str, str]  # the hour's beginning, check, value

# Two groups become one (Chan, Golub, LeVeque 1983, 2.1); the right sides are the row's values before.
_ADD: Final = """
INSERT INTO hourly_values (at, check_id, value, count, mean, squares) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (at, check_id, value) DO UPDATE SET
    count = count + excluded.count,
    mean = mean + (excluded.mean - mean) * excluded.count / (count + excluded.count),
    squares = squares + excluded.squares
        + (excluded.mean - mean) * (excluded.mean - mean) * count * excluded.count / (count + excluded.count)
"""

# One look-up an hour: all checks of an hour lie side by side, and a range would read every one of them.
_READ: Final = """
WITH RECURSIVE hours (at) AS (
    SELECT max(:since, (SELECT coalesce(min(at), :until) FROM hourly_values))
    UNION ALL
    SELECT at + 3600 FROM hours WHERE at + 3600 < :until
)
SELECT v.value, v.at, v.count, v.mean, v.squares
FROM hours CROSS JOIN hourly_values AS v ON v.at = hours.at AND v.check_id = :check
"""


class Samples:
    """Values measured since the last flush; ``add`` is the loop's, everything else the writer's thread's.

    Few results have values that anything is learned from, so that a lock costs nothing here.
    """

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._sums: dict[Key, Moments] = {}
        self.dropped = 0
        """Rows thrown away because the disk took nothing for too long."""

    def add(self, check: str, at: float, values: Mapping[str, float]) -> None:
        """Count what was measured at ``at`` (UTC epoch seconds); what is no number of this world is left out."""
        hour = int(at // HOUR) * HOUR
        with self._lock:
            for value, number in tuple(values.items())[:MOST_KEYS]:
                if -HUGE < number < HUGE:  # not NaN either
                    self._put((hour, check, value), Moments(1, number, 0.0))

    def take(self) -> Mapping[Key, Moments]:
        """All that was counted since the last ``take``, and what came back."""
        with self._lock:
            taken, self._sums = self._sums, {}
        return taken

    def give_back(self, taken: Mapping[Key, Moments]) -> None:
        """The disk did not take them: the next ``take`` gives them again."""
        with self._lock:
            for key, moments in taken.items():
                self._put(key, moments)

    def _put(self, key: Key, moments: Moments) -> None:
        before = self._sums.get(key)
        if before is None and len(self._sums) >= self._most:
            self.dropped += 1
            return
        self._sums[key] = moments if before is None else together(before, moments)

    def __bool__(self) -> bool:
        return bool(self._sums)


def together(one: Moments, other: Moments) -> Moments:
    """Of two groups the moments of all of it."""
    count, apart = one.count + other.count, other.mean - one.mean
    return Moments(
        count,
        one.mean + apart * other.count / count,
        one.squares + other.squares + apart * apart * one.count * other.count / count,
    )


def flush(connection: apsw.Connection, taken: Mapping[Key, Moments]) -> None:
    """Add what was counted to its hours."""
    connection.executemany(
        _ADD,
        [
            (at, rows.clean(check), rows.clean(value), one.count, one.mean, one.squares)
            for (at, check, value), one in taken.items()
        ],
    )


def read(connection: apsw.Connection, check: str, since: float, until: float) -> Mapping[str, Mapping[int, Moments]]:
    """What was measured of a check in the hours that start in [since, until): by value, by the hour's beginning."""
    found: dict[str, dict[int, Moments]] = {}
    period = {"since": -int(-since // HOUR) * HOUR, "until": until, "check": check}
    for value, at, count, mean, squares in connection.execute(_READ, period):
        found.setdefault(value, {})[at] = Moments(count, mean, squares)
    return found


def usual(connection: apsw.Connection, check: str, since: float, until: float) -> CheckBaseline:
    """What is usual of a check, learned from the hours that start in [since, until)."""
    return by_hour(read(connection, check, since, until))


def prune_once(connection: apsw.Connection, now: float, retention: Retention) -> int:
    """Delete the oldest hour where it is too old or there are too many rows; how many rows that was."""
    oldest = connection.execute("SELECT min(at) FROM hourly_values").get
    if oldest is None:
        return 0
    many = connection.execute("SELECT count(*) FROM hourly_values").get
    if oldest > now - retention.values - HOUR and many <= retention.values_rows:
        return 0
    connection.execute("DELETE FROM hourly_values WHERE at = ?", (oldest,))
    return connection.changes()
