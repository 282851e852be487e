"""What lies in a directory and below it: over SFTP, or on this host in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import asyncssh

READERS: Final = 4
"""Threads that read local directories at once: one on a file system that hangs is not to be had back."""

Result = TypeVar("Result")


class TooMany(Exception):
    """There are more entries than anybody wants to look at."""


class Improper(Exception):
    """The server names a file as none can be named."""


class Hanging(Exception):
    """All readers are taken by file systems that do not answer."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: ``size`` in bytes, ``changed_at`` in UTC epoch seconds, its name without its directory."""

    name: str
    size: int
    changed_at: float


@dataclass(frozen=True, slots=True)
class Space:
    """Of the file system: bytes that it has, and bytes of them that are free for ordinary users."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for: where, how deep, how many entries at most, which names, and whether for free space."""

    path: str
    depth: int
    most: int
    counts: Callable[[str], bool]
    space: bool


class Remote:
    """An SFTP client that is closed as everything else that is opened on a connection."""

    def __init__(self, client: asyncssh.SFTPClient) -> None:
        self.client = client

    def close(self) -> None:
        """End it."""
        self.client.exit()

    async def look(self, wanted: Wanted) -> tuple[list[File], Space | None]:
        """The files that count, and the free space.

        Links are not followed: what they point to lies elsewhere.

        Raises:
            TooMany, Improper: see there.
            asyncssh.SFTPError: the server refuses.
        """
        files: list[File] = []
        seen = 0
        directories = [(wanted.path.encode(), 0)]
        while directories:
            path, level = directories.pop()
            async for entry in self._entries(path):
                name, attributes = _text(entry.filename), entry.attrs
                if name in (".", ".."):
                    continue
                seen += 1
                if seen > wanted.most:
                    raise TooMany
                if "/" in name or "\0" in name:
                    raise Improper(repr(name[:100]))
                if attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
                    if level < wanted.depth:
                        directories.append((path + b"/" + _raw(entry.filename), level + 1))
                elif attributes.type in _FILES and wanted.counts(name):
                    files.append(File(name, attributes.size or 0, float(attributes.mtime or 0)))
        return files, await self._space(wanted.path) if wanted.space else None

    async def _entries(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        # Not scandir(): it waits for the server to close the directory even when it is cancelled, past any deadline.
        # What is left open here ends with the client.
        handler = self.client._handler  # noqa: SLF001 - see above
        directory = await handler.opendir(path)
        at_end = False
        while not at_end:
            try:
                names, at_end = await handler.readdir(directory)
            except asyncssh.SFTPEOFError:
                break
            for entry in names:
                yield entry
        await handler.close(directory)

    async def _space(self, path: str) -> Space:
        found = await self.client.statvfs(path)
        return Space(found.blocks * found.frsize, found.bavail * found.frsize)


_FILES = frozenset({asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN})  # some servers tell no types


def _raw(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


class Local:
    """Reads directories of this host."""

    def __init__(self) -> None:
        self._busy = 0

    async def look(self, wanted: Wanted) -> tuple[list[File], Space | None]:
        """The files that count, and the free space; a run that is cancelled leaves its thread to itself.

        Raises:
            TooMany, Hanging: see there.
            OSError: the directory cannot be read.
        """
        if self._busy >= READERS:
            raise Hanging
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[list[File], Space | None]] = loop.create_future()
        given_up = threading.Event()

        def tell(result: tuple[list[File], Space | None] | None, error: BaseException | None) -> None:
            self._busy -= 1
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            elif result is not None:
                answer.set_result(result)

        def read() -> None:
            result, error = None, None
            try:
                result = _read(wanted, given_up)
            except BaseException as raised:  # noqa: BLE001 - whatever it is, who waits has to hear of it
                error = raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, result, error)

        self._busy += 1
        # Not of a pool: the interpreter waits for a pool's threads at its end, and this one may never come back.
        threading.Thread(target=read, name="files", daemon=True).start()
        try:
            return await answer
        finally:
            given_up.set()


def _read(wanted: Wanted, given_up: threading.Event) -> tuple[list[File], Space | None]:
    files: list[File] = []
    for seen, entry in enumerate(_walk(wanted.path, wanted.depth), 1):
        if seen > wanted.most:
            raise TooMany
        if given_up.is_set():
            break
        if wanted.counts(entry.name):
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # gone since it was listed
                continue
            if stat.S_ISREG(found.st_mode):
                files.append(File(entry.name, found.st_size, found.st_mtime))
    if not wanted.space:
        return files, None
    space = os.statvfs(wanted.path)
    return files, Space(space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize)


def _walk(path: str, depth: int) -> Iterator[os.DirEntry[str]]:
    directories = [(path, 0)]
    while directories:
        path, level = directories.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                yield entry
                if level < depth and entry.is_dir(follow_symlinks=False):
                    directories.append((entry.path, level + 1))
