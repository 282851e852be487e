"""The writer's housekeeping: hours compacted, what is too old deleted.

Incidents, transitions and picture retrievals that took more than one attempt or over 10 s are kept for ever.  The
hourly counts of quick retrievals, settled messages, the checks' statuses and what protocols remember of checks live
as long as hourly roll-ups; each check's last status stays whatever its age.  Evidence and what was
measured by the hour have bounds of their own.
"""

from __future__ import annotations

from typing import Final

import apsw

from sentinel.config.configuration import Retention
from sentinel.storage import evidence, hourly, rollups

_BATCH: Final = 2_000


_NOTICES = """
DELETE FROM notices WHERE number IN (
    SELECT number FROM notices WHERE created_at < ? AND status != 'queued' ORDER BY created_at LIMIT ?)
"""
_STATUSES = """
DELETE FROM statuses WHERE number IN (
    SELECT number FROM statuses AS old
    WHERE at < ? AND EXISTS (SELECT 1 FROM statuses AS newer WHERE newer.check_id = old.check_id AND newer.at > old.at)
    ORDER BY at LIMIT ?)
"""
_MEMORIES = "DELETE FROM memories WHERE check_id IN (SELECT check_id FROM memories WHERE at < ? LIMIT ?)"
_QUICK = "DELETE FROM retrieval_hours WHERE at <= ? AND at = (SELECT min(at) FROM retrieval_hours)"


def housekeep_once(connection: apsw.Connection, now: float, retention: Retention) -> bool:
    """One short piece of work in the transaction at hand; whether there was any."""
    return rollups.compact_one(connection, now) or _prune_once(connection, now, retention)


def _prune_once(connection: apsw.Connection, now: float, retention: Retention) -> bool:
    # Five-minute periods go only once their hour is made.
    short = min(now - retention.five_minutes, rollups.compacted_until(connection))
    deleted = _oldest_period(connection, rollups.SHORT, short)
    deleted += _oldest_period(connection, rollups.LONG, now - retention.hours)
    for statement in (_NOTICES, _STATUSES):
        connection.execute(statement, (now - retention.hours, _BATCH))
        deleted += connection.changes()
    connection.execute(_QUICK, (now - retention.hours - rollups.LONG,))
    deleted += connection.changes()
    connection.execute(_MEMORIES, (now - retention.hours, _BATCH))
    deleted += connection.changes() + evidence.prune_once(connection, now, retention)
    deleted += hourly.prune_once(connection, now, retention)
    return deleted > 0


def _oldest_period(connection: apsw.Connection, width: int, before: float) -> int:
    connection.execute(
        "DELETE FROM rollups WHERE width = ?1 AND at <= ?2 AND at = (SELECT min(at) FROM rollups WHERE width = ?1)",
        (width, before - width),
    )
    return connection.changes()
