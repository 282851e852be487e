"""Files in a directory, over SFTP or on this host: are they there, recent, whole and in order?

The recordings of conferences must be: a number that is missing, an hour without a file, an empty one, a disk that is
nearly full are seen here before somebody asks for the recording.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncssh

from sentinel.domain.target import Target
from sentinel.protocols.files.listing import File, Hanging, Improper, Local, Remote, Space, TooMany, Wanted
from sentinel.protocols.files.options import FilesOptions
from sentinel.protocols.files.order import order_of
from sentinel.sdk.protocol import Protocol, Run, Value
from sentinel.sdk.ssh import Connections, connections

VALUES = (
    Value("files", "1", "Files that count."),
    Value("total_bytes", "B", "Size of all of them."),
    Value("newest_age_seconds", "s", "Since the newest of them was changed."),
    Value("oldest_age_seconds", "s", "Since the oldest of them was changed."),
    Value("newest_bytes", "B", "Size of the newest."),
    Value("newest_growth_bytes", "B", "What the newest has grown by since the last run; all of it where it is new."),
    Value("smallest_bytes", "B", "Size of the smallest that is whole."),
    Value("empty_files", "1", "Files that are whole and empty."),
    Value("missing_numbers", "1", "Numbers that no file has, between the first and the last of each series."),
    Value("largest_gap_seconds", "s", "Longest time between two neighbours of a series, by their names."),
    Value("misnamed_files", "1", "Files whose names hold no number or no time that can be read."),
    Value("free_bytes", "B", "Free space of the file system, for ordinary users."),
    Value("free_ratio", "", "Share of the file system that is free."),
)

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads directories: the pool of connections, and the threads of this host."""

    pool: Connections
    local: Local


@asynccontextmanager
async def readers() -> AsyncIterator[Readers]:
    """The service of the protocol."""
    async with connections() as pool:
        yield Readers(pool, Local())


async def probe(target: Target, options: FilesOptions, run: Run) -> None:
    """List, then measure what was listed."""
    wanted = Wanted(options.path, options.depth, options.max_entries, options.counts, options.free_space)
    service: Readers = run.service
    try:
        if options.transport == "local":
            with run.stage("query"):
                files, space = await _local(service.local, wanted, run)
        else:
            files, space = await _remote(service.pool, target, options, wanted, run)
    except TooMany:
        run.fail("too_large", f"more than {options.max_entries} entries")
    except Improper as error:
        run.fail("protocol_error", f"a file is called {error}")
    except Hanging:
        run.fail("overloaded", "file systems of this host do not answer")
    _measure(files, options, run)
    if space is not None:
        run.values["free_bytes"] = float(space.free)
        run.values["free_ratio"] = space.free / space.total if space.total else 0.0


async def _local(local: Local, wanted: Wanted, run: Run) -> tuple[list[File], Space | None]:
    try:
        return await local.look(wanted)
    except (FileNotFoundError, NotADirectoryError) as error:
        run.fail("not_found", error.strerror or "")
    except PermissionError as error:
        run.fail("no_privilege", error.strerror or "")
    except OSError as error:  # a disk that breaks, a share that has gone
        run.fail("protocol_error", error.strerror or "")


async def _remote(
    pool: Connections, target: Target, options: FilesOptions, wanted: Wanted, run: Run
) -> tuple[list[File], Space | None]:
    async def start(connection: asyncssh.SSHClientConnection) -> Remote:
        return Remote(await connection.start_sftp_client())

    async with pool.channel(run, options.at(target.address), start) as remote:
        with run.stage("query"):
            try:
                return await remote.look(wanted)
            except asyncssh.SFTPError as error:
                if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
                    raise ConnectionResetError(str(error)) from error
                run.fail(_REFUSED.get(type(error), "protocol_error"), str(error)[:300])


_REFUSED: dict[type[asyncssh.SFTPError], str] = {
    asyncssh.SFTPNoSuchFile: "not_found",
    asyncssh.SFTPNoSuchPath: "not_found",
    asyncssh.SFTPNotADirectory: "not_found",
    asyncssh.SFTPPermissionDenied: "forbidden",
    asyncssh.SFTPOpUnsupported: "unsupported",
}


def _measure(files: Sequence[File], options: FilesOptions, run: Run) -> None:
    now = time.time()  # noqa: TID251 - a file's time is wall time, on whatever host
    values = run.values
    values["files"] = float(len(files))
    values["total_bytes"] = float(sum(file.size for file in files))
    whole = [file for file in files if now - file.changed_at >= options.settled_after]
    values["empty_files"] = float(sum(not file.size for file in whole))
    if whole:
        values["smallest_bytes"] = float(min(file.size for file in whole))
    if files:
        newest = max(files, key=lambda file: file.changed_at)
        values["newest_age_seconds"] = now - newest.changed_at
        values["oldest_age_seconds"] = now - min(file.changed_at for file in files)
        values["newest_bytes"] = float(newest.size)
        run.facts["newest"] = newest.name[:_SHOWN]
        before = run.memory.get("newest")
        if before is not None:
            values["newest_growth_bytes"] = float(newest.size - (before[1] if before[0] == newest.name else 0))
        run.memory["newest"] = (newest.name, newest.size)
    _put_in_order(files, options, run)


def _put_in_order(files: Sequence[File], options: FilesOptions, run: Run) -> None:
    order = order_of(files, options)
    if options.number is not None:
        run.values["missing_numbers"] = float(order.missing)
    if options.time is not None and order.gap is not None:
        run.values["largest_gap_seconds"] = order.gap
    if options.number is not None or options.time is not None:
        run.values["misnamed_files"] = float(order.misnamed)
    shown = (("missing", order.example), ("gap_after", order.before), ("misnamed", order.first_misnamed))
    run.facts.update((name, text[:_SHOWN]) for name, text in shown if text)


PROTOCOL = Protocol("files", FilesOptions, probe, values=VALUES, service=readers)
