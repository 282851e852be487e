"""The way through an SSH bastion into a network that this host does not reach (RFC 4254, 7.2: direct-tcpip).

A run that has a ``Passage`` connects through it without knowing: ``net.dial`` gives a socket either way.  It is one
end of a pair; what is written there comes out at the far side of the bastion, where names are resolved as well.  TLS,
HTTP clients and whatever else takes a socket work as ever.

A bastion that does not carry us is our own trouble, ``no_tunnel``: it says nothing about the target.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, cast

import asyncssh

from sentinel.domain.failure import Failure
from sentinel.sdk.protocol import ProbeFailed, Run
from sentinel.sdk.ssh import ALERT_SECONDS, Connections, Door, connections
from sentinel.sdk.ssh_handshake import Connected
from sentinel.sdk.ssh_login import Login

STAGE: Final = "tunnel"

# What OpenSSH says with SSH_OPEN_CONNECT_FAILED: the far side's strerror(3) or gai_strerror(3).
_SAID = (
    ("refused", "refused"),
    ("timed out", "timed_out"),
    ("no route", "unreachable"),
    ("unreachable", "unreachable"),
    ("name or service not known", "name_not_found"),
    ("no address associated", "name_not_found"),
    ("name resolution", "resolver_failed"),
)


WINDOW: Final = 262_144
"""Bytes that the bastion may send ahead of who reads them, for one connection."""


class Passage:
    """One run's way through a bastion."""

    def __init__(self, pool: Connections, login: Login) -> None:
        self._pool = pool
        self._login = login
        self._stack = AsyncExitStack()
        self._door: Door | None = None
        self._used: Connected | None = None
        self._asked_at = 0.0

    @property
    def beyond(self) -> Login:
        """The bastion's login."""
        return self._login

    async def dial(self, run: Run, host: str, port: int) -> socket.socket:
        """A connected, non-blocking socket to a name or address of the far side: stages ``tunnel`` and ``connect``.

        Raises:
            ProbeFailed: ``no_tunnel`` at ``tunnel``; of the stage ``connect`` where the bastion reports how its own
                attempt to connect ended.
        """
        session = await self._opened(run, host, port)
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            theirs.setblocking(False)
            await asyncio.get_running_loop().create_connection(lambda: _Plug(session), sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            session.end()
            raise
        return theirs

    def explain(self, failure: Failure | None) -> Failure | None:
        """What a failure of this run really was: the bastion's trouble is none of the target's."""
        if failure is None or failure.local:
            return failure
        if failure.stage == STAGE:
            return Failure(STAGE, "no_tunnel", f"{failure.code} {failure.detail}".strip())
        if self._used is None:
            return failure
        if self._used.connection.is_closed():
            return Failure(STAGE, "no_tunnel", f"the connection to {self._login.host} was lost")
        heard_at = self._used.wire.heard_at
        silent = time.monotonic() - heard_at
        if failure.code == "timed_out" and heard_at < self._asked_at and silent > 1.5 * ALERT_SECONDS:
            # It is asked after one second: had it been there, it would have said so.
            return Failure(STAGE, "no_tunnel", f"{self._login.host} has been silent for {silent:.1f} s")
        return failure

    async def close(self) -> None:
        """Leave the bastion's connection to others."""
        await self._stack.aclose()

    async def _opened(self, run: Run, host: str, port: int) -> _Session:
        """The far end of a channel to the target; a connection that turns out to be dead is replaced once."""
        reused = self._door is None and self._pool.open_to(self._login)
        while True:
            connected = await self._bastion(run)
            if connected is not self._used:
                self._used = connected
                connected.hold()
                self._stack.callback(connected.release)
            self._asked_at = time.monotonic()
            with run.stage("connect"):
                try:
                    return await _channel(connected, host, port)
                except asyncssh.Error as error:
                    if not (reused and connected.connection.is_closed()):
                        raise ProbeFailed(_refusal(error)) from error
            reused = False

    async def _bastion(self, run: Run) -> Connected:
        # Its stages are its own: a login that takes a second is no login of the target's.
        inner = Run(run.deadline)
        with run.stage(STAGE):
            try:
                if self._door is None:
                    self._door = await self._stack.enter_async_context(self._pool.through(inner, self._login))
                return await self._door.connected(inner)
            except ProbeFailed as failed:
                why = failed.failure
                if why.local:
                    raise
                detail = f"{self._login.host} {why.stage}: {why.code} {why.detail}".rstrip()
                raise ProbeFailed(Failure(STAGE, "no_tunnel", detail[:500])) from failed


_opening: set[asyncio.Task[_Session]] = set()


async def _channel(connected: Connected, host: str, port: int) -> _Session:
    """Open a channel.  Where nobody waits for it any more, what the bastion opens later is closed at once."""
    # asyncssh forgets a channel whose opening is cancelled: the bastion would keep its connection for ever.
    task = asyncio.get_running_loop().create_task(_open(connected, host, port), name="tunnel")
    _opening.add(task)
    task.add_done_callback(_opening.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_abandon)
        raise


async def _open(connected: Connected, host: str, port: int) -> _Session:
    opened = connected.connection.create_connection(_Session, host, port, window=WINDOW)
    _, session = await opened
    return cast("_Session", session)


def _abandon(task: asyncio.Task[_Session]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().end()


@asynccontextmanager
async def passage(run: Run, login: Login) -> AsyncIterator[Passage]:
    """Send the run's connections through a bastion for as long as the block lasts."""
    async with connections() as pool:
        way = run.tunnel = Passage(pool, login)
        try:
            yield way
        finally:
            await way.close()


def _refusal(error: asyncssh.Error) -> Failure:
    """Why the bastion opened no channel: its own reasons are ours, the target's are the target's."""
    said = str(error)[:400]
    if isinstance(error, asyncssh.ChannelOpenError) and error.code == asyncssh.OPEN_CONNECT_FAILED:
        for words, code in _SAID:
            if words in said.lower():
                return Failure("connect", code, said)
        if "connection closed" not in said.lower() and "connection lost" not in said.lower():
            return Failure("connect", "unreachable", said)
    return Failure(STAGE, "no_tunnel", f"the bastion opens no way: {said}")


class _Session(asyncssh.SSHTCPSession[bytes]):
    """The far end of a channel; hands on to the plug at the near end."""

    def __init__(self) -> None:
        self.channel: asyncssh.SSHTCPChannel[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._ended = False

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The channel is open."""
        self.channel = chan

    def plugged(self, transport: asyncio.Transport) -> None:
        """There is somebody to hand on to."""
        self._transport = transport
        if self._early:
            transport.write(bytes(self._early))
            self._early.clear()
        if self._ended:
            transport.close()

    def end(self) -> None:
        """Nobody wants it any more."""
        if self.channel is not None:
            self.channel.abort()

    def data_received(self, data: bytes, datatype: Any) -> None:
        """From the target."""
        del datatype
        if self._transport is None:
            self._early += data  # no more than the window
        else:
            self._transport.write(data)

    def eof_received(self) -> bool:
        """The target says no more; what it said before is still delivered."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone."""
        del exc
        self._end()

    def pause_writing(self) -> None:
        """The target reads slowly."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The target reads again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()


class _Plug(asyncio.Protocol):
    """The near end: what a probe writes into its socket goes into the channel."""

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._channel = cast("asyncssh.SSHTCPChannel[bytes]", session.channel)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._session.plugged(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """From the probe."""
        if not self._channel.is_closing():
            self._channel.write(data)

    def pause_writing(self) -> None:
        """The probe reads slowly."""
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        """The probe reads again."""
        self._channel.resume_reading()

    def eof_received(self) -> bool:
        """The probe has hung up: none of them closes one direction alone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The probe has hung up, or the target has."""
        del exc
        self._session.end()
