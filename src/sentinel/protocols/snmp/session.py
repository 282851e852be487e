"""One conversation with one SNMP agent: gufo-snmp's codec on a socket of our own keeping.

gufo's own asyncio session waits with ``asyncio.wait_for``, which on Python 3.11 can swallow the runner's
cancellation (cpython 86296), hands every datagram to a decoder that panics, and tells a closed port as a timeout.
Its sockets do encoding, keys and decoding; the waiting is done here.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    User,
)

# The public session classes hide the two halves of a request, sending and receiving, which we need apart.
from gufo.snmp._fast import GetIter, SnmpV2cClientSocket, SnmpV3ClientSocket
from gufo.snmp.user import KeyType

from sentinel.protocols.snmp.datagram import LARGEST, Key, MalformedError, Reply, read_v2c, read_v3

Raw = str | bytes | int | float | None
"""A decoded value: gufo keeps no SNMP type; OCTET STRING and Opaque are bytes, OBJECT IDENTIFIER and IpAddress str."""

AUTHENTICATION = {
    "md5": Md5Key,
    "sha": Sha1Key,
    "sha224": Sha224Key,
    "sha256": Sha256Key,
    "sha384": Sha384Key,
    "sha512": Sha512Key,
}
PRIVACY = {"des": DesKey, "aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}

STALE_SECONDS = 120.0
"""An agent refuses a message whose time is 150 s off (RFC 3414 section 2.2.3); the codec's clock stands still."""

_REPORTS = {
    1: ("unauthorized", "the agent does not offer this security level (usmStatsUnsupportedSecLevels)"),
    3: ("unauthorized", "the agent does not know the user (usmStatsUnknownUserNames)"),
    5: ("unauthorized", "wrong authentication password or algorithm (usmStatsWrongDigests)"),
    6: ("unauthorized", "wrong privacy password or algorithm (usmStatsDecryptionErrors)"),
}
_NOT_IN_TIME_WINDOW, _UNKNOWN_ENGINE = 2, 4

# RFC 3416 section 3: noAccess and authorizationError; the others are the agent's own trouble.
_FORBIDDEN = frozenset({6, 16})
_TOO_BIG, _NO_SUCH_NAME = 1, 2

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
T = TypeVar("T")


class AgentError(Exception):
    """The agent answered, and the answer is no use.  ``code`` is one of the closed list of failures."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class TooLargeError(AgentError):
    """The answer does not fit: ask for less at once."""

    def __init__(self, detail: str) -> None:
        super().__init__("too_large", detail)


class _RenewError(Exception):
    """The agent's clock or boot count has moved on: learn it again."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to an agent; ``community`` for v2c, the rest for v3.  ``master`` keys are RFC 3414 section 2.6's."""

    version: str
    community: str = field(default="", repr=False)
    user: str = ""
    authentication: str | None = None
    auth_master: bytes = field(default=b"", repr=False)
    privacy: str | None = None
    privacy_master: bytes = field(default=b"", repr=False)


def master_key(algorithm: str, password: str) -> bytes:
    """The key of a password: a digest of a mebibyte of its repetition (RFC 3414 section A.2), about 2 ms."""
    return AUTHENTICATION[algorithm].get_master_key(password.encode())


@dataclass(frozen=True, slots=True)
class Patience:
    """Requests sent before giving up, and seconds between them; the last waits until the runner's deadline."""

    attempts: int = 2
    resend_after: float = 1.0


class Session:
    """One UDP socket, connected to one agent; one request at a time.

    ``fit`` turns false where the session must not be used again.
    """

    def __init__(self, address: str, port: int, credentials: Credentials) -> None:
        """Open the socket; sends nothing.

        Raises:
            OSError: no descriptor, no route.
        """
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self.fit = True
        self._credentials = credentials
        self._community = credentials.community.encode()
        self._key: Key | None = None
        self._heard = 0.0
        self._codec: Any  # the two socket classes share their methods and no base class
        try:
            if credentials.version == "v3":
                self._codec = SnmpV3ClientSocket(where, b"", "", 0, b"", 0, b"", 0, 0, 0, 0)
            else:
                self._codec = SnmpV2cClientSocket(where, credentials.community, 0, 0, 0, 0)
        except OSError as error:
            raise _numbered(error) from error
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # The codec owns the descriptor; this is a second look at it and never closes it.
        self._view = socket.socket(family, socket.SOCK_DGRAM, 0, fileno=self._codec.get_fd())
        self._detach = weakref.finalize(self, self._view.detach)

    def close(self) -> None:
        """Give the descriptor back."""
        self.fit = False
        self._detach()
        self._codec = None

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
        who = self._credentials
        if self._codec.get_engine_id():
            if who.authentication:
                await self._attempts(self._refresh, patience)
        else:
            await self._attempts(self._refresh, patience)
            engine = self._codec.get_engine_id()
            if not 5 <= len(engine) <= 32:  # RFC 3411, SnmpEngineID
                self.fit = False
                raise AgentError("protocol_error", "the agent tells no engine id")
            if who.authentication:
                algorithm = AUTHENTICATION[who.authentication]
                self._key = Key(who.authentication, algorithm.get_localized_key(who.auth_master, engine))
            self._use_keys(privacy=False)
            if who.authentication:
                await self._attempts(self._refresh, patience)
            if who.privacy:
                self._use_keys(privacy=True)
                await self._prove_privacy(patience)
        self._heard = time.monotonic()

    async def _prove_privacy(self, patience: Patience) -> None:
        """An agent drops what it can't decrypt: silence here, from one that has just answered, is a wrong key.

        Raises:
            AgentError: ``unauthorized``, after it has answered once more to what is signed and not encrypted.
        """
        for _ in range(patience.attempts):
            try:
                async with asyncio.timeout(min(patience.resend_after, 0.5)):
                    return await self._refresh()
            except TimeoutError:
                continue
        self._use_keys(privacy=False)
        await self._attempts(self._refresh, patience)
        raise AgentError(
            "unauthorized", "the agent does not answer what is encrypted: wrong privacy password or cipher"
        )

    def _use_keys(self, *, privacy: bool) -> None:
        user = _user(self._credentials, privacy=privacy)
        self._codec.set_keys(
            user.name, user.get_auth_alg(), user.get_auth_key(), user.get_priv_alg(), user.get_priv_key()
        )

    async def get(self, oids: Sequence[str], patience: Patience) -> dict[str, Raw]:
        """The values that the agent has; an OID that it does not have is missing from the result.

        Raises:
            AgentError: see ``_judge``.
            OSError: ``ECONNREFUSED`` where nobody listens.
        """
        asked = list(oids)

        async def ask() -> dict[str, Raw]:
            found: dict[str, Raw] = await self._exchange(
                lambda: self._codec.send_get_many(asked), self._codec.recv_get_many
            )
            return found

        values: dict[str, Raw] = await self._renewing(ask, patience)
        return values

    async def bulk(self, cursor: GetIter, patience: Patience) -> tuple[list[tuple[str, Raw]], bool]:
        """The next rows under the cursor's OID, and whether there may be more after them.

        Raises:
            AgentError: see ``_judge``.
            OSError: ``ECONNREFUSED`` where nobody listens.
        """

        async def ask() -> list[tuple[str, Raw] | None] | None:
            rows: list[tuple[str, Raw] | None] | None = await self._exchange(
                lambda: self._codec.send_get_bulk(cursor), lambda: self._codec.recv_get_bulk(cursor)
            )
            return rows

        rows = await self._renewing(ask, patience)
        if not rows:
            return [], False
        # None is the codec's mark that the answer went past the OID.
        return [row for row in rows if row is not None], rows[-1] is not None

    async def _renewing(self, ask: Callable[[], Any], patience: Patience) -> Any:
        try:
            return await self._attempts(ask, patience)
        except _RenewError:
            await self.login(patience)
        try:
            return await self._attempts(ask, patience)
        except _RenewError:
            self.fit = False
            raise AgentError("protocol_error", "the agent refuses the time that it told itself") from None

    async def _attempts(self, ask: Callable[[], Any], patience: Patience) -> Any:
        for _ in range(patience.attempts - 1):
            try:
                async with asyncio.timeout(patience.resend_after):
                    return await ask()
            except TimeoutError:
                continue
        return await ask()

    async def _refresh(self) -> None:
        await self._exchange(self._codec.send_refresh, self._codec.recv_refresh, login=True)

    async def _exchange(self, send: Callable[[], None], receive: Callable[[], T], *, login: bool = False) -> T:
        """Send, and wait for the answer to it; what else comes meanwhile is dropped."""
        whole = False
        try:
            self._drain()
            try:
                send()
            except OSError as error:
                raise _numbered(error) from error
            while True:
                await self._readable()
                reply = self._next()
                if reply is None:
                    continue
                answer = self._decode(receive)
                if answer is _NOT_OURS:
                    continue
                whole = True
                self._judge(reply, login=login)
                self._heard = time.monotonic()
                return answer  # type: ignore[return-value]  # either the sentinel above or receive's own type
        finally:
            # A v3 agent that was replaced has another engine id, to which this session would stay deaf for ever.
            if not whole and self._credentials.version == "v3":
                self.fit = False

    def _drain(self) -> None:
        """Throw away what came after the last request was given up: late answers, and an old ICMP error."""
        for _ in range(64):  # an agent that floods us ends here, and the request ids keep its answers apart
            try:
                self._view.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        descriptor = self._view.fileno()
        loop.add_reader(descriptor, _wake, waiter)
        try:
            await waiter
        finally:
            loop.remove_reader(descriptor)

    def _next(self) -> Reply | None:
        """Look at the next datagram and leave it in place if it is sound; None where it was none of ours."""
        try:
            data = self._view.recv(LARGEST + 1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        try:
            if len(data) > LARGEST:
                raise TooLargeError(f"an answer of more than {LARGEST} bytes")
            v3 = self._credentials.version == "v3"
            reply = read_v3(data, self._key) if v3 else read_v2c(data, self._community)
        except MalformedError as error:
            self._view.recv(1)
            raise AgentError("protocol_error", str(error)) from error
        except TooLargeError:
            self._view.recv(1)
            raise
        if reply is None:
            self._view.recv(1)
        return reply

    def _decode(self, receive: Callable[[], T]) -> T | object:
        try:
            return receive()
        except BlockingIOError:
            return _NOT_OURS  # the answer to another request
        except (SnmpAuthError, StopAsyncIteration):
            return None  # the end of a table; or a report, or authorizationError: ``_judge`` knows which
        except SnmpError as error:
            raise AgentError("protocol_error", str(error)) from error
        except OSError as error:
            raise _numbered(error) from error
        except (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # pyo3's PanicException: a second datagram that arrived behind the one that was looked at.
            self.fit = False
            raise AgentError("protocol_error", f"the decoder gave up: {error}") from error

    def _judge(self, reply: Reply, *, login: bool) -> None:
        """Raise what a report or an error-status means.

        Raises:
            AgentError: ``unauthorized``, ``forbidden``, ``not_found``, ``too_large`` or ``protocol_error``.
        """
        if reply.report:
            if login and (self._key is None or reply.report == _NOT_IN_TIME_WINDOW):
                return  # the very answer that a login asks for
            if reply.report in {_NOT_IN_TIME_WINDOW, _UNKNOWN_ENGINE}:
                raise _RenewError
            self.fit = False
            raise AgentError(*_REPORTS.get(reply.report, ("protocol_error", "a report that nobody asked for")))
        if reply.error_status == 0 or login:
            return
        where = f"error-status {reply.error_status} at variable {reply.error_index}"
        if reply.error_status == _TOO_BIG:
            raise TooLargeError(where)
        if reply.error_status in _FORBIDDEN:
            raise AgentError("forbidden", where)
        raise AgentError("not_found" if reply.error_status == _NO_SUCH_NAME else "protocol_error", where)


_NOT_OURS = object()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _user(who: Credentials, *, privacy: bool) -> User:
    if who.authentication is None:
        return User(who.user)
    authentication = AUTHENTICATION[who.authentication](who.auth_master, KeyType.Master)
    cipher = PRIVACY[who.privacy](who.privacy_master, KeyType.Master) if who.privacy and privacy else None
    return User(who.user, auth_key=authentication, priv_key=cipher)


def _numbered(error: OSError) -> OSError:
    """Rust's text of a socket error, "... (os error 111)", as the exception that Python would have raised."""
    found = _OS_ERROR.search(str(error))
    return OSError(int(found[1]), str(error)) if error.errno is None and found else error
