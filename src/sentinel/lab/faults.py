"""The faults that can be had to order, and which of them fit a target."""

from __future__ import annotations

from collections.abc import Iterable
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
TALK: Final = "talk"
"""Says something over TCP, which may come late."""
HTTP: Final = "http"
TLS: Final = "tls"
SNMP: Final = "snmp"
RTSP: Final = "rtsp"
PARENT: Final = "parent"

DOWN: Final = "down"
SLOW: Final = "slow"
HTTP_500: Final = "http-500"
CERT_EXPIRED: Final = "cert-expired"
SNMP_SILENT: Final = "snmp-silent"
RTSP_UNAUTHORIZED: Final = "rtsp-unauthorized"
RTSP_HANG: Final = "rtsp-hang"
NO_PACKETS: Final = "no-packets"
SWITCH_DOWN: Final = "switch-down"

FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault(
            DOWN,
            "Nothing answers: connections are refused, SNMP is silent; pings are lost where the lab may drop them.",
            "every target",
            frozenset({CONNECT, SNMP, PING}),
        ),
        Fault(
            SLOW,
            "Answers come late: after seven tenths of the time that the check waits for them.",
            "web pages, cameras, SNMP agents, services with a greeting",
            frozenset({TALK, SNMP}),
        ),
        Fault(HTTP_500, "Every page is answered with status 500.", "web pages", frozenset({HTTP})),
        Fault(
            CERT_EXPIRED,
            "The certificate ended two days ago; new connections see it.",
            "HTTPS, RTSPS and TLS services",
            frozenset({TLS}),
        ),
        Fault(SNMP_SILENT, "The SNMP agent does not answer; all else does.", "SNMP agents", frozenset({SNMP})),
        Fault(RTSP_UNAUTHORIZED, "No login is good enough: DESCRIBE gets 401.", "cameras", frozenset({RTSP})),
        Fault(RTSP_HANG, "The connection is taken, and no request is ever answered.", "cameras", frozenset({RTSP})),
        Fault(NO_PACKETS, "PLAY is answered, and no picture comes.", "cameras", frozenset({RTSP})),
        Fault(
            SWITCH_DOWN,
            "It is down, and so is all that hangs on it and has no other way.",
            "targets that others name as a parent",
            frozenset({PARENT}),
        ),
    )
}


def fitting(abilities: Iterable[str]) -> tuple[str, ...]:
    """The names of the faults that fit a target that can do this."""
    able = frozenset(abilities)
    return tuple(name for name, fault in FAULTS.items() if fault.needs & able)
