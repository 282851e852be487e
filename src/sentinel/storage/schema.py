"""The database's schema: numbered steps, each applied once, each in a transaction of its own."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import apsw

from sentinel.engine.ports import StoreFailed

WAL_RESET_BUG: Final = ((3, 7, 0), (3, 51, 2))
"""SQLite's versions whose WAL mode may lose committed data where two connections are open; fixed in 3.51.3."""

_OF_THE_STEPS = """
CREATE TABLE IF NOT EXISTS schema_versions (
    version    INTEGER NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_at REAL NOT NULL
) STRICT
"""


class StoreRefused(StoreFailed):
    """The store cannot be opened at all; the message tells an operator why, and what to do."""


def require_sound_library(version: str | None = None) -> None:
    """Refuse a SQLite with the WAL-reset bug.

    Raises:
        StoreRefused: for the versions of ``WAL_RESET_BUG``.
    """
    version = version or apsw.sqlite_lib_version()
    number = tuple(int(part) for part in version.split(".")[:3])
    if WAL_RESET_BUG[0] <= number <= WAL_RESET_BUG[1]:
        raise StoreRefused(
            f"SQLite {version} may lose committed data in WAL mode (fixed in 3.51.3): install apsw 3.51.3 or newer "
            "from its wheel, which brings its own SQLite"
        )


def steps() -> list[tuple[int, str, str]]:
    """Every step as (version, file name, SQL), in order."""
    found = sorted(
        (entry.name, entry.read_text("utf-8"))
        for entry in files("sentinel.storage").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    )
    return [(int(name.partition("_")[0]), name, sql) for name, sql in found]


def migrate(connection: apsw.Connection, now: float) -> list[str]:
    """Bring a database up to date; the names of the steps that were applied.

    Raises:
        StoreRefused: the database was written by a newer Sentinel.
    """
    known = steps()
    connection.execute(_OF_THE_STEPS)
    current = int(connection.execute("SELECT coalesce(max(version), 0) FROM schema_versions").get)
    if current > known[-1][0]:
        raise StoreRefused(
            f"the database has schema {current} and this Sentinel knows up to {known[-1][0]}: it was written by a "
            "newer one. Install that version again, or move the file away to begin anew"
        )
    applied = []
    for version, name, sql in known:
        if version > current:
            with connection:
                connection.execute(sql)
                connection.execute("INSERT INTO schema_versions VALUES (?, ?, ?)", (version, name, now))
            applied.append(name)
    return applied
