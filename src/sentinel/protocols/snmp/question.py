"""A v2c GET without the decoder: its datagram is made once, and its answer is read in the pass that proves it sound.

A poll asks the same each time, so that only the request-id changes; and the answer must be looked at in any case (see
``datagram``).  Handing both to the decoder and back again took a third of a poll's time.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random

from sentinel.protocols.snmp.datagram import Raw, Reply, read_v2c

_RANDOM = Random()  # noqa: S311 - a request-id keeps answers apart; v2c has nothing that a better one would protect
_FIRST, _LAST = 1 << 24, (1 << 31) - 1  # always of four bytes, so that no length changes with it


class Question:
    """A GET of some OIDs: ``datagram`` makes its request, ``read`` its answer."""

    __slots__ = ("_community", "_head", "_names", "_tail")

    def __init__(self, community: bytes, oids: tuple[str, ...]) -> None:
        names = [encoded(oid) for oid in oids]
        self._names = dict(zip(names, oids, strict=True))
        self._community = community
        variables = _tlv(0x30, b"".join(_tlv(0x30, _tlv(0x06, name) + b"\x05\x00") for name in names))
        self._tail = b"\x02\x01\x00\x02\x01\x00" + variables
        pdu = _tlv(0xA0, b"\x02\x04" + bytes(4) + self._tail)
        whole = _tlv(0x30, b"\x02\x01\x01" + _tlv(0x04, community) + pdu)
        self._head = whole[: len(whole) - len(self._tail) - 4]

    def datagram(self) -> tuple[int, bytes]:
        """A request-id that chance chose, and the request that bears it."""
        number = _RANDOM.randrange(_FIRST, _LAST)
        return number, b"".join((self._head, number.to_bytes(4, "big"), self._tail))

    def read(self, data: bytes) -> tuple[Reply | None, dict[str, Raw]]:
        """What a datagram says of itself, None where it is not for us; and the values, by the OIDs that were asked for.

        Raises:
            MalformedError: it is no SNMPv2c message.
        """
        values: dict[str, Raw] = {}
        return read_v2c(data, self._community, self._names, values), values


@lru_cache(maxsize=1024)  # a check asks for its list each time, and for a table's cells in lists of forty
def question(community: bytes, oids: tuple[str, ...]) -> Question:
    """The question of these OIDs, made once."""
    return Question(community, oids)


def encoded(oid: str) -> bytes:
    """The content of an OBJECT IDENTIFIER (X.690 section 8.19)."""
    first, second, *rest = map(int, oid.split("."))
    arcs = (40 * first + second, *rest)
    if max(arcs) < 128:
        return bytes(arcs)
    content = bytearray()
    for arc in arcs:
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(septets))
    return bytes(content)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
