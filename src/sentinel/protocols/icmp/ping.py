"""One run of one check: some echo requests to one address, and what became of them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.icmp.packet import Version

if TYPE_CHECKING:
    from sentinel.protocols.icmp.line import Line

NANO = 1e-9
_IPV6_HOPLIMIT, _IPV6_TCLASS = 52, 67  # <linux/in6.h>

Settled = Callable[[Any, Measurement], None]
"""Called once with the ping's tag and its result."""

Ancillary = list[tuple[int, int, int]]
"""Control messages of a request: level, type, number."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where echoes go: ``text`` as the kernel spells the address of what comes back."""

    version: Version
    text: str
    sockaddr: tuple[Any, ...]


def endpoint(address: str) -> Endpoint | None:
    """The endpoint of an IP literal; None for a name.

    An IPv4 address in IPv6's clothes (``::ffff:192.0.2.1``) is an IPv4 address.

    Raises:
        OSError: the interface of a link-local address (``fe80::1%eth0``) does not exist.
    """
    if "%" in address:
        return _scoped(address)  # never kept: an interface that comes back may have another number
    return _plain(address)


@lru_cache(maxsize=65_536)
def _plain(address: str) -> Endpoint | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            text = socket.inet_ntop(socket.AF_INET6, parsed.packed)
            return Endpoint(6, text, (text, 0, 0, 0))
        parsed = parsed.ipv4_mapped
    return Endpoint(4, str(parsed), (str(parsed), 0))


def _scoped(address: str) -> Endpoint | None:
    bare, _, interface = address.partition("%")
    plain = _plain(bare)
    if plain is None or plain.version == 4:
        return None
    number = int(interface) if interface.isdecimal() else socket.if_nametoindex(interface)
    return Endpoint(6, plain.text, (plain.text, 0, 0, number))


class Ping:
    """The state of one run; times are monotonic nanoseconds.

    ``attempts`` counts requests that were tried, ``sent`` those that left, ``settled`` those that have ended: by a
    reply, by an ICMP error, or because they could not leave.  ``rejected`` is the last failure that the network told
    and ``router`` who said it, ``unsent`` the last that this host told.
    """

    __slots__ = (
        "ancillary", "attempts", "count", "done", "ended", "interval", "last", "line", "rejected", "round_trips",
        "router", "sent", "settled", "size", "sockaddr", "started", "tag", "text", "unsent",
    )  # fmt: skip

    def __init__(self, line: Line, where: Endpoint, started: int, done: Settled, tag: Any) -> None:
        self.line = line
        self.text = where.text
        self.sockaddr = where.sockaddr
        self.started = self.last = started
        self.done: Settled | None = done
        self.tag = tag
        self.count = 1
        self.interval = 0
        self.size = 56
        self.ancillary: Ancillary | None = None
        self.attempts = self.sent = self.settled = 0
        self.round_trips: list[int] = []
        self.rejected: Failure | None = None
        self.router = ""
        self.unsent: Failure | None = None
        self.ended = False

    def measurement(self, now: int) -> Measurement:
        """What the run has measured; ``now`` is when it ended where the last reply did not end it."""
        trips = self.round_trips
        if not trips:
            took = (now - self.started) * NANO
            values = {"sent": float(self.sent), "received": 0.0}
            if self.sent:
                values["loss_ratio"] = 1.0
            facts = {"router": self.router} if self.router else {}
            return Measurement(took, self._failure(), {"echo": took}, values, facts)
        received = len(trips)
        took = ((self.last if self.settled == self.count else now) - self.started) * NANO
        values = {
            "sent": float(self.sent),
            "received": float(received),
            "loss_ratio": 1.0 - received / self.sent,
            "rtt_min_seconds": min(trips) * NANO,
            "rtt_avg_seconds": sum(trips) * NANO / received,
            "rtt_max_seconds": max(trips) * NANO,
        }
        if received > 1:
            steps = sum(abs(trip - before) for before, trip in pairwise(trips))
            values["rtt_jitter_seconds"] = steps * NANO / (received - 1)
        return Measurement(took, None, {"echo": took}, values)

    def _failure(self) -> Failure:
        """Why no reply came: the network's word counts before silence, silence before our own troubles."""
        if self.rejected is not None:
            return self.rejected
        if self.sent:
            return Failure("echo", "lost", f"{self.sent} sent, none answered")
        return self.unsent or Failure("echo", "overloaded", "no request could leave before the deadline")


def marks(version: Version, ttl: int | None, dscp: int | None) -> Ancillary:
    """The control messages that give one request its time to live (hop limit) and its code point."""
    wanted = []
    if ttl is not None:
        wanted.append((socket.IP_TTL if version == 4 else _IPV6_HOPLIMIT, ttl))
    if dscp is not None:
        wanted.append((socket.IP_TOS if version == 4 else _IPV6_TCLASS, dscp << 2))
    level = socket.IPPROTO_IP if version == 4 else socket.IPPROTO_IPV6
    return [(level, kind, number) for kind, number in wanted]
