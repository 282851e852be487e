"""An SSH server for each port that is logged in to: commands of a Linux host, and recordings over SFTP.

Its host key is made of a fixed seed, so that the shipped inventory can pin it: it proves nothing to anybody, and is
for loopback only.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import asyncssh
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sentinel.domain.target import Check
from sentinel.lab.examples import NoExample, text_for
from sentinel.lab.faults import DOWN, SLOW, TALK, Fault
from sentinel.lab.simulation import Ground, Place, Service, Simulation

SHELL: Final = "shell"
RECORDER: Final = "recorder"
HOST_KEY_CHANGED: Final = "host-key-changed"
RECORDING_MISSING: Final = "recording-missing"
RECORDING_STOPPED: Final = "recording-stopped"

EVERY: Final = 1_800
"""Seconds of each recording."""
KEPT: Final = 48
"""Recordings that are kept."""
RATE: Final = 250_000
"""Bytes of a recording a second."""

_ZONE = ZoneInfo("Asia/Shanghai")
_SPACE = 8 << 40  # bytes of the recorder's file system


def host_key(seed: str = "sentinel lab") -> asyncssh.SSHKey:
    """A host key that is the same in every lab."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return asyncssh.import_private_key(plain)


def recordings(faults: frozenset[str], now: float) -> Iterator[tuple[str, int, float]]:
    """Name, size and time of change of each recording: one every half hour, the last one under way."""
    last = int(now // EVERY)
    for number in range(last - KEPT + 1, last + 1):
        begun, ended = number * EVERY, min((number + 1) * EVERY, now)
        if (RECORDING_MISSING in faults and number in (last - 10, last - 11)) or (
            RECORDING_STOPPED in faults and number > last - 6
        ):
            continue
        yield f"conference-{datetime.fromtimestamp(begun, _ZONE):%Y%m%d-%H%M}-{number}.mp4", _size(begun, ended), ended


def _size(begun: float, ended: float) -> int:
    return max(1, int((ended - begun) * RATE))


class Host(asyncssh.SSHServer):
    """Lets in whoever the checks log in as."""

    def __init__(self, server: SshServer) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Somebody is here."""
        self._connection = conn
        self._server.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        del exc
        if self._connection is not None:
            self._server.connections.discard(self._connection)

    def password_auth_supported(self) -> bool:
        """Passwords are asked for."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Whether a check knows it."""
        return (username, password) in self._server.passwords

    def public_key_auth_supported(self) -> bool:
        """Keys are taken too."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether a check has it."""
        return (username, key.public_data) in self._server.keys


class Files(asyncssh.SFTPServer):
    """The recordings, whatever directory is asked for.  Nothing of this machine is to be had."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], server: SshServer) -> None:
        super().__init__(chan, chroot=str(server.folder).encode())
        self._server = server

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """The recordings as they are now."""
        del path
        await self._server.late()
        for name, size, changed_at in recordings(self._server.faults, self._server.now()):
            attributes = asyncssh.SFTPAttrs(
                type=asyncssh.FILEXFER_TYPE_REGULAR,
                permissions=0o100644,
                size=size,
                uid=0,
                gid=0,
                atime=int(changed_at),
                mtime=int(changed_at),
            )
            yield asyncssh.SFTPName(name.encode(), attrs=attributes)

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        """A file system that the recordings fill slowly."""
        del path
        used = sum(size for _, size, _ in recordings(self._server.faults, self._server.now()))
        free = (_SPACE - used) // 4096
        return asyncssh.SFTPVFSAttrs(
            bsize=4096, frsize=4096, blocks=_SPACE // 4096, bfree=free, bavail=free, namemax=255
        )


def _refuse(*_: object, **__: object) -> None:
    raise asyncssh.SFTPPermissionDenied("this server shows names only")


for _name in ("open", "open56", "mkdir", "remove", "rename", "posix_rename", "symlink", "link", "rmdir", "setstat"):
    setattr(Files, _name, _refuse)


class SshServer:
    """One server, at the address and port of its checks."""

    def __init__(self, service: Service, ground: Ground) -> None:
        """Learn who logs in, and what commands have to say; what cannot be played is told in ``ground.notes``."""
        self._service = service
        self._started = ground.clock()
        self._clock = ground.clock
        self.faults: frozenset[str] = frozenset()
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.folder: Path = ground.state / "sftp"
        self.passwords: set[tuple[str, str]] = set()
        self.keys: set[tuple[str, bytes]] = set()
        self._answers: dict[str, str] = {}
        self._acceptor: asyncssh.SSHAcceptor | None = None
        for check in service.own:
            self._learn(check, ground.notes)

    def _learn(self, check: Check, notes: list[str]) -> None:
        options = check.options
        if options.password is not None:
            self.passwords.add((options.username, options.password.get_secret_value()))
        if options.private_key is not None:
            try:
                key = asyncssh.import_private_key(options.private_key.get_secret_value())
            except ValueError:
                notes.append(f"{check.id}: the private key cannot be read")
            else:
                self.keys.add((options.username, key.public_data))
        if not options.at(check.target.address).accepts(host_key().public_data):
            notes.append(f"{check.id}: it pins a host key that is not the lab's")
        if check.protocol == "ssh" and options.command is not None and _known(options.command) is None:
            try:
                self._answers[options.command] = _text(options)
            except NoExample as error:
                notes.append(f"{check.id}: {error}")

    def now(self) -> float:
        """UTC epoch seconds: recordings bear them in their names."""
        return time.time()  # noqa: TID251 - whoever reads the names compares them with the wall clock

    async def late(self) -> None:
        """Wait as long as a slow host does."""
        if SLOW in self.faults:
            await asyncio.sleep(self._service.slow_seconds)

    async def open(self) -> None:
        """Listen; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        if self._acceptor is not None:
            return
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        self._acceptor = await asyncssh.listen(
            self._service.address,
            self._service.port,
            server_host_keys=[host_key("another") if HOST_KEY_CHANGED in self.faults else host_key()],
            server_factory=lambda: Host(self),
            process_factory=self._run,
            sftp_factory=lambda channel: Files(channel, self),
            server_version="SentinelLab",
            config=None,
            allow_scp=False,
            agent_forwarding=False,
        )

    async def close(self) -> None:
        """Listen no more, and break every connection."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for connection in tuple(self.connections):
            connection.abort()

    async def show(self, faults: frozenset[str]) -> None:
        """Have these faults from now on."""
        changed = (HOST_KEY_CHANGED in faults) is not (HOST_KEY_CHANGED in self.faults)
        self.faults = faults
        if changed or DOWN in faults:
            await self.close()
        if DOWN not in faults:
            await self.open()

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        await self.late()
        command = process.command or ""
        known = _known(command)
        if known is not None:
            process.stdout.write(known(self._clock() - self._started))
        elif command in self._answers:
            process.stdout.write(self._answers[command])
        else:
            process.stderr.write(f"sh: {command[:100]}: not found\n")
            process.exit(127)
            return
        process.exit(0)


def _known(command: str) -> Callable[[float], str] | None:
    """What a Linux host says to it, by the seconds that it has been up."""
    return _COMMANDS.get(command)


def _load(up: float) -> str:
    load = 0.4 + 0.2 * math.sin(up / 300)
    return f"{load:.2f} {load * 0.9:.2f} 0.37 1/212 {1000 + int(up)}\n"


def _uptime(up: float) -> str:
    return f"{864_000 + up:.2f} {3_300_000 + 3.8 * up:.2f}\n"


def _disk(up: float) -> str:
    size = 41_152_736
    used = 9_800_000 + int(up)
    return (
        "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"
        f"/dev/vda1         {size} {used} {size - used} {math.ceil(100 * used / size):8d}% /\n"
    )


_COMMANDS: Final[dict[str, Callable[[float], str]]] = {
    "cat /proc/loadavg": _load,
    "cat /proc/uptime": _uptime,
    "df -P /": _disk,
    "systemctl is-system-running": lambda _: "running\n",
}


def _text(options: Any) -> str:
    patterns = [*([options.expect_matches] if options.expect_matches else []), *options.facts.values()]
    patterns += [capture.pattern for capture in options.captures.values()]
    return "".join(text_for(pattern) + "\n" for pattern in patterns)


async def _server(service: Service, ground: Ground) -> SshServer:
    return SshServer(service, ground)


def _place(check: Check) -> Place | None:
    return None if getattr(check.options, "transport", "sftp") == "local" else ("tcp", int(check.options.port))


def _abilities(service: Service) -> frozenset[str]:
    recorder = any(check.protocol == "files" for check in service.own)
    return frozenset({TALK, SHELL, RECORDER} if recorder else {TALK, SHELL})


SIMULATION = Simulation(
    ("ssh", "files"),
    _server,
    place=_place,
    abilities=_abilities,
    greets=True,
    faults=(
        Fault(
            HOST_KEY_CHANGED,
            "It shows another SSH host key than the one that is pinned.",
            "SSH servers",
            frozenset({SHELL}),
        ),
        Fault(
            RECORDING_MISSING,
            "Two recordings of this morning are missing: their numbers are not there.",
            "recorders",
            frozenset({RECORDER}),
        ),
        Fault(
            RECORDING_STOPPED,
            "It has recorded nothing for three hours.",
            "recorders",
            frozenset({RECORDER}),
        ),
    ),
)
