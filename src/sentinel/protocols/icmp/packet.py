"""ICMP echo on the wire: requests that can be told apart, and what comes back (RFC 792, RFC 4443).

An echo request carries, in front of its padding, the complement of its sequence number and a cookie:

    type  code  checksum  identifier  sequence | ~sequence  cookie (8 bytes)  padding ...

Sequence and complement always sum to 0xffff, so the checksum is the same for every sequence number and is computed
once a cookie.  The cookie changes whenever the sequence wraps: a reply that is late by a whole turn, or that belongs
to somebody else, is never taken for ours.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final, Literal

from icmplib import ICMPReply  # type: ignore[import-untyped]  # it ships no types
from icmplib.exceptions import ICMPError  # type: ignore[import-untyped]  # the same

Version = Literal[4, 6]

HEAD: Final = struct.Struct("!B3xHHH8s")
"""Type, identifier, sequence, its complement, cookie."""

COOKIE_SIZE: Final = 8
SMALLEST_PAYLOAD: Final = 2 + COOKIE_SIZE
REQUEST: Final[dict[Version, int]] = {4: 8, 6: 128}
REPLY: Final[dict[Version, int]] = {4: 0, 6: 129}

_SEQUENCE = struct.Struct("!HH")
_ICMPV6 = 58
_LOCAL_ORIGINS = frozenset({0, 1})  # SO_EE_ORIGIN_NONE and _LOCAL: sendto says the same by itself
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err, <linux/errqueue.h>


def request(version: Version, identifier: int, cookie: bytes, size: int) -> bytearray:
    """An echo request with ``size`` bytes of payload, ready but for its sequence number.

    The checksum is for raw IPv4 sockets; in every other case the kernel writes its own.
    """
    padding = bytes(index & 0xFF for index in range(SMALLEST_PAYLOAD, size))
    packet = bytearray(HEAD.pack(REQUEST[version], identifier, 0, 0xFFFF, cookie) + padding)
    struct.pack_into("!H", packet, 2, checksum(packet))
    return packet


def stamp(packet: bytearray, sequence: int) -> None:
    """Write the sequence number and its complement; the checksum stays right."""
    _SEQUENCE.pack_into(packet, 6, sequence, sequence ^ 0xFFFF)


def checksum(packet: bytes | bytearray) -> int:
    """The Internet checksum, RFC 1071."""
    padded = bytes(packet) + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True, slots=True)
class Rejection:
    """An ICMP error about an echo request that we may have sent.

    ``cookie`` is empty where the router quoted too little of the request: RFC 792 promises 8 bytes only.
    """

    sequence: int
    destination: str
    cookie: bytes
    kind: int
    code: int
    router: str


def quoted_v4(message: bytes | memoryview, router: str) -> Rejection | None:
    """What an ICMPv4 error message (from its type on) says of one of our requests; None where of none."""
    inner = bytes(message[8:])
    if len(inner) < 20 or inner[0] >> 4 != 4 or inner[9] != socket.IPPROTO_ICMP:
        return None
    return _quoted(4, inner[(inner[0] & 15) << 2 :], inner[16:20], (message[0], message[1], router))


def quoted_v6(message: bytes | memoryview, router: str) -> Rejection | None:
    """What an ICMPv6 error message says of one of our requests; None where of none (RFC 4443 section 3)."""
    inner = bytes(message[8:])
    if len(inner) < 40 or inner[0] >> 4 != 6 or inner[6] != _ICMPV6:
        return None
    return _quoted(6, inner[40:], inner[24:40], (message[0], message[1], router))


def queued(version: Version, message: bytes, extended: bytes, destination: str) -> Rejection | None:
    """What a ping socket's error queue says: our own request, and a ``struct sock_extended_err`` with its offender."""
    if len(extended) < _EXTENDED_ERROR.size:
        return None
    _, origin, kind, code, _, _ = _EXTENDED_ERROR.unpack_from(extended)
    if origin in _LOCAL_ORIGINS:
        return None
    address = _offender(version, extended[_EXTENDED_ERROR.size :])
    packed = socket.inet_pton(_FAMILY[version], destination.partition("%")[0])
    return _quoted(version, message, packed, (kind, code, address))


def final(version: Version, rejection: Rejection) -> bool:
    """Whether the error settles the echo.

    "Too big" (RFC 1191, RFC 8201) does not: the kernel learns the path's size from it and splits the next request.
    """
    if version == 4:
        return rejection.kind in {3, 11, 12} and (rejection.kind, rejection.code) != (3, 4)
    return rejection.kind in {1, 3, 4}


def words(version: Version, rejection: Rejection) -> str:
    """The error for people: "Destination host unreachable, said by 192.0.2.1"."""
    reply = ICMPReply(rejection.router, version, 0, rejection.sequence, rejection.kind, rejection.code, 0, 0.0)
    try:
        reply.raise_for_status()
    except ICMPError as error:
        return f"{error}, said by {rejection.router}"
    raise AssertionError(rejection)


_FAMILY: Final[dict[Version, socket.AddressFamily]] = {4: socket.AF_INET, 6: socket.AF_INET6}


def _quoted(version: Version, echo: bytes, destination: bytes, error: tuple[int, int, str]) -> Rejection | None:
    if len(echo) < 8 or echo[0] != REQUEST[version]:
        return None
    cookie = echo[10 : 10 + COOKIE_SIZE]
    return Rejection(
        sequence=int.from_bytes(echo[6:8], "big"),
        destination=socket.inet_ntop(_FAMILY[version], destination),
        cookie=cookie if len(cookie) == COOKIE_SIZE else b"",
        kind=error[0],
        code=error[1],
        router=error[2],
    )


def _offender(version: Version, address: bytes) -> str:
    """The router's address from a ``sockaddr_in`` or ``sockaddr_in6``."""
    packed = address[4:8] if version == 4 else address[8:24]
    return socket.inet_ntop(_FAMILY[version], packed) if len(packed) in {4, 16} else "an unknown router"
