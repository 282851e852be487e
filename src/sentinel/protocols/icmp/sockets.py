"""Opening the one socket of a family: ping socket first, raw socket where those are closed.

A ping socket (``SOCK_DGRAM``) needs the group in ``net.ipv4.ping_group_range`` and no privilege; a raw socket needs
CAP_NET_RAW and sees every ICMP packet of the host, so that a filter in the kernel keeps the foreign ones away.
"""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Final

from icmplib import ICMPv4Socket, ICMPv6Socket  # type: ignore[import-untyped]  # it ships no types
from icmplib.exceptions import ICMPSocketError, SocketPermissionError  # type: ignore[import-untyped]  # the same

from sentinel.domain.failure import Failure
from sentinel.protocols.icmp.packet import REPLY, REQUEST, Version
from sentinel.sdk.failures import code_of

RECEIVE_BUFFER: Final = 4 << 20
"""Bytes asked for: with the usual 212 kB, two thirds of 3,000 replies that arrive at once are lost."""

# Linux's numbers that Python's socket module does not name.
SO_TIMESTAMPNS: Final = 35
IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
MSG_ERRQUEUE: Final = 0x2000
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0

_OPEN = {4: ICMPv4Socket, 6: ICMPv6Socket}
_NO_WAY = frozenset({"internal_error", "no_route"})  # EAFNOSUPPORT and its like: the family is switched off


class NoSocket(Exception):
    """Neither kind of socket can be had; ``failure`` is what every probe of the family answers then."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket that is ready to send and receive without blocking.

    ``owner`` closes the socket when it is collected, so it lives as long.  ``identifier`` is what our requests bear;
    a ping socket's is chosen by the kernel, which then delivers nothing else.  ``buffer``: the receive buffer in
    bytes as the kernel granted it (twice what was asked for, its own bookkeeping included).
    """

    socket: socket.socket
    raw: bool
    identifier: int
    buffer: int
    owner: object

    def dropped(self) -> int:
        """Packets that the kernel threw away because the receive buffer was full, since the opening."""
        # SK_MEMINFO_DROPS is the ninth of the 32-bit numbers: no cost a packet, unlike SO_RXQ_OVFL.
        return int(struct.unpack("9I", self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[8])


def open_socket(version: Version) -> Opened:
    """The socket of a family.

    Raises:
        NoSocket: with ``no_privilege``, ``no_route`` (the family is switched off) or ``no_resource``.
    """
    raw = False
    try:
        try:
            owner = _OPEN[version](privileged=False)
        except SocketPermissionError:
            raw = True
            owner = _OPEN[version](privileged=True)
    except SocketPermissionError as error:
        detail = "neither a ping socket (net.ipv4.ping_group_range) nor a raw one (CAP_NET_RAW) is allowed"
        raise NoSocket(Failure("prepare", "no_privilege", detail)) from error
    except ICMPSocketError as error:
        code = code_of(error.__context__) if error.__context__ else "internal_error"  # the OSError behind it
        raise NoSocket(Failure("prepare", "no_route" if code in _NO_WAY else code, str(error)[:500])) from error
    opened = owner.sock
    identifier = secrets.randbelow(0xFFFF) + 1 if raw else 0
    opened.setblocking(False)
    if raw:
        _attach(opened, filter_v4(identifier) if version == 4 else filter_v6(identifier))
    elif version == 4:
        opened.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    if version == 4:
        # Large requests are split on their way rather than refused: the check asks for an echo, not for the MTU.
        opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return Opened(opened, raw, identifier, _enlarge(opened), owner)


def _enlarge(opened: socket.socket) -> int:
    """Ask for the large buffer: past ``rmem_max`` with CAP_NET_ADMIN, up to it without."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    with contextlib.suppress(PermissionError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


Instruction = tuple[int, int, int, int]
"""Operation, constant, line to go on at where equal, line where not (both 0 where the operation is no comparison)."""

# Classic BPF, see the kernel's Documentation/networking/filter.rst.
_LDX_HEADER = 0xB1  # X = 4 * (packet[k] & 0xf): the length of an IPv4 header
_LDB, _LDH = 0x30, 0x28  # byte, half word at k
_LDB_X, _LDH_X = 0x50, 0x48  # at X + k
_JEQ = 0x15
_RETURN = 0x06
_WHOLE = 0xFFFF_FFFF


def filter_v4(identifier: int) -> list[Instruction]:
    """Echo replies that bear our identifier, and errors about requests that do; the packet begins with its IP header.

    An error that quotes an IP header with options (not 0x45) passes: it is rare, and read in Python.
    """
    take, drop = 14, 15
    return [
        (_LDX_HEADER, 0, 0, 0),
        (_LDB_X, 0, 0, 0),  # 1: type
        (_JEQ, REPLY[4], 3, 5),
        (_LDH_X, 4, 0, 0),  # 3: the reply's identifier
        (_JEQ, identifier, take, drop),
        (_JEQ, 3, 8, 6),  # 5: unreachable,
        (_JEQ, 11, 8, 7),  # time exceeded,
        (_JEQ, 12, 8, drop),  # bad parameter, and nothing else
        (_LDB_X, 8, 0, 0),  # 8: the quoted IP header
        (_JEQ, 0x45, 10, take),
        (_LDB_X, 28, 0, 0),  # 10: the quoted type
        (_JEQ, REQUEST[4], 12, drop),
        (_LDH_X, 32, 0, 0),  # 12: the quoted identifier
        (_JEQ, identifier, take, drop),
        (_RETURN, _WHOLE, 0, 0),
        (_RETURN, 0, 0, 0),
    ]


def filter_v6(identifier: int) -> list[Instruction]:
    """The same for ICMPv6, whose packets arrive without the IP header (RFC 3542 section 3)."""
    take, drop = 13, 14
    return [
        (_LDB, 0, 0, 0),  # type
        (_JEQ, REPLY[6], 2, 4),
        (_LDH, 4, 0, 0),  # 2: the reply's identifier
        (_JEQ, identifier, take, drop),
        (_JEQ, 1, 7, 5),  # 4: unreachable,
        (_JEQ, 3, 7, 6),  # time exceeded,
        (_JEQ, 4, 7, drop),  # bad parameter, and nothing else
        (_LDB, 14, 0, 0),  # 7: the quoted header's next header
        (_JEQ, socket.IPPROTO_ICMPV6, 9, drop),
        (_LDB, 48, 0, 0),  # 9: the quoted type
        (_JEQ, REQUEST[6], 11, drop),
        (_LDH, 52, 0, 0),  # 11: the quoted identifier
        (_JEQ, identifier, take, drop),
        (_RETURN, _WHOLE, 0, 0),
        (_RETURN, 0, 0, 0),
    ]


def assemble(program: list[Instruction]) -> bytes:
    """The program as the kernel's ``struct sock_filter``, whose jumps count from the next line."""
    return b"".join(
        struct.pack("=HBBI", code, max(equal - line, 1) - 1, max(other - line, 1) - 1, constant)
        for line, (code, constant, equal, other) in enumerate(program)
    )


def _attach(opened: socket.socket, program: list[Instruction]) -> None:
    """Set ``SO_ATTACH_FILTER``; the kernel copies the program."""
    code = ctypes.create_string_buffer(assemble(program))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
