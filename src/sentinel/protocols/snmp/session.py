"""One conversation with one SNMP agent, on a UDP socket of its own."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sentinel.protocols.snmp.answers import (
    NOT_IN_TIME_WINDOW,
    UNKNOWN_ENGINE,
    AgentError,
    RenewError,
    TooLargeError,
    judge,
)
from sentinel.protocols.snmp.codec import NOT_OURS, Codec, GetIter, Tube
from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.datagram import LARGEST, Key, MalformedError, Raw, Reply, read_v2c, read_v3, request_number
from sentinel.protocols.snmp.question import Question, question

STALE_SECONDS = 120.0
"""An agent refuses a message whose time is 150 s off (RFC 3414 section 2.2.3); the codec's clock stands still."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Requests sent before giving up, and seconds between them; the last waits until the runner's deadline."""

    attempts: int = 2
    resend_after: float = 1.0


class Session:
    """One UDP socket, connected to one agent, and its codec; one request at a time.

    Two descriptors; one where v2c is never asked for a table, which needs no codec.

    Connected, so that an ICMP "port unreachable" arrives and datagrams from elsewhere do not.  ``fit`` turns false
    where the session must not be used again.
    """

    def __init__(self, address: str, port: int, credentials: Credentials, tube: Tube) -> None:
        """Open the socket; sends nothing.

        Raises:
            OSError: no descriptor, no route.
        """
        self.fit = True
        self.key = (address, port, credentials.fingerprint)
        self._credentials = credentials
        self._community = credentials.community.encode()
        self._tube = tube
        self._key: Key | None = None
        self._heard = 0.0
        self._armed: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect((address, port))
            self._made: Codec | None = Codec(credentials, tube) if credentials.version == "v3" else None
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Give the descriptors back; the codec's goes with the last reference to it."""
        self.fit = False
        self._disarm()
        self._socket.close()
        self._made = None

    @property
    def _codec(self) -> Codec:
        if self._made is None:
            self._made = Codec(self._credentials, self._tube)
        return self._made

    @property
    def needs_login(self) -> bool:
        """Whether ``login`` must come before the next request: v3, when new or idle for two minutes."""
        return self._credentials.version == "v3" and time.monotonic() - self._heard > STALE_SECONDS

    async def login(self, patience: Patience) -> None:
        """Learn the agent's engine id, boots and time (RFC 3414 section 4) and prove who we are.

        Raises:
            AgentError: ``unauthorized``; ``protocol_error`` where the agent has no sound engine id.
            OSError: ``ECONNREFUSED`` where nobody listens.
        """
        for _ in range(2):
            try:
                await self._login(patience)
            except RenewError:
                continue
            self._heard = time.monotonic()
            return
        self.fit = False
        raise AgentError("protocol_error", "the agent changes its engine id from one answer to the next")

    async def _login(self, patience: Patience) -> None:
        who = self._credentials
        if self._codec.gufo.get_engine_id():
            if who.authentication:
                await self._attempts(self._refresh, patience)
        else:
            await self._attempts(self._refresh, patience)
            engine = self._codec.gufo.get_engine_id()
            if not 5 <= len(engine) <= 32:  # RFC 3411, SnmpEngineID
                self.fit = False
                raise AgentError("protocol_error", "the agent tells no engine id")
            self._key = who.key(engine)
            self._use_keys(privacy=False)
            if who.authentication:
                await self._attempts(self._refresh, patience)
            if who.privacy:
                self._use_keys(privacy=True)
                await self._prove_privacy(patience)

    def _forget(self) -> None:
        self._made = Codec(self._credentials, self._tube)
        self._key, self._heard = None, 0.0

    async def _prove_privacy(self, patience: Patience) -> None:
        """An agent drops what it can't decrypt: silence here, from one that has just answered, is a wrong key.

        Raises:
            AgentError: ``unauthorized``, after it has answered once more to what is signed and not encrypted.
        """
        for _ in range(patience.attempts):
            try:
                return await self._refresh(min(patience.resend_after, 0.5))
            except TimeoutError:
                continue
        self._use_keys(privacy=False)
        await self._attempts(self._refresh, patience)
        raise AgentError(
            "unauthorized", "the agent does not answer what is encrypted: wrong privacy password or cipher"
        )

    def _use_keys(self, *, privacy: bool) -> None:
        user = self._credentials.usm_user(privacy=privacy)
        self._codec.gufo.set_keys(
            user.name, user.get_auth_alg(), user.get_auth_key(), user.get_priv_alg(), user.get_priv_key()
        )

    async def get(self, oids: Sequence[str], patience: Patience) -> dict[str, Raw]:
        """The values that the agent has; an OID that it does not have is missing from the result.

        Raises:
            AgentError: see ``answers.judge``.
            OSError: ``ECONNREFUSED`` where nobody listens.
        """
        if self._credentials.version == "v2c":
            return await self._get_v2c(question(self._community, tuple(oids)), patience)
        asked = list(oids)

        async def ask(within: float | None) -> dict[str, Raw]:
            gufo = self._codec.gufo
            found: dict[str, Raw] = await self._exchange(lambda: gufo.send_get_many(asked), gufo.recv_get_many, within)
            return found

        values: dict[str, Raw] = await self._renewing(ask, patience)
        return values

    async def _get_v2c(self, asked: Question, patience: Patience) -> dict[str, Raw]:
        """The values, without the decoder; attempts as in ``_attempts``."""
        loop = asyncio.get_running_loop()
        for attempt in range(patience.attempts, 0, -1):
            number, request = asked.datagram()
            timer = loop.call_later(patience.resend_after, self._give_up) if attempt > 1 else None
            try:
                self._send(loop, request)
                while True:
                    await self._readable(loop)
                    data = self._datagram()
                    try:
                        reply, values = asked.read(data) if data else (None, {})
                    except MalformedError as error:
                        raise AgentError("protocol_error", str(error)) from error
                    if reply is not None and reply.number == number:
                        judge(reply)
                        return values
            except TimeoutError:
                if attempt == 1:
                    raise
            finally:
                if timer is not None:
                    timer.cancel()
        raise AssertionError  # the last attempt ends with a value or an exception

    async def bulk(self, cursor: GetIter, patience: Patience) -> tuple[list[tuple[str, Raw]], bool]:
        """The next rows under the cursor's OID, and whether there may be more after them.

        Raises:
            AgentError: see ``answers.judge``.
            OSError: ``ECONNREFUSED`` where nobody listens.
        """

        async def ask(within: float | None) -> list[tuple[str, Raw] | None] | None:
            gufo = self._codec.gufo
            rows: list[tuple[str, Raw] | None] | None = await self._exchange(
                lambda: gufo.send_get_bulk(cursor), lambda: gufo.recv_get_bulk(cursor), within
            )
            return rows

        rows = await self._renewing(ask, patience)
        if not rows:
            return [], False
        # None is the codec's mark that the answer went past the OID.
        return [row for row in rows if row is not None], rows[-1] is not None

    async def _renewing(self, ask: Callable[[float | None], Any], patience: Patience) -> Any:
        try:
            try:
                return await self._attempts(ask, patience)
            except RenewError:
                await self.login(patience)
            return await self._attempts(ask, patience)
        except RenewError:
            self.fit = False
            raise AgentError("protocol_error", "the agent refuses the time or engine id that it told itself") from None

    async def _attempts(self, ask: Callable[[float | None], Any], patience: Patience) -> Any:
        for _ in range(patience.attempts - 1):
            try:
                return await ask(patience.resend_after)
            except TimeoutError:
                continue
        return await ask(None)

    async def _refresh(self, within: float | None) -> None:
        gufo = self._codec.gufo
        await self._exchange(gufo.send_refresh, gufo.recv_refresh, within, login=True)

    async def _exchange(
        self, send: Callable[[], None], receive: Callable[[], T], within: float | None, *, login: bool = False
    ) -> T:
        """Send, and wait for the answer to it; what else comes meanwhile is dropped.

        Raises:
            TimeoutError: no answer came ``within`` so many seconds, where it is not None.
        """
        whole = False
        loop = asyncio.get_running_loop()
        timer = None if within is None else loop.call_later(within, self._give_up)
        try:
            request = self._codec.encode(send)
            number = request_number(request)
            self._send(loop, request)
            while True:
                await self._readable(loop)
                reply, data = self._next()
                if reply is None or reply.number != number:
                    continue
                if reply.report == UNKNOWN_ENGINE and self._codec.gufo.get_engine_id():
                    self._forget()  # the device was replaced, or reset; the decoder is deaf to its new engine id
                    raise RenewError
                answer = self._codec.decode(data, receive)
                if answer is NOT_OURS:
                    continue
                whole = True
                # Before there is a key, a report of whatever kind brings the engine id; with one, its boots and time.
                asked_for = login and (self._key is None or reply.report == NOT_IN_TIME_WINDOW or not reply.report)
                if not asked_for:
                    judge(reply)
                self._heard = time.monotonic()
                return answer  # type: ignore[return-value]  # not the sentinel, so receive's own
        finally:
            if timer is not None:
                timer.cancel()
            if not whole and self._credentials.version == "v3":
                self.fit = False

    def _send(self, loop: asyncio.AbstractEventLoop, request: bytes) -> None:
        self._arm(loop)
        with suppress(BlockingIOError):  # no room in the send buffer: as good as lost on the way, and sent again
            self._socket.send(request)

    def _drain(self) -> None:
        """Throw away what came after the last request was given up: late answers, and an old ICMP error."""
        for _ in range(64):  # an agent that floods us ends here, and the request ids keep its answers apart
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop watch the socket: it goes on watching between requests, which saves two system calls each."""
        if self._armed is None:
            self._drain()
            loop.add_reader(self._socket, self._arrived)
            self._armed = loop

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.remove_reader(self._socket)
            self._armed = None

    def _arrived(self) -> None:
        if self._waiter is None:
            self._disarm()  # nobody asked: what came is thrown away before the next request
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _give_up(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError("no answer"))

    async def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _next(self) -> tuple[Reply | None, bytes]:
        """The next datagram and what it says of itself; None where it is none of ours."""
        data = self._datagram()
        if not data:
            return None, data
        try:
            v3 = self._credentials.version == "v3"
            return (read_v3(data, self._key) if v3 else read_v2c(data, self._community)), data
        except MalformedError as error:
            raise AgentError("protocol_error", str(error)) from error

    def _datagram(self) -> bytes:
        """The next datagram; empty where there is none."""
        try:
            data = self._socket.recv(LARGEST + 1)
        except BlockingIOError:
            return b""
        if len(data) > LARGEST:
            raise TooLargeError(f"an answer of more than {LARGEST} bytes")
        return data
