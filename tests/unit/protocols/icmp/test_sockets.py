"""The kernel's filters, run by a small machine of ours on packets of each kind."""

import struct

import pytest

from sentinel.protocols.icmp.sockets import assemble, filter_v4, filter_v6
from tests.unit.protocols.icmp.test_packet import quoted

OURS, THEIRS = 7, 8


def passes(program: bytes, packet: bytes) -> bool:
    """Whether a classic BPF program takes a packet; a load beyond the packet drops it."""
    lines: list[tuple[int, int, int, int]] = list(struct.iter_unpack("=HBBI", program))
    a = x = at = 0
    while True:
        code, equal, other, k = lines[at]
        at += 1
        where = k + x if code in {0x50, 0x48} else k
        if code == 0x06:
            return k > 0
        if code == 0x15:
            at += equal if a == k else other
        elif where + (2 if code & 0x08 else 1) > len(packet):
            return False
        elif code == 0xB1:
            x = (packet[k] & 15) * 4
        else:
            a = int.from_bytes(packet[where : where + (2 if code & 0x08 else 1)], "big")


def ip(message: bytes, options: int = 0) -> bytes:
    return bytes([0x45 + options]) + bytes(19 + 4 * options) + message


def reply(kind: int, identifier: int) -> bytes:
    return struct.pack("!BxHHH", kind, 0, identifier, 1) + bytes(56)


@pytest.mark.parametrize("options", [0, 3])
@pytest.mark.parametrize(
    ("message", "taken"),
    [
        (reply(0, OURS), True),
        (reply(0, THEIRS), False),
        (reply(8, OURS), False),  # our own request, seen on loopback
        (bytes([3, 1, 0, 0, 0, 0, 0, 0]) + quoted(4, 1, "192.0.2.9"), True),
        (bytes([11, 0, 0, 0, 0, 0, 0, 0]) + quoted(4, 1, "192.0.2.9"), True),
        (bytes([12, 0, 0, 0, 0, 0, 0, 0]) + quoted(4, 1, "192.0.2.9"), True),
        (bytes([5, 0, 0, 0, 0, 0, 0, 0]) + quoted(4, 1, "192.0.2.9"), False),
        (bytes([3, 3, 0, 0, 0, 0, 0, 0]) + b"\x45" + bytes(40), False),
        (bytes([3, 1, 0, 0, 0, 0, 0, 0]) + b"\x46" + bytes(50), True),  # quoted options: Python looks closer
    ],
)
def test_ipv4(message: bytes, taken: bool, options: int) -> None:  # noqa: FBT001  # a table
    assert passes(assemble(filter_v4(OURS)), ip(message, options)) is taken
    assert not passes(assemble(filter_v4(THEIRS + 1)), ip(message, options)) or message[8:9] == b"\x46"


@pytest.mark.parametrize(
    ("message", "taken"),
    [
        (reply(129, OURS), True),
        (reply(129, THEIRS), False),
        (reply(128, OURS), False),
        (reply(135, OURS), False),  # neighbour solicitation
        (bytes([1, 0, 0, 0, 0, 0, 0, 0]) + quoted(6, 1, "2001:db8::9"), True),
        (bytes([3, 0, 0, 0, 0, 0, 0, 0]) + quoted(6, 1, "2001:db8::9"), True),
        (bytes([4, 0, 0, 0, 0, 0, 0, 0]) + quoted(6, 1, "2001:db8::9"), True),
        (bytes([2, 0, 0, 0, 0, 0, 0, 0]) + quoted(6, 1, "2001:db8::9"), False),
        (bytes([1, 0, 0, 0, 0, 0, 0, 0]) + bytes(60), False),
    ],
)
def test_ipv6(message: bytes, taken: bool) -> None:  # noqa: FBT001  # a table
    assert passes(assemble(filter_v6(OURS)), message) is taken
    assert not passes(assemble(filter_v6(THEIRS + 1)), message)
