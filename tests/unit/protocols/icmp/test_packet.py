import socket
import struct

import pytest

from sentinel.protocols.icmp import packet
from sentinel.protocols.icmp.packet import Rejection, Version

COOKIE = b"cookie!!"


def quoted(version: Version, sequence: int, destination: str, size: int = 56) -> bytes:
    """The IP packet with one of our requests."""
    echo = packet.request(version, 7, COOKIE, size)
    packet.stamp(echo, sequence)
    if version == 4:
        return struct.pack("!BxHxxxxBBxx4x4s", 0x45, 0, 64, 1, socket.inet_aton(destination)) + echo
    return struct.pack("!IHBB16x16s", 6 << 28, 0, 58, 64, socket.inet_pton(socket.AF_INET6, destination)) + echo


@pytest.mark.parametrize("size", [10, 11, 56, 1400, 8972])
def test_the_checksum_holds_for_every_sequence_number(size: int) -> None:
    request = packet.request(4, 0xBEEF, COOKIE, size)
    assert len(request) == 8 + size
    for sequence in (0, 1, 255, 256, 0x7FFF, 0xFFFE, 0xFFFF):
        packet.stamp(request, sequence)
        assert packet.checksum(request) == 0
        assert packet.HEAD.unpack_from(request) == (8, 0xBEEF, sequence, sequence ^ 0xFFFF, COOKIE)


def test_the_checksum_of_rfc_1071() -> None:
    assert packet.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_an_error_names_the_request_it_is_about() -> None:
    message = bytes([3, 1, 0, 0, 0, 0, 0, 0]) + quoted(4, 4711, "198.51.100.9")
    assert packet.quoted_v4(message, "192.0.2.2") == Rejection(4711, "198.51.100.9", COOKIE, 3, 1, "192.0.2.2")


def test_eight_quoted_bytes_are_enough() -> None:
    message = bytes([3, 1, 0, 0, 0, 0, 0, 0]) + quoted(4, 4711, "198.51.100.9")[:28]
    rejection = packet.quoted_v4(message, "192.0.2.2")
    assert rejection is not None
    assert (rejection.sequence, rejection.cookie) == (4711, b"")


def test_an_icmpv6_error_names_the_request_it_is_about() -> None:
    message = bytes([1, 3, 0, 0, 0, 0, 0, 0]) + quoted(6, 9, "2001:db8::9")
    assert packet.quoted_v6(message, "2001:db8::1") == Rejection(9, "2001:db8::9", COOKIE, 1, 3, "2001:db8::1")


@pytest.mark.parametrize("length", range(0, 50, 7))
def test_a_short_error_is_about_nothing(length: int) -> None:
    assert packet.quoted_v6((bytes([1, 3, 0, 0, 0, 0, 0, 0]) + quoted(6, 9, "2001:db8::9"))[:length], "x") is None
    assert packet.quoted_v4((bytes([3, 3, 0, 0, 0, 0, 0, 0]) + quoted(4, 9, "192.0.2.9"))[: length // 2], "x") is None


def test_an_error_about_somebody_elses_udp_is_about_nothing() -> None:
    inner = bytearray(quoted(4, 1, "192.0.2.9"))
    inner[9] = socket.IPPROTO_UDP
    assert packet.quoted_v4(bytes(8) + inner, "192.0.2.2") is None


@pytest.mark.parametrize(
    ("version", "kind", "code", "final"),
    [(4, 3, 1, True), (4, 3, 4, False), (4, 11, 0, True), (4, 5, 0, False), (6, 1, 0, True), (6, 2, 0, False)],
)
def test_too_big_and_redirect_do_not_settle(version: Version, kind: int, code: int, final: bool) -> None:  # noqa: FBT001  # a table
    assert packet.final(version, Rejection(1, "", b"", kind, code, "")) is final


@pytest.mark.parametrize(
    ("version", "kind", "code", "said"),
    [
        (4, 3, 1, "Destination host unreachable, said by r"),
        (4, 3, 99, "Destination unreachable, bad code: 99, said by r"),
        (4, 12, 0, "Error type: 12, code: 0, said by r"),
        (6, 3, 0, "Hop limit exceeded, said by r"),
    ],
)
def test_words(version: Version, kind: int, code: int, said: str) -> None:
    assert packet.words(version, Rejection(1, "", b"", kind, code, "r")) == said


def test_a_local_entry_of_the_error_queue_is_nothing_new() -> None:
    local = struct.pack("=IBBBxII", 90, 1, 0, 0, 1500, 0) + bytes(16)
    assert packet.queued(4, bytes(packet.request(4, 7, COOKIE, 56)), local, "192.0.2.9") is None
    assert packet.queued(4, b"", b"short", "192.0.2.9") is None
