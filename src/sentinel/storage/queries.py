"""What is read: each function takes the reading connection, and holds it for one statement or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import apsw

from sentinel.domain.incident import Incident
from sentinel.domain.notice import Message, Notice
from sentinel.domain.retrieval import Retrieval
from sentinel.engine.ports import ChannelState, History, QuickRetrievals, Restored, Status
from sentinel.storage import evidence, rows

# A message waits while an earlier one of its incident has to wait longer on the same channel.
_DUE = f"""
SELECT {rows.NOTICE} FROM notices AS mine
WHERE channel = ?1 AND status = 'queued' AND next_at <= ?2 AND NOT EXISTS (
    SELECT 1 FROM notices AS earlier
    WHERE earlier.incident = mine.incident AND earlier.channel = mine.channel AND earlier.seq < mine.seq
      AND earlier.status = 'queued' AND earlier.next_at > ?2)
ORDER BY number LIMIT ?3
"""  # noqa: S608 - a constant of this package

_NEXT_DUE = """
SELECT min(next_at) FROM notices AS mine
WHERE channel = ?1 AND status = 'queued' AND NOT EXISTS (
    SELECT 1 FROM notices AS earlier
    WHERE earlier.incident = mine.incident AND earlier.channel = mine.channel AND earlier.seq < mine.seq
      AND earlier.status = 'queued')
"""

# Given up counts as well: a receiver that comes back after a day must learn what is still open.
_TOLD = """
SELECT message FROM notices AS mine
WHERE channel = ?1 AND status != 'queued'
  AND incident IN (SELECT id FROM incidents WHERE state = 'open' AND telling = 'told')
  AND seq = (SELECT max(seq) FROM notices AS later
             WHERE later.incident = mine.incident AND later.channel = ?1 AND later.status != 'queued')
ORDER BY number
"""

_STATUSES = f"""
SELECT {rows.STATUS} FROM statuses WHERE number IN (
    SELECT (
        SELECT number FROM statuses WHERE check_id = every.check_id AND at < ?1 ORDER BY at DESC, number DESC LIMIT 1)
    FROM (SELECT DISTINCT check_id FROM statuses) AS every
    UNION ALL SELECT number FROM statuses WHERE at >= ?1 AND at < ?2)
ORDER BY at, number
"""  # noqa: S608 - the same

_LAST_STATUSES = f"""
SELECT {rows.STATUS} FROM statuses WHERE number IN (SELECT max(number) FROM statuses GROUP BY check_id)
"""  # noqa: S608 - the same

# SQLite: a bare column beside a single max() is of the row that has the maximum.
_QUICK = """
SELECT check_id, count, seconds, slowest, last_at, last_seconds FROM (
    SELECT check_id, max(last_at) AS last_at, last_seconds FROM retrieval_hours
    WHERE at >= ?1 AND at < ?2 GROUP BY check_id)
JOIN (
    SELECT check_id, sum(count) AS count, sum(seconds) AS seconds, max(slowest) AS slowest FROM retrieval_hours
    WHERE at >= ?1 AND at < ?2 GROUP BY check_id) USING (check_id)
"""


def restored(connection: apsw.Connection) -> Restored:
    """What is open, and how the checks stood.  ``alive_at`` is the last mark, this daemon's own once it writes."""
    return Restored(
        incidents=incidents(connection, open_only=True, since=0.0, limit=-1),
        retrievals=[
            rows.retrieval_of(row)
            for row in connection.execute(f"SELECT {rows.RETRIEVAL} FROM retrievals WHERE ended_at IS NULL")  # noqa: S608 - the same
        ],
        statuses=[rows.status_of(row) for row in connection.execute(_LAST_STATUSES)],
        alive_at=connection.execute("SELECT value FROM marks WHERE name = 'alive_at'").get,
        memories=dict(rows.memory_of(row) for row in connection.execute(f"SELECT {rows.MEMORY} FROM memories")),  # noqa: S608 - the same
    )


def notices_due(connection: apsw.Connection, channel: str, now: float, limit: int) -> Sequence[Notice]:
    """In the order in which they were committed."""
    return [rows.notice_of(row) for row in connection.execute(_DUE, (channel, now, limit))]


def outbox(connection: apsw.Connection) -> Iterator[Notice]:
    """Every message that waits."""
    sql = f"SELECT {rows.NOTICE} FROM notices WHERE status = 'queued'"  # noqa: S608 - the same
    return (rows.notice_of(row) for row in connection.execute(sql))


def next_due(connection: apsw.Connection, channel: str) -> float | None:
    """When the next message may be tried, None where none is queued."""
    at: float | None = connection.execute(_NEXT_DUE, (channel,)).get
    return at


def queued(connection: apsw.Connection) -> Mapping[str, int]:
    """How many messages wait for each channel."""
    sql = "SELECT channel, count(*) FROM notices WHERE status = 'queued' GROUP BY channel"
    return {channel: int(count) for channel, count in connection.execute(sql)}


def told(connection: apsw.Connection, channel: str) -> Sequence[Message]:
    """The last message that left the queue of a channel for each open incident that was told."""
    return [rows.message_of(row[0]) for row in connection.execute(_TOLD, (channel,))]


def undelivered(connection: apsw.Connection) -> Mapping[str, int]:
    """How many messages each channel never took."""
    sql = "SELECT channel, count(*) FROM notices WHERE status = 'undelivered' GROUP BY channel"
    return {channel: int(count) for channel, count in connection.execute(sql)}


def channel_states(connection: apsw.Connection) -> Sequence[ChannelState]:
    """Every channel's, as last saved."""
    sql = "SELECT channel, sent, broken_until FROM channel_states"
    return [rows.channel_state_of(row) for row in connection.execute(sql)]


def incidents(connection: apsw.Connection, *, open_only: bool, since: float, limit: int) -> Sequence[Incident]:
    """Those that are open or ended at or after ``since``, the latest opening first."""
    where = "state = 'open'" if open_only else "(state = 'open' OR (state = 'resolved' AND resolved_at >= ?1))"
    sql = f"SELECT {rows.INCIDENT} FROM incidents WHERE {where} ORDER BY opened_at DESC, id DESC LIMIT ?2"  # noqa: S608 - the same
    return [rows.incident_of(row) for row in connection.execute(sql, (since, limit))]


def history(connection: apsw.Connection, incident: str) -> History | None:
    """One incident with its transitions and messages, in order; None where nobody knows the id."""
    row = connection.execute(f"SELECT {rows.INCIDENT} FROM incidents WHERE id = ?", (incident,)).fetchone()  # noqa: S608 - the same
    if row is None:
        return None
    # Asked after the incident: a commit in between shows in them, and never an incident ahead of its transitions.
    transitions = f"SELECT {rows.TRANSITION} FROM transitions WHERE incident = ? ORDER BY seq"  # noqa: S608 - the same
    notices = f"SELECT {rows.NOTICE} FROM notices WHERE incident = ? ORDER BY seq, channel"  # noqa: S608 - the same
    return History(
        rows.incident_of(row),
        [rows.transition_of(row) for row in connection.execute(transitions, (incident,))],
        [rows.notice_of(row) for row in connection.execute(notices, (incident,))],
        evidence.exhibits(connection, incident),
    )


def retrievals(connection: apsw.Connection, since: float, until: float) -> Sequence[Retrieval]:
    """Those that began in the period, in that order: an episode belongs to the period of its request."""
    sql = f"SELECT {rows.RETRIEVAL} FROM retrievals WHERE started_at >= ? AND started_at < ? ORDER BY started_at"  # noqa: S608 - the same
    return [rows.retrieval_of(row) for row in connection.execute(sql, (since, until))]


def quick_retrievals(connection: apsw.Connection, since: float, until: float) -> Sequence[QuickRetrievals]:
    """Counted by check, of the hours that start in [since, until)."""
    return [rows.quick_of(row) for row in connection.execute(_QUICK, (since, until))]


def open_retrievals(connection: apsw.Connection) -> frozenset[str]:
    """The ids of those that have not ended."""
    return frozenset(row[0] for row in connection.execute("SELECT id FROM retrievals WHERE ended_at IS NULL"))


def statuses(connection: apsw.Connection, since: float, until: float) -> Sequence[Status]:
    """Each check's last before ``since``, so that its state at ``since`` is known, and all up to ``until``; by time."""
    return [rows.status_of(row) for row in connection.execute(_STATUSES, (since, until))]
