"""The receiver: sockets where devices report, and what may pass from there to a check.

A datagram is counted, then looked at in the order of what that costs: is its source a device that we know, has that
device some allowance left, has the daemon, is it a message, is it believed.  A storm of ten thousand a second costs a
few microseconds each and reaches nobody.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from sentinel.domain.target import Check
from sentinel.protocols.snmp_trap import message
from sentinel.protocols.snmp_trap.message import LARGEST, Notification
from sentinel.protocols.snmp_trap.options import TrapOptions
from sentinel.protocols.snmp_trap.usm import V3, Gatekeeper, Refused
from sentinel.protocols.snmp_trap.watch import Watch
from sentinel.sdk.net import is_literal
from sentinel.sdk.protocol import Inbox
from sentinel.wire.ber import OCTETS, SEQUENCE, BadMessage, Reader, integer, octets, tlv

SOURCE_RATE: Final = 20.0
SOURCE_BURST: Final = 100.0
TOTAL_RATE: Final = 500.0
TOTAL_BURST: Final = 1_000.0
"""Notifications a second that are looked into, and how many at once: of one device, and of all together."""

_BATCH: Final = 128
"""Datagrams that are read before others have their turn on the loop."""
_BUFFER: Final = 1 << 20
_INFORMS: Final = 1_024
"""Informs that are remembered: a sender that missed our answer sends one again, and it is no second event."""

_Place = tuple[str, int]


class Allowance:
    """So many a second, and so many at once: a bucket of tokens."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, burst, now

    def take(self, now: float) -> bool:
        """Whether one more may pass."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Receiver:
    """One for the daemon's life; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self.errors: dict[_Place, OSError] = {}
        """Where it can't listen, and why."""
        self._clock = clock
        self._gatekeeper = Gatekeeper(clock)
        self._total = Allowance(TOTAL_RATE, TOTAL_BURST, clock())
        self._sources: dict[str, Allowance] = {}
        self._sockets: dict[_Place, socket.socket] = {}
        self._watches: dict[str, Watch] = {}
        self._checks: dict[str, Check] = {}
        self._addresses: dict[str, str] = {}
        self._by_source: dict[tuple[int, str], list[str]] = {}
        self._informs: OrderedDict[tuple[str, int, str], None] = OrderedDict()
        self._inbox: Inbox | None = None
        self.heard = asyncio.Event()

    @property
    def attached(self) -> bool:
        """Whether checks are known; a probe by hand has none."""
        return self._inbox is not None

    def attach(self, inbox: Inbox) -> None:
        """Watch over the checks that are configured now: what is known of those that stay is kept."""
        self._inbox = inbox
        self._checks = {check.id: check for check in inbox.checks()}
        for id_ in [*self._watches]:
            if id_ not in self._checks:
                del self._watches[id_]
        for id_, check in self._checks.items():
            known = self._watches.get(id_)
            if known is None:
                known = self._watches[id_] = Watch(check.options)
                known.remember(inbox.kept(id_))
            known.options = check.options
            if is_literal(check.target.address):
                self._addresses[id_] = check.target.address
        self._addresses = {id_: address for id_, address in self._addresses.items() if id_ in self._checks}
        self._rearrange()

    def watch(self, id_: str, options: TrapOptions, address: str) -> Watch:
        """The watch of a check whose device has this address now, listening if that can be."""
        watch = self._watches.setdefault(id_, Watch(options))
        if self._addresses.get(id_) != address or watch.options.local(address) in self.errors:
            self._addresses[id_] = address
            self._rearrange()
        return watch

    def find(self, target: str, options: TrapOptions) -> str | None:
        """The id of a target's check with these options."""
        return next((id_ for id_, c in self._checks.items() if c.target.id == target and c.options == options), None)

    def close(self) -> None:
        """Listen no more."""
        for place in [*self._sockets]:
            self._shut(place)

    def counts(self) -> dict[str, dict[str, float]]:
        """By counter name and label."""
        return {"received": {"": float(self.received)}, "dropped": {k: float(n) for k, n in self.dropped.items()}}

    def take(self, data: bytes, source: str, port: int, answer: Callable[[bytes], None]) -> None:
        """One datagram that came to a port; ``answer`` sends one back."""
        self.received += 1
        now = self._clock()
        watching = self._by_source.get((port, source))
        if watching is None:
            self.dropped["unknown_source"] += 1
        elif not self._sources[source].take(now):
            self.dropped["source_limit"] += 1
        elif not self._total.take(now):
            self.dropped["total_limit"] += 1
        elif len(data) > LARGEST:
            self.dropped["malformed"] += 1
        else:
            try:
                self._open(data, source, watching, answer, now)
            except BadMessage:
                self.dropped["malformed"] += 1
            except Refused as refused:
                self.dropped[refused.reason] += 1
                if refused.report is not None:
                    answer(refused.report)

    def _open(self, data: bytes, source: str, watching: list[str], answer: Callable[[bytes], None], now: float) -> None:
        whole = Reader(data).enter(SEQUENCE)
        version = whole.integer()
        options = {id_: self._watches[id_].options for id_ in watching}
        if version == V3:
            users = {id_: user for id_ in watching if (user := options[id_].usm_user) is not None}
            opened = self._gatekeeper.open(
                data, whole, lambda name: [user for user in users.values() if user.name.encode() == name]
            )
            if opened.acknowledgement is not None:
                answer(opened.acknowledgement)
            if opened.repeated:
                raise Refused("repeated")
            self._tell([id_ for id_, user in users.items() if user == opened.user], opened.notification, now)
            return
        if version not in (0, 1):
            raise BadMessage("a version that does not exist")
        community = whole.content(OCTETS)
        believing = [
            id_
            for id_, each in options.items()
            if each.version == "v2c" and each.community.get_secret_value().encode() == community
        ]
        if not believing:
            raise Refused("unauthorized")
        notification = message.read(whole)
        if notification.inform:
            answer(tlv(SEQUENCE, integer(version) + octets(community) + notification.acknowledgement()))
            self._first((source, notification.number, notification.trap))
        self._tell(believing, notification, now)

    def _first(self, inform: tuple[str, int, str]) -> None:
        if inform in self._informs:
            raise Refused("repeated")
        self._informs[inform] = None
        if len(self._informs) > _INFORMS:
            self._informs.popitem(last=False)

    def _tell(self, ids: Iterable[str], notification: Notification, now: float) -> None:
        for id_ in ids:
            watch = self._watches[id_]
            mapped = watch.take(notification, now)
            if self._inbox is not None:
                self._inbox.report(id_, watch.measurement(now))
                self._inbox.keep(id_, watch.memory())
                if mapped is not None and mapped.hasten:
                    target = self._checks[id_].target.id
                    for name in watch.options.hasten:
                        self._inbox.hasten(f"{target}.{name}")
        self.heard.set()

    def _rearrange(self) -> None:
        """Listen where the watches want it, and nowhere else."""
        now = self._clock()
        wanted: dict[_Place, None] = {}
        self._by_source.clear()
        for id_, address in self._addresses.items():
            options = self._watches[id_].options
            wanted[options.local(address)] = None
            self._by_source.setdefault((options.port, address), []).append(id_)
            self._sources.setdefault(address, Allowance(SOURCE_RATE, SOURCE_BURST, now))
        known = set(self._addresses.values())
        self._sources = {address: left for address, left in self._sources.items() if address in known}
        for place in [*self._sockets]:
            if place not in wanted:
                self._shut(place)
        self.errors = {place: error for place, error in self.errors.items() if place in wanted}
        for place in wanted:
            if place not in self._sockets:
                self._listen(place)

    def _listen(self, place: _Place) -> None:
        sock = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(place)
        except OSError as error:
            sock.close()
            self.errors[place] = error
            return
        self.errors.pop(place, None)
        self._sockets[place] = sock
        asyncio.get_running_loop().add_reader(sock, self._readable, sock, place[1])

    def _shut(self, place: _Place) -> None:
        sock = self._sockets.pop(place)
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()

    def _readable(self, sock: socket.socket, port: int) -> None:
        for _ in range(_BATCH):
            try:
                data, peer = sock.recvfrom(LARGEST + 1)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for an answer of ours
                continue
            self.take(data, str(peer[0]).partition("%")[0], port, _answering(sock, peer))


def _answering(sock: socket.socket, peer: Any) -> Callable[[bytes], None]:
    def answer(data: bytes) -> None:
        with suppress(OSError):  # no room, or no way back: the sender repeats an inform
            sock.sendto(data, peer)

    return answer
