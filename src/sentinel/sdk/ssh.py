"""SSH connections that are shared: one a host and user, for whoever wants a command, files, or a way through.

    PROTOCOL = Protocol("ssh", SshOptions, probe, service=connections)

    pool: Connections = run.service
    async with pool.channel(run, options.at(target.address), lambda c: c.create_process("uptime")) as process:
        ...

A login costs a server more than what it is asked afterwards, and many devices have few places for them.  Whatever
protocol asks, the loop has one pool; it is closed when the last of its services ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol, TypeVar

import asyncssh

from sentinel.domain.failure import Failure
from sentinel.sdk.protocol import ProbeFailed, Run
from sentinel.sdk.ssh_handshake import QUIET_PINGS, QUIET_SECONDS, Connected, code_of, shake_hands
from sentinel.sdk.ssh_login import Login

IDLE_SECONDS: Final = 300.0
"""A connection that nobody used for so long is closed."""

CHANNELS: Final = 4
"""Sessions at once on one connection; OpenSSH allows 10 (MaxSessions), a conference codec fewer."""

WAYS: Final = 64
"""Runs at once that go through one bastion."""

MAX_IDLE: Final = 256
"""Connections that nobody uses and that are kept, at most."""

ALERT_SECONDS: Final = 1.0
"""While a connection is used: after so long a silence the server is asked whether it is still there; three, and it is
dead.  A connection that a firewall forgot is found in time to make another."""


class Closable(Protocol):
    """What is opened on a connection: a process, an SFTP client."""

    def close(self) -> None:
        """End it."""


Key = tuple[Login, Hashable]
"""Who logs in where, and the bastion beyond which that is."""

Opened = TypeVar("Opened", bound=Closable)
Open = Callable[[asyncssh.SSHClientConnection], Awaitable[Opened]]

_ROOM = 0.05  # of the time that is left: kept to say that there was no place free


class Door:
    """The connection to one login: made when it is needed, dropped when it is dead, idle or of doubtful state."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self._login, _ = key
        self.now: Connected | None = None
        self.users = 0
        self.places = asyncio.Semaphore(CHANNELS)
        self.ways = asyncio.Semaphore(WAYS)
        self.idle: asyncio.TimerHandle | None = None
        self._making = asyncio.Lock()
        self._failed: tuple[float, Failure] | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a connection that is not known to be dead."""
        return self.now is not None and not self.now.connection.is_closed()

    async def connected(self, run: Run) -> Connected:
        """The connection; a new one where there is none that is alive.

        Raises:
            ProbeFailed: of the stage of the handshake that failed.
        """
        asked = time.monotonic()
        async with self._making:
            if self.now is not None and self.alive:
                return self.now
            if self._failed is not None and self._failed[0] > asked:
                raise ProbeFailed(self._failed[1])  # somebody has just tried: two wrong passwords lock an account
            self.drop()
            try:
                self.now = await shake_hands(run, self._login)
            except ProbeFailed as failed:
                self._failed = (time.monotonic(), failed.failure)
                raise
            return self.now

    def watch(self) -> None:
        """Look closely whether the server is there: somebody waits for it."""
        if self.now is not None and self.alive:
            self.now.connection.set_keepalive(ALERT_SECONDS, QUIET_PINGS)

    def rest(self) -> None:
        """Look now and then: nobody waits."""
        if self.now is not None and self.alive:
            self.now.connection.set_keepalive(QUIET_SECONDS, QUIET_PINGS)

    def drop(self, which: Connected | None = None) -> None:
        """Give the connection up, if it is still the one that is meant: the next who comes has a new one."""
        if self.now is not None and which in (None, self.now):
            self.now.give_up()
            self.now = None


class Connections:
    """The pool: a ``Door`` for each login."""

    def __init__(self) -> None:
        self._doors: dict[Key, Door] = {}

    @asynccontextmanager
    async def channel(self, run: Run, login: Login, open_: Open[Opened]) -> AsyncIterator[Opened]:
        """What ``open_`` opens on the connection to ``login``: a process, an SFTP client.  Closed with the block.

        Where no connection is open yet its handshake's stages are timed; opening is the stage ``channel``.  A
        connection that was open already and turns out to be dead is replaced once, and ``open_`` is called again: it
        must open something that may be opened twice.  What asyncssh raises in the block is a failure of the stage that
        it is raised in, and ends the connection; so does a cancellation, because nobody knows what is under way then.

        Raises:
            ProbeFailed: of the stage that failed; ``overloaded`` where all ``CHANNELS`` were taken until the deadline.
        """
        async with self._inside(run, login) as door:
            with _told(run):
                connected, opened = await self._open(run, door, open_)
            run.facts["server"] = connected.version[:200]
            run.facts["host_key"] = connected.shown
            try:
                with _told(run):
                    yield opened
            except ProbeFailed as failed:
                if failed.__cause__ is not None:  # the connection's failure, not the probe's own words
                    door.drop(connected)
                raise
            except BaseException:
                door.drop(connected)
                raise
            finally:
                opened.close()
                connected.release()

    @asynccontextmanager
    async def through(self, run: Run, login: Login) -> AsyncIterator[Door]:
        """The door to a login for as long as the block lasts, for a tunnel: it has ``WAYS`` places of its own."""
        async with self._inside(run, login, tunnel=True) as door:
            await door.connected(run)
            door.watch()
            yield door

    def open_to(self, login: Login, beyond: Hashable = None) -> bool:
        """Whether there is a connection already, ``beyond`` a bastion or without one."""
        door = self._doors.get((login, beyond))
        return door is not None and door.alive

    def close(self) -> None:
        """End all connections."""
        for door in self._doors.values():
            if door.idle is not None:
                door.idle.cancel()
            door.drop()
        self._doors.clear()

    async def _open(self, run: Run, door: Door, open_: Open[Opened]) -> tuple[Connected, Opened]:
        used = door.now if door.alive else None
        if used is not None:
            try:
                return used, await _opened(run, door, used, open_)
            except (asyncssh.Error, ProbeFailed):
                if door.alive and door.now is used:
                    raise  # it is refused, not dead
        connected = await door.connected(run)
        return connected, await _opened(run, door, connected, open_)

    @asynccontextmanager
    async def _inside(self, run: Run, login: Login, *, tunnel: bool = False) -> AsyncIterator[Door]:
        door = self._enter((login, None if run.tunnel is None else run.tunnel.beyond))
        places = door.ways if tunnel else door.places
        try:
            await _place(run, places)
            try:
                yield door
            finally:
                places.release()
        finally:
            self._leave(door)

    def _enter(self, key: Key) -> Door:
        door = self._doors.get(key)
        if door is None:
            door = self._doors[key] = Door(key)
        if door.idle is not None:
            door.idle.cancel()
            door.idle = None
        door.users += 1
        return door

    def _leave(self, door: Door) -> None:
        door.users -= 1
        if door.users:
            return
        if not door.alive:
            self._forget(door)
            return
        door.rest()
        door.idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._forget, door)
        idle = [each for each in self._doors.values() if each.idle is not None]
        if len(idle) > MAX_IDLE:  # in the order in which they were made: the oldest goes
            self._forget(idle[0])

    def _forget(self, door: Door) -> None:
        if door.idle is not None:
            door.idle.cancel()
        door.drop()
        if self._doors.get(door.key) is door:
            del self._doors[door.key]


# The pool of the loop that runs, and how many hold it.
_shared: dict[asyncio.AbstractEventLoop, tuple[Connections, int]] = {}


@asynccontextmanager
async def connections() -> AsyncIterator[Connections]:
    """The loop's pool, for a protocol's ``service``; the last one who leaves closes it."""
    loop = asyncio.get_running_loop()
    pool, holders = _shared.get(loop) or (Connections(), 0)
    _shared[loop] = pool, holders + 1
    try:
        yield pool
    finally:
        pool, holders = _shared[loop]
        if holders > 1:
            _shared[loop] = pool, holders - 1
        else:
            del _shared[loop]
            pool.close()


async def _opened(run: Run, door: Door, connected: Connected, open_: Open[Opened]) -> Opened:
    """What is opened on a connection, which is held then."""
    connected.hold()
    door.watch()
    try:
        with run.stage("channel"):
            return await open_(connected.connection)
    except BaseException as error:
        connected.release()
        if not isinstance(error, asyncssh.ChannelOpenError):
            door.drop(connected)  # a cancelled opening too: asyncssh would not close what is opened later
        raise


async def _place(run: Run, places: asyncio.Semaphore) -> None:
    """Take one of the places on a connection."""
    if not places.locked():
        await places.acquire()
        return
    try:
        async with asyncio.timeout(run.left * (1 - _ROOM)):
            await places.acquire()
    except TimeoutError:
        run.fail("overloaded", "too many sessions are under way on the connection", stage="schedule")


@contextmanager
def _told(run: Run) -> Iterator[None]:
    """What asyncssh raises is a failure of the stage that it was raised in."""
    try:
        yield
    except asyncssh.Error as error:
        raise ProbeFailed(Failure(run.current, code_of(error), str(error)[:500])) from error
