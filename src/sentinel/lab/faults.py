"""The faults that can be had to order, and which of them fit a target.

Here are those that fit any protocol; what only one can show is declared with its simulation, in ``lab/servers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.  ``needs``: it fits a target that can do any of these; ``fits`` says the same for people."""

    name: str
    description: str
    fits: str
    needs: frozenset[str]


# What a target can do, as far as faults are concerned.
PING: Final = "ping"
CONNECT: Final = "connect"
"""Takes connections, which may be refused."""
ANSWER: Final = "answer"
"""Answers datagrams, which may stay unanswered."""
TALK: Final = "talk"
"""Says something, which may come late."""
TLS: Final = "tls"
PARENT: Final = "parent"

DOWN: Final = "down"
SLOW: Final = "slow"
CERT_EXPIRED: Final = "cert-expired"
SWITCH_DOWN: Final = "switch-down"

# Shown by more files than the one that declares them.
SNMP_SILENT: Final = "snmp-silent"
LINK_DOWN: Final = "link-down"
MAINS_LOST: Final = "mains-lost"
RTSP_UNAUTHORIZED: Final = "rtsp-unauthorized"
RTSP_HANG: Final = "rtsp-hang"
NO_PACKETS: Final = "no-packets"

COMMON: Final = (
    Fault(
        DOWN,
        "Nothing answers: connections are refused, SNMP is silent; pings are lost where the lab may drop them.",
        "every target",
        frozenset({CONNECT, ANSWER, PING}),
    ),
    Fault(
        SLOW,
        "Answers come late: after seven tenths of the time that the check waits for them.",
        "web pages, cameras, SNMP agents, services with a greeting",
        frozenset({TALK}),
    ),
    Fault(
        CERT_EXPIRED,
        "The certificate ended two days ago; new connections see it.",
        "HTTPS, RTSPS and TLS services",
        frozenset({TLS}),
    ),
    Fault(
        SWITCH_DOWN,
        "It is down, and so is all that hangs on it and has no other way.",
        "targets that others name as a parent",
        frozenset({PARENT}),
    ),
)


def fitting(abilities: Iterable[str], faults: Mapping[str, Fault]) -> tuple[str, ...]:
    """The names of those faults that fit a target that can do this."""
    able = frozenset(abilities)
    return tuple(name for name, fault in faults.items() if fault.needs & able)
