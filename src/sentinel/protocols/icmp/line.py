"""One family's socket with its table of 65,536 sequence numbers: requests out, replies and errors in."""

from __future__ import annotations

import errno
import secrets
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from sentinel.domain.failure import Failure
from sentinel.protocols.icmp.packet import (
    COOKIE_SIZE,
    HEAD,
    REPLY,
    Rejection,
    Version,
    final,
    queued,
    quoted_v4,
    quoted_v6,
    request,
    stamp,
    words,
)
from sentinel.protocols.icmp.ping import Ping
from sentinel.protocols.icmp.sockets import MSG_ERRQUEUE, SO_TIMESTAMPNS, Opened
from sentinel.sdk.failures import code_of

SEQUENCES: Final = 65_536
SEARCH: Final = 1_024
"""Sequence numbers looked at for a free one, at most, before the request waits for the next tick."""

READS: Final = 1_024
"""Packets read at once, at most: the loop has other work."""

_READ = 192  # IPv4 header with options, ICMP error, quoted header with options, echo header: the rest is padding
_ANCILLARY = 64
_ERROR_ANCILLARY = 256
_STEP = 100_000_000  # ns: a time stamp further off than this is from before or after a step of the wall clock
_PATIENCE = 4  # errors in a row after which a socket rests until the next tick
_SECOND = 1_000_000_000
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_TIMESPEC = struct.Struct("@ll")

Ancillary = list[tuple[int, int, bytes]]
"""What ``recvmsg`` gives beside the packet: level, type, content."""

Slot = tuple[Ping, int, bytes]
"""Whose request, when it left (monotonic ns), its cookie."""


class Line:
    """Sends requests and settles them; calls ``settled`` with each ping whose last request has ended.

    ``sent``, ``received``, ``rejected`` (ICMP errors) and ``strays`` (late, doubled, forged, somebody else's) count
    packets since the start.
    """

    def __init__(self, version: Version, opened: Opened, settled: Callable[[Ping], None]) -> None:
        self.version: Version = version
        self.raw = opened.raw
        self.sent = self.received = self.rejected = self.strays = 0
        self._opened = opened
        self._settled = settled
        self._table: list[Slot | None] = [None] * SEQUENCES
        self._next = secrets.randbelow(SEQUENCES)
        self._cookie = secrets.token_bytes(COOKIE_SIZE)
        self._packets: dict[int, bytearray] = {}

    @property
    def buffer(self) -> int:
        """The receive buffer, bytes."""
        return self._opened.buffer

    @property
    def dropped(self) -> int:
        """Replies that the kernel threw away because the receive buffer was full."""
        return self._opened.dropped()

    def close(self) -> None:
        """Close the socket; nothing may be sent or received after."""
        self._opened.socket.close()

    def send(self, ping: Ping) -> bool:
        """Send the ping's next request; False where there is no room now and the next tick must try again.

        A request that cannot leave for another reason is settled at once, with the reason.
        """
        sequence = self._free()
        if sequence is None:
            return False
        packet = self._packets.get(ping.size)
        if packet is None:
            packet = request(self.version, self._opened.identifier, self._cookie, ping.size)
            self._packets[ping.size] = packet
        stamp(packet, sequence)
        for patience in range(_PATIENCE, -1, -1):
            left = time.monotonic_ns()
            try:
                if ping.ancillary is None:
                    self._opened.socket.sendto(packet, ping.sockaddr)
                else:
                    control = [(level, kind, struct.pack("@i", number)) for level, kind, number in ping.ancillary]
                    self._opened.socket.sendmsg((packet,), control, 0, ping.sockaddr)
            except OSError as error:
                # A ping socket hands us the ICMP error about an earlier request here: take it in, and send again.
                if patience and not self.raw and self._receive_errors():
                    continue
                return self._not_sent(ping, error)
            break
        self._table[sequence] = (ping, left, self._cookie)
        self._next = sequence + 1
        self.sent += 1
        ping.sent += 1
        ping.attempts += 1
        return True

    def receive(self) -> bool:
        """Read what has arrived; True where there may be more."""
        offset, now = _clocks()
        recvmsg, read = self._opened.socket.recvmsg, self._read
        troubles = 0
        for _ in range(READS):
            try:
                message, ancillary, _, source = recvmsg(_READ, _ANCILLARY)
            except BlockingIOError:
                return False
            except OSError:
                # The errno of an ICMP error in the queue of a ping socket: told once, then the replies go on.
                self._receive_errors()
                troubles += 1
                if troubles > _PATIENCE:
                    return False
                continue
            read(message, ancillary, source[0], offset, now)
        return True

    def _read(self, message: bytes, ancillary: Ancillary, source: str, offset: int, now: int) -> None:
        start = (message[0] & 15) << 2 if self.raw and self.version == 4 and message else 0
        if len(message) < start + HEAD.size:
            self.strays += 1
            return
        kind, _, sequence, mirror, cookie = HEAD.unpack_from(message, start)
        if kind != REPLY[self.version]:
            quoted = quoted_v4 if self.version == 4 else quoted_v6
            self._reject(quoted(message[start:], source), ancillary, offset, now)
            return
        slot = self._table[sequence]
        if slot is None or cookie != slot[2] or source != slot[0].text or slot[0].ended or mirror != sequence ^ 0xFFFF:
            self.strays += 1
            return
        self._table[sequence] = None
        ping, left, _ = slot
        arrived = _arrival(ancillary, left, offset, now)
        self.received += 1
        ping.round_trips.append(arrived - left)
        ping.last = arrived
        ping.settled += 1
        if ping.settled == ping.count:
            self._settled(ping)

    def _receive_errors(self) -> bool:
        """Read a ping socket's error queue; whether there was anything in it."""
        found = False
        if self.raw:
            return found
        offset, now = _clocks()
        for _ in range(READS):
            try:
                message, ancillary, _, source = self._opened.socket.recvmsg(_READ, _ERROR_ANCILLARY, MSG_ERRQUEUE)
            except OSError:
                return found
            found = True
            level = socket.IPPROTO_IP if self.version == 4 else socket.IPPROTO_IPV6
            for at, _, extended in ancillary:
                if at == level:
                    self._reject(queued(self.version, message, extended, source[0]), ancillary, offset, now)
        return found

    def _reject(self, rejection: Rejection | None, ancillary: Ancillary, offset: int, now: int) -> None:
        """Settle the request that an ICMP error is about."""
        slot = self._table[rejection.sequence] if rejection is not None else None
        if (
            rejection is None
            or slot is None
            or slot[0].ended
            or rejection.destination != slot[0].text
            or (rejection.cookie and rejection.cookie != slot[2])
        ):
            self.strays += 1
            return
        self.rejected += 1
        if not final(self.version, rejection):
            return
        self._table[rejection.sequence] = None
        ping = slot[0]
        ping.rejected = Failure("echo", "unreachable", words(self.version, rejection))
        ping.router = rejection.router
        self._settle(ping, _arrival(ancillary, slot[1], offset, now))

    def _not_sent(self, ping: Ping, error: OSError) -> bool:
        if error.errno in _FULL:
            return False
        code = code_of(error)
        detail = error.strerror or str(error)
        # EINVAL, EMSGSIZE and their like: the kernel will not send this, to there, at all.
        failure = Failure("echo", "bad_option" if code == "internal_error" else code, detail)
        if failure.local:
            ping.unsent = failure
        else:
            ping.rejected = failure
        ping.attempts += 1
        self._settle(ping, time.monotonic_ns())
        return True

    def _settle(self, ping: Ping, at: int) -> None:
        ping.last = at
        ping.settled += 1
        if ping.settled == ping.count:
            self._settled(ping)

    def _free(self) -> int | None:
        """The next free sequence number; a new turn of the table gets a new cookie."""
        sequence = self._next
        for _ in range(SEARCH):
            if sequence >= SEQUENCES:
                sequence = 0
                self._cookie = secrets.token_bytes(COOKIE_SIZE)
                self._packets.clear()
            slot = self._table[sequence]
            if slot is None or slot[0].ended:
                return sequence
            sequence += 1
        self._next = sequence
        return None


def _arrival(ancillary: Ancillary, left: int, offset: int, now: int) -> int:
    """When a packet arrived that answers what left at ``left``, by the kernel's time stamp; monotonic ns."""
    arrived = now
    for level, kind, stamped in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(stamped)
            arrived = seconds * _SECOND + nanoseconds - offset
    if not left <= arrived <= now + _STEP:
        return max(now, left)  # the wall clock was set meanwhile: late by a wake-up is better than off by hours
    return arrived


def _clocks() -> tuple[int, int]:
    """How far the wall clock is ahead of the monotonic one, and the latter, ns.

    The kernel stamps packets with the wall clock, which may be set at any moment: so it is compared at each wake-up.
    """
    for _ in range(4):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if after - before < 20_000:
            break  # not interrupted between the two
    return wall - (before + after) // 2, after
