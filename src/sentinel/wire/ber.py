"""BER as SNMP uses it: definite lengths, and the application types of SMIv2 (X.690; RFC 2578, 7.1; RFC 3416)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
SEQUENCE: Final = 0x30
ADDRESS: Final = 0x40
COUNTER32: Final = 0x41
GAUGE32: Final = 0x42
TIMETICKS: Final = 0x43
OPAQUE: Final = 0x44
COUNTER64: Final = 0x46
NO_SUCH_OBJECT: Final = b"\x80\x00"
NO_SUCH_INSTANCE: Final = b"\x81\x00"
END_OF_VIEW: Final = b"\x82\x00"

Oid = tuple[int, ...]

_MOST_ARCS: Final = 128  # RFC 3416, 4.1: no name is longer


class BadMessage(ValueError):
    """What came is no BER, or not what has to stand here."""


@dataclass(slots=True)
class Reader:
    """Takes one element after another from a message."""

    data: bytes
    at: int = 0
    end: int = -1

    def __post_init__(self) -> None:
        if self.end < 0:
            self.end = len(self.data)

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self.at < self.end

    def element(self) -> tuple[int, int, int]:
        """The tag of the next element, where its content begins and where it ends.

        Raises:
            BadMessage: nothing is left, or its length does not fit.
        """
        if self.at + 2 > self.end:
            raise BadMessage("cut short")
        tag, length, start = self.data[self.at], self.data[self.at + 1], self.at + 2
        if length >= 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or start + size > self.end:
                raise BadMessage("a length that does not fit")
            length = int.from_bytes(self.data[start : start + size], "big")
            start += size
        if start + length > self.end:
            raise BadMessage("a length that does not fit")
        self.at = start + length
        return tag, start, start + length

    def enter(self, *tags: int) -> Reader:
        """The content of the next element, which has one of these tags (any, where none is given)."""
        tag, start, end = self.element()
        if tags and tag not in tags:
            raise BadMessage(f"tag {tag:#x} in place of {tags[0]:#x}")
        return Reader(self.data, start, end)

    def content(self, tag: int) -> bytes:
        """The bytes of the next element, which has this tag."""
        inner = self.enter(tag)
        return self.data[inner.at : inner.end]

    def integer(self) -> int:
        """The next element as a whole number."""
        content = self.content(INTEGER)
        if not 1 <= len(content) <= 8:
            raise BadMessage("a number of no or of too many bytes")
        return int.from_bytes(content, "big", signed=True)

    def oid(self) -> Oid:
        """The next element as an object identifier."""
        content = self.content(OID)
        if not content or content[-1] & 0x80:
            raise BadMessage("an OID that does not end")
        arcs, number = [], 0
        for byte in content:
            number = number << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(number)
                number = 0
        if len(arcs) > _MOST_ARCS or max(arcs) >> 32:
            raise BadMessage("an OID with too many or too large numbers")
        first = min(arcs[0] // 40, 2)
        return (first, arcs[0] - 40 * first, *arcs[1:])


def tlv(tag: int, content: bytes) -> bytes:
    """One element."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A whole number; the unsigned types get a leading zero where their first bit is set."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(tag, value.to_bytes(size, "big", signed=True))


def octets(value: bytes) -> bytes:
    """An OCTET STRING."""
    return tlv(OCTETS, value)


def oid(name: Oid) -> bytes:
    """An OBJECT IDENTIFIER."""
    content = bytearray()
    for arc in (40 * name[0] + name[1], *name[2:]):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(septets))
    return tlv(OID, bytes(content))


def parse_oid(text: str) -> Oid:
    """``1.3.6.1`` as numbers."""
    return tuple(map(int, text.split(".")))
