"""Opening the database: one daemon at a time, checked before it is trusted, set aside and rebuilt where broken."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
import structlog

from sentinel.storage import rows, schema
from sentinel.storage.schema import StoreRefused

log = structlog.get_logger(__name__)

BROKEN: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
"""What SQLite raises where the file is not what it wrote."""

_SIDE_FILES = ("", "-wal", "-shm")
# Parents before children; what is only for charts (roll-ups) stays in the file that was set aside.
_SALVAGED = ("incidents", "transitions", "notices", "statuses", "retrievals", "channel_states", "marks")


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
        require_integrity(connection)
        for name in schema.migrate(connection, now):
            log.info("store_migrated", step=name)
    except BaseException as error:
        connection.close()
        if isinstance(error, apsw.Error) and not isinstance(error, BROKEN):
            raise StoreRefused(f"cannot use {path}: {error}") from error
        raise
    return connection


def require_integrity(connection: apsw.Connection) -> None:
    """Read the whole file and check it.

    Raises:
        apsw.CorruptError: it is broken.
    """
    started = time.monotonic()
    problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    if problems != ["ok"]:
        raise apsw.CorruptError("; ".join(problems)[:500])
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise apsw.CorruptError("a transition belongs to no incident")
    log.debug("store_checked", seconds=round(time.monotonic() - started, 3))


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
        for table in _SALVAGED:
            saved[table] = sum(_copy(source, connection, table, order) for order in ("ASC", "DESC"))
    finally:
        source.close()
    return saved


def _copy(source: apsw.Connection, connection: apsw.Connection, table: str, order: str) -> int:
    # From both ends: a broken page in the middle hides neither the oldest rows nor the newest.
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    wanted = ", ".join(columns)
    key = columns[0]
    put = rows.insert(table, wanted).replace("INSERT", "INSERT OR IGNORE", 1)
    count = 0
    with connection:
        try:
            for row in source.execute(f"SELECT {wanted} FROM {table} ORDER BY {key} {order}"):  # noqa: S608 - our own
                try:
                    connection.execute(put, row)
                except apsw.ConstraintError:
                    continue
                count += connection.changes()
        except (apsw.Error, UnicodeDecodeError):
            return count
    return count
