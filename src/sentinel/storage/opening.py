"""Opening the database: one daemon at a time, checked before it is trusted, set aside and rebuilt where broken."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
import structlog

from sentinel.domain.baseline import Moments
from sentinel.domain.evidence import Evidence
from sentinel.storage import queries, rows, schema
from sentinel.storage.schema import StoreRefused

log = structlog.get_logger(__name__)

BROKEN: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
"""What SQLite raises where the file is not what it wrote."""

_SIDE_FILES = ("", "-wal", "-shm")
_CHANNEL_STATE = "channel, sent, broken_until"


def _evidence_of(row: rows.Row) -> Evidence:
    return Evidence(kind=row[4], media_type=row[5], data=row[7])


# Parents before children: columns, and what reads them.  Roll-ups, only for charts, stay in the file set aside.
_SALVAGED: Final[Mapping[str, tuple[str, Callable[[rows.Row], object]]]] = {
    "incidents": (rows.INCIDENT, rows.incident_of),
    "transitions": (rows.TRANSITION, rows.transition_of),
    "notices": (f"number, {rows.NOTICE}", lambda row: rows.notice_of(row[1:])),
    "statuses": (f"number, {rows.STATUS}", lambda row: rows.status_of(row[1:])),
    "retrievals": (rows.RETRIEVAL, rows.retrieval_of),
    "retrieval_hours": (f"at, {rows.QUICK}", lambda row: rows.quick_of(row[1:])),
    "evidence": (f"id, {rows.EVIDENCE}", _evidence_of),
    "memories": (rows.MEMORY, rows.memory_of),
    "hourly_values": ("at, check_id, value, count, mean, squares", lambda row: Moments(int(row[3]), *row[4:])),
    "channel_states": (_CHANNEL_STATE, rows.channel_state_of),
    "marks": ("name, value", lambda row: float(row[1])),
}
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError)  # UnicodeDecodeError is a ValueError


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A broken database was set aside: where it lies now, why, and how many rows of each table were saved."""

    quarantine: Path
    reason: str
    saved: dict[str, int] = field(default_factory=dict)


def lock(path: Path) -> int:
    """Take the store for this process; the descriptor of the lock, which ends with the process at the latest.

    Raises:
        StoreRefused: another process has it, or the folder does not let us write.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreRefused(f"cannot write beside {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreRefused(f"another Sentinel uses {path}: two on one store would tell everything twice") from error
    return descriptor


def open_database(path: Path, now: float) -> tuple[apsw.Connection, Rebuilt | None]:
    """The writing connection to a sound, migrated database; made where there is none, rebuilt where it is broken.

    Takes as long as reading the whole file once.

    Raises:
        StoreRefused: a newer schema, an unsound SQLite, or a disk that does not let us.
    """
    schema.require_sound_library()
    try:
        return _open_sound(path, now), None
    except BROKEN as error:
        return rebuild(path, now, str(error))


def rebuild(path: Path, now: float, reason: str) -> tuple[apsw.Connection, Rebuilt]:
    """Set a broken database aside, begin a new one, and save into it what can still be read."""
    quarantine = _set_aside(path, now)
    log.error("store_broken", reason=reason, quarantine=str(quarantine))
    connection = _open_sound(path, now)
    rebuilt = Rebuilt(quarantine, reason, _salvage(connection, quarantine))
    log.error("store_rebuilt", quarantine=str(quarantine), **{f"saved_{name}": n for name, n in rebuilt.saved.items()})
    return connection, rebuilt


def connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    """A connection with the settings that every one of ours has."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(2000)  # a backup may hold the file for a moment
    connection.execute("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    return connection


def identity(path: Path) -> tuple[int, int] | None:
    """Which file the path means at the moment; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open_sound(path: Path, now: float) -> apsw.Connection:
    try:
        # Made here and not by SQLite: its own would be readable by everybody; -wal and -shm take after it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path)
    except (OSError, apsw.CantOpenError) as error:
        raise StoreRefused(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        mode = connection.pragma("journal_mode", "wal")
        if mode != "wal":
            raise StoreRefused(f"{path}: this file system does not let SQLite use WAL (it offers {mode})")
        # FULL: the log is flushed at each commit.  The log is cut back to 64 MiB after a checkpoint.
        connection.execute("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864")
        _require_integrity(connection)
        for name in schema.migrate(connection, now):
            log.info("store_migrated", step=name)
        _require_readable(connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, apsw.Error) and not isinstance(error, BROKEN):
            raise StoreRefused(f"cannot use {path}: {error}") from error
        raise
    return connection


def verify(path: Path) -> None:
    """Read the whole file as it lies on the disk, past the caches of open connections.

    Raises:
        apsw.CorruptError: it is broken; or another of ``BROKEN``.
    """
    connection = connect(path, read_only=True)
    try:
        _require_integrity(connection)
    finally:
        connection.close()


def _require_integrity(connection: apsw.Connection) -> None:
    started = time.monotonic()
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    if problems != ["ok"]:
        raise apsw.CorruptError("; ".join(problems)[:500])
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise apsw.CorruptError("a transition belongs to no incident")
    log.debug("store_checked", seconds=round(time.monotonic() - started, 3))


def _require_readable(connection: apsw.Connection) -> None:
    """What the daemon goes on from must be more than valid SQLite: a flipped byte may lie in a text."""
    try:
        queries.restored(connection)
        for _ in queries.outbox(connection):
            pass
    except _UNREADABLE as error:
        raise apsw.CorruptError(f"a row cannot be read: {type(error).__name__}") from error


def _set_aside(path: Path, now: float) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    number = 0
    while True:
        quarantine = path.with_name(f"{path.name}.broken-{stamp}" + (f"-{number}" if number else ""))
        if not quarantine.exists():
            break
        number += 1
    for suffix in _SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(quarantine.with_name(quarantine.name + suffix))
    return quarantine


def _salvage(connection: apsw.Connection, quarantine: Path) -> dict[str, int]:
    """Copy every row that can still be read and that the new tables accept; the number of them by table."""
    saved = {}
    try:
        source = connect(quarantine)  # not read-only: the log that lies beside it must be played first
    except apsw.Error:
        return {}
    try:
        for table, (columns, reads) in _SALVAGED.items():
            saved[table] = sum(_copy(source, connection, table, columns, reads, order) for order in ("ASC", "DESC"))
    finally:
        source.close()
    return saved


def _copy(
    source: apsw.Connection,
    connection: apsw.Connection,
    table: str,
    columns: str,
    reads: Callable[[rows.Row], object],
    order: str,
) -> int:
    # From both ends: a broken page in the middle hides neither the oldest rows nor the newest.
    put = rows.insert(table, columns).replace("INSERT", "INSERT OR IGNORE", 1)
    key = columns.partition(",")[0]
    count = 0
    with connection:
        try:
            for row in source.execute(f"SELECT {columns} FROM {table} ORDER BY {key} {order}"):  # noqa: S608 - our own
                count += _put(connection, put, row, reads)
        except (apsw.Error, *_UNREADABLE) as error:
            log.warning("store_salvage_ended", table=table, order=order, reason=f"{type(error).__name__}: {error}")
    return count


def _put(connection: apsw.Connection, put: str, row: rows.Row, reads: Callable[[rows.Row], object]) -> int:
    try:
        reads(row)
        connection.execute(put, row)
    except (apsw.ConstraintError, apsw.MismatchError, *_UNREADABLE):
        return 0
    return connection.changes()
