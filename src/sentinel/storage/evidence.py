"""Evidence in the database: put where there is room, listed without its content, pruned from the oldest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import apsw

from sentinel.config.configuration import Retention
from sentinel.domain.evidence import MAX_PIECES, Evidence
from sentinel.engine.ports import Exhibit, Piece
from sentinel.storage import rows

_PUT: Final = """
INSERT INTO evidence (incident, number, at, kind, media_type, size, data)
SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM evidence WHERE incident = ?1 HAVING count(*) < ?7
"""
_EXHIBITS: Final = f"SELECT {rows.EXHIBIT} FROM evidence WHERE incident = ? ORDER BY number"  # noqa: S608 - a constant of this package
_BATCH: Final = 100


def put(connection: apsw.Connection, pieces: Iterable[Piece], retention: Retention) -> None:
    """Keep pieces, each where its incident has room; what is over the bounds then goes, the oldest first."""
    added = False
    for piece in pieces:
        one = piece.evidence
        connection.execute(
            _PUT, (piece.incident, piece.at, one.kind, one.media_type, len(one.data), one.data, MAX_PIECES)
        )
        added = True
    if added:
        _shrink(connection, retention)


def prune_once(connection: apsw.Connection, now: float, retention: Retention) -> int:
    """Delete some of what is too old, or over bounds that were made tighter; how many pieces that was."""
    sql = "DELETE FROM evidence WHERE id IN (SELECT id FROM evidence WHERE at < ? ORDER BY at LIMIT ?)"
    connection.execute(sql, (now - retention.evidence, _BATCH))
    return connection.changes() or _shrink(connection, retention)


def exhibits(connection: apsw.Connection, incident: str) -> Sequence[Exhibit]:
    """What there is of an incident, in the order in which it came."""
    return [rows.exhibit_of(row) for row in connection.execute(_EXHIBITS, (incident,))]


def exhibit(connection: apsw.Connection, incident: str, number: int) -> Evidence | None:
    """One piece."""
    sql = "SELECT kind, media_type, data FROM evidence WHERE incident = ? AND number = ?"
    row = connection.execute(sql, (incident, number)).fetchone()
    return None if row is None else Evidence(*row)


def _shrink(connection: apsw.Connection, retention: Retention) -> int:
    count = int(connection.execute("SELECT count(*) FROM evidence").get)
    size = int(connection.execute("SELECT coalesce(sum(size), 0) FROM evidence").get)
    if count <= retention.evidence_pieces and size <= retention.evidence_size:
        return 0
    gone = []
    for row in connection.execute("SELECT id, size FROM evidence ORDER BY at, id LIMIT ?", (_BATCH,)):
        gone.append((row[0],))
        count, size = count - 1, size - row[1]
        if count <= retention.evidence_pieces and size <= retention.evidence_size:
            break
    connection.executemany("DELETE FROM evidence WHERE id = ?", gone)
    return len(gone)
