"""Net-SNMP's agent, with a v2c community and a v3 user."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.process import running

HOST = "127.0.0.1"

CONFIGURATION = """
agentAddress udp:{host}:{port}
rocommunity public {host}
createUser {user} SHA "{auth_password}" AES "{priv_password}"
rouser {user} priv
sysName test-agent
sysLocation Test bench
sysContact nobody
{extra}
"""

# GetRequest for sysUpTime.0, SNMPv2c, community "public" (RFC 3416 section 3, BER).
ASK_UPTIME = bytes.fromhex(
    "3029 020101 0406 7075626c6963 a01c 02047f7f7f7f 020100 020100 300e 300c 06082b06010201010300 0500"
)


@dataclass(frozen=True, slots=True)
class Snmpd:
    """An agent that answers."""

    port: int
    host: str = HOST
    community: str = "public"
    user: str = "sentinel"
    auth_password: str = "auth-password-1"
    """HMAC-SHA-96."""
    priv_password: str = "priv-password-1"
    """AES-128."""


@contextlib.contextmanager
def serve(folder: Path, extra: str = "") -> Iterator[Snmpd]:
    """Run snmpd; `extra` is added to its configuration."""
    executable = require("snmpd")
    agent = Snmpd(free_port(HOST))
    configuration = folder / "snmpd.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=agent.host,
            port=agent.port,
            user=agent.user,
            auth_password=agent.auth_password,
            priv_password=agent.priv_password,
            extra=extra,
        ),
        "utf-8",
    )
    command: list[str | Path] = [executable, "-f", "-Lo", "-C", "-c", configuration, "-p", folder / "snmpd.pid"]
    # MIBS: no names are needed, and Debian has most of them elsewhere.
    environment = {"SNMP_PERSISTENT_DIR": str(folder / "persistent"), "MIBS": "", "SNMPCONFPATH": str(folder)}
    with running(command, ready=lambda: _answers(agent), log=folder / "snmpd.log", env=environment):
        yield agent


def _answers(agent: Snmpd) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.2)
        try:
            asking.connect((agent.host, agent.port))
            asking.send(ASK_UPTIME)
            return bool(asking.recv(1500))
        except OSError:
            return False
