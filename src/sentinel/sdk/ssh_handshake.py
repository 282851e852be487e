"""One new SSH connection: TCP, the banner, the key exchange with the host's key, the login; each a stage.

asyncssh speaks the protocol; between it and the socket stands ``Wire``, which sees when the banner has come, bounds
what a stranger may send before he has proved who he is, and knows when the peer was last heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import asyncssh

from sentinel.domain.failure import Failure
from sentinel.sdk.failures import failure_of
from sentinel.sdk.net import dial, resolve
from sentinel.sdk.protocol import ProbeFailed, Run
from sentinel.sdk.ssh_login import Login, fingerprint

BANNER_BYTES: Final = 8_192
"""Before its version a server may say a few lines (RFC 4253, 4.2); more than this is no SSH server."""

STRANGER_BYTES: Final = 262_144
"""From a server that has not let us in yet, altogether."""

QUIET_SECONDS: Final = 15.0
"""After so long a silence the server is asked whether it is still there."""

QUIET_PINGS: Final = 2
"""Questions without an answer, after which a server is gone one silence later."""

# No group exchange: the server would choose numbers whose powers take this one thread a second.
_KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
)
_OLD_KEX = ("diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1")
_ENCRYPTION = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_OLD_ENCRYPTION = ("aes256-cbc", "aes128-cbc", "3des-cbc")
_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)
_OLD_HOST_KEYS = ("ssh-rsa",)
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_OLD_MACS = ("hmac-sha1",)

_DIALOGUE_ROUNDS = 3  # questions of a keyboard-interactive login (RFC 4256) that are answered


class Wire(asyncio.Protocol):
    """Between the socket and asyncssh's connection; ``heard_at`` is on ``time.monotonic()``."""

    def __init__(self, inner: Any, phases: Phases) -> None:
        self.inner = inner
        self._phases = phases
        self._greeting: bytearray | None = bytearray()
        self._strange = 0
        self.trusted = False
        self.heard_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Look at it, then pass it on."""
        self.heard_at = time.monotonic()
        if not self.trusted:
            self._strange += len(data)
            if self._strange > STRANGER_BYTES:
                self._break_off(f"more than {STRANGER_BYTES} bytes before the login")
                return
            if self._greeting is not None and not self._greeted(data):
                return
        self.inner.data_received(data)

    def eof_received(self) -> None:
        """The peer will say no more."""
        self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer reads slowly."""
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.inner.resume_writing()

    def _greeted(self, data: bytes) -> bool:
        """Whether what has come so far may be the beginning of an SSH server's talk."""
        greeting = self._greeting
        if greeting is None:
            return True
        greeting += data
        at = 0 if greeting.startswith(b"SSH-") else greeting.find(b"\nSSH-") + 1
        spoken = at or greeting.startswith(b"SSH-")
        if spoken and greeting.find(b"\n", at) > 0:
            self._greeting = None
            self._phases.enter("key_exchange")
            return True
        if b"\0" in greeting or len(greeting) > BANNER_BYTES:
            self._break_off(f"no SSH server: it begins with {bytes(greeting[:100])!r}")
            return False
        return True

    def _break_off(self, reason: str) -> None:
        self.inner.connection_lost(asyncssh.ProtocolError(reason))


@dataclass(slots=True)
class Phases:
    """The stages of a handshake that is one call to asyncssh: each begins where the one before ends."""

    run: Run
    began: float = 0.0

    def enter(self, stage: str) -> None:
        """End the stage that runs, and begin this one."""
        self.leave()
        self.run.current, self.began = stage, time.monotonic()

    def leave(self) -> None:
        """End the stage that runs."""
        if self.began:
            stage, now = self.run.current, time.monotonic()
            self.run.stages[stage] = self.run.stages.get(stage, 0.0) + now - self.began
            self.began = 0.0


class _Line:
    """What asyncssh takes for a tunnel to connect through: a socket that is connected, with ``Wire`` at its end."""

    def __init__(self, sock: Any, phases: Phases) -> None:
        self._sock = sock
        self._phases = phases
        self.wire: Wire | None = None

    async def create_connection(self, factory: Callable[[], Any], _host: str, _port: int) -> tuple[Any, Any]:
        """The transport, and asyncssh's own end."""
        wire = self.wire = Wire(factory(), self._phases)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: wire, sock=self._sock)
        return transport, wire.inner


class _Client(asyncssh.SSHClient):
    """Judges the host's key and answers what the server asks of the user."""

    def __init__(self, login: Login, phases: Phases) -> None:
        self._login = login
        self._phases = phases
        self._rounds = 0
        self.shown = ""
        self.refused = False
        self.lost: Callable[[], None] = _nobody

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Compare with what is pinned."""
        del host, addr, port
        self.shown = f"{key.get_algorithm()} {fingerprint(key.public_data)}"
        self.refused = not self._login.accepts(key.public_data)
        return not self.refused

    def begin_auth(self, username: str) -> None:
        """The key exchange is over."""
        del username
        self._phases.enter("login")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever holds the connection."""
        del exc
        self.lost()

    def kbdint_auth_requested(self) -> str | None:
        """Take part in a dialogue where there is a password to give."""
        return "" if self._login.password is not None else None

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str] | None:
        """The password for each question whose answer is not shown, nothing for the others."""
        del name, instructions, lang
        self._rounds += 1
        if self._rounds > _DIALOGUE_ROUNDS or self._login.password is None:
            return None
        return ["" if shown else self._login.password.get_secret_value() for _, shown in prompts]


@dataclass(slots=True, eq=False)
class Connected:
    """A connection that is logged in; ``shown`` is the host's key.

    Whoever works on it holds it; one that is given up is closed when nobody does any more.
    """

    connection: asyncssh.SSHClientConnection
    wire: Wire
    client: _Client
    holders: int = 0
    given_up: bool = False

    def hold(self) -> None:
        """Begin to work on it."""
        self.holders += 1

    def release(self) -> None:
        """Work on it no longer."""
        self.holders -= 1
        if self.given_up:
            self.give_up()

    def give_up(self) -> None:
        """Close it, as soon as nobody works on it."""
        self.given_up = True
        if not self.holders:
            self.connection.close()  # says goodbye and waits for nothing

    @property
    def shown(self) -> str:
        """Algorithm and fingerprint of the host's key."""
        return self.client.shown

    @property
    def version(self) -> str:
        """What the server calls itself."""
        return str(self.connection.get_extra_info("server_version") or "")


async def shake_hands(run: Run, login: Login) -> Connected:
    """A new connection, in the stages ``resolve``, ``connect``, ``banner``, ``key_exchange`` and ``login``.

    Raises:
        ProbeFailed: of the stage that failed; nothing is left open then, nor after a cancellation.  ``bad_option`` at
            ``prepare`` where the private key cannot be read.
    """
    phases = Phases(run)
    client = _Client(login, phases)
    try:
        # In a thread: an RSA key is checked by its arithmetic when it is read.
        options = await asyncio.to_thread(_options, login, client)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        raise ProbeFailed(Failure("prepare", "bad_option", f"private_key: {type(error).__name__}")) from None
    sock = await dial(run, await resolve(run, login.host), login.port)
    line = _Line(sock, phases)
    phases.enter("banner")
    try:
        connection = await asyncssh.connect(login.host, login.port, tunnel=cast("Any", line), options=options)
    except BaseException as error:
        sock.close()
        phases.leave()
        if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
            raise
        raise ProbeFailed(_failure(run.current, error, client)) from error
    phases.leave()
    wire = cast("Wire", line.wire)
    wire.trusted = True
    return Connected(connection, wire, client)


def _options(login: Login, client: _Client) -> asyncssh.SSHClientConnectionOptions:
    keys = None
    if login.private_key is not None:
        keys = [asyncssh.import_private_key(login.private_key.get_secret_value())]
    old = login.legacy_algorithms
    return asyncssh.SSHClientConnectionOptions(
        client_factory=lambda: client,
        config=None,  # neither ~/.ssh/config nor an agent nor keys that lie about: what is written counts
        known_hosts=([], [], []),
        client_keys=keys,
        agent_path=None,
        pkcs11_provider=None,
        gss_host=None,
        username=login.username,
        password=None if login.password is None else login.password.get_secret_value(),
        preferred_auth="publickey,keyboard-interactive,password",
        kex_algs=_KEX + (_OLD_KEX if old else ()),
        encryption_algs=_ENCRYPTION + (_OLD_ENCRYPTION if old else ()),
        mac_algs=_MACS + (_OLD_MACS if old else ()),
        server_host_key_algs=_HOST_KEYS + (_OLD_HOST_KEYS if old else ()),
        compression_algs=None,  # a few bytes would become many
        keepalive_interval=QUIET_SECONDS,
        keepalive_count_max=QUIET_PINGS,
        connect_timeout=None,  # the deadline has one owner
        login_timeout=0,
        client_version="Sentinel",
    )


def _failure(stage: str, error: Exception, client: _Client) -> Failure:
    """What ended a handshake."""
    if isinstance(error, OSError | EOFError):
        return failure_of(stage, error)
    detail = str(error)[:500]
    if client.refused:
        return Failure(stage, "host_key_changed", f"shown: {client.shown}")
    return Failure(stage, code_of(error), detail)


_REFUSED = {
    asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED: "forbidden",
    asyncssh.OPEN_RESOURCE_SHORTAGE: "busy",
}

_DISCONNECTED = {
    asyncssh.DISC_HOST_NOT_ALLOWED_TO_CONNECT: "forbidden",
    asyncssh.DISC_TOO_MANY_CONNECTIONS: "busy",
    asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE: "unauthorized",
    asyncssh.DISC_ILLEGAL_USER_NAME: "unauthorized",
    asyncssh.DISC_PROTOCOL_VERSION_NOT_SUPPORTED: "unsupported",
    asyncssh.DISC_BY_APPLICATION: "closed",
    asyncssh.DISC_CONNECTION_LOST: "closed",
}


def code_of(error: Exception) -> str:
    """The code of what asyncssh raises; what it did not expect in a peer's bytes is the peer's fault."""
    if isinstance(error, asyncssh.PermissionDenied):
        return "unauthorized"
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.HostKeyNotVerifiable):
        return "unsupported" if "No matching" in str(error) or "certificate" in str(error) else "protocol_error"
    if isinstance(error, asyncssh.ProtocolNotSupported):
        return "unsupported"
    if isinstance(error, asyncssh.ConnectionLost):
        return "closed"
    if isinstance(error, asyncssh.ChannelOpenError):
        return _REFUSED.get(error.code, "closed" if "closed" in str(error) else "unsupported")
    if isinstance(error, asyncssh.DisconnectError):
        if error.code == asyncssh.DISC_PROTOCOL_ERROR and "authentication failures" in str(error):
            return "unauthorized"  # what OpenSSH says after MaxAuthTries
        return _DISCONNECTED.get(error.code, "protocol_error")
    return "protocol_error"


def _nobody() -> None:
    """Nobody holds the connection yet."""
