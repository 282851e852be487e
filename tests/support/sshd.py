"""OpenSSH's server, for commands, files and as a bastion, with keys made for the occasion."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.process import accepts, running

HOST = "127.0.0.1"

RUN_DIRECTORY = Path("/run/sshd")
"""Where root's sshd locks its child up before the login."""

CONFIGURATION = """
ListenAddress {host}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
LogLevel VERBOSE
{extra}
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """A server that answers, and what opens it."""

    port: int
    user: str
    private_key: str
    """In OpenSSH's form."""
    host_key: str
    """Its public line."""
    fingerprint: str
    pid: int
    log: Path
    host: str = HOST

    def options(self, **more: object) -> dict[str, object]:
        """What a probe needs to log in."""
        login = {"port": self.port, "username": self.user, "private_key": self.private_key, "host_key": self.host_key}
        return {**login, **more}

    def logins(self) -> int:
        """How often somebody logged in so far."""
        return self.log.read_text("utf-8", "replace").count("Accepted publickey")


@contextlib.contextmanager
def serve(folder: Path, extra: str = "") -> Iterator[Sshd]:
    """Run sshd as whoever runs the tests; `extra` is added to its configuration."""
    executable = require("sshd")
    if os.geteuid() == 0:
        RUN_DIRECTORY.mkdir(mode=0o755, exist_ok=True)
    port = free_port(HOST)
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    (folder / "host_key").touch(0o600)
    host.write_private_key(folder / "host_key")
    user.write_public_key(folder / "authorized_keys")
    (folder / "sshd_config").write_text(CONFIGURATION.format(host=HOST, port=port, folder=folder, extra=extra), "utf-8")
    log = folder / "sshd.log"
    command: list[str | Path] = [executable, "-D", "-e", "-f", folder / "sshd_config"]
    with running(command, ready=lambda: accepts(HOST, port), log=log) as process:
        yield Sshd(
            port=port,
            user=_user(),
            private_key=user.export_private_key().decode(),
            host_key=host.export_public_key().decode().strip(),
            fingerprint=host.get_fingerprint(),
            pid=process.pid,
            log=log,
        )


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
