"""The part of ASN.1's aligned packed encoding rules that RAS messages use (ITU-T X.691).

No library, on purpose: what a gatekeeper says in answer to one question has a dozen fields, and the codecs that exist
bring tens of megabytes for every protocol of telephony.  Everything is bounded by the datagram.
"""

from __future__ import annotations


class MalformedPer(ValueError):
    """The bytes cannot be what they should be."""


class Reader:
    """Takes fields off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0  # in bits

    def bits(self, count: int) -> int:
        """An unsigned number of so many bits, not aligned.

        Raises:
            MalformedPer: the bytes end before; every method here raises it.
        """
        end = self._at + count
        if end > 8 * len(self._data):
            raise MalformedPer("the message ends inside a field")
        first, last = self._at // 8, (end + 7) // 8
        found = int.from_bytes(self._data[first:last], "big") >> (8 * last - end)
        self._at = end
        return found & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit: a BOOLEAN, a mark of an extension or of an OPTIONAL field."""
        return bool(self.bits(1))

    def flags(self, count: int) -> tuple[bool, ...]:
        """The bitmap of the OPTIONAL fields, in their order (18.2)."""
        return tuple(self.flag() for _ in range(count))

    def octets(self, count: int) -> bytes:
        """So many bytes, from the next whole one on."""
        start = (self._at + 7) // 8
        if start + count > len(self._data):
            raise MalformedPer("the message ends inside a field")
        self._at = 8 * (start + count)
        return self._data[start : start + count]

    def number(self, size: int, least: int = 0) -> int:
        """A constrained number of 1 or 2 whole bytes, counted from its least value (10.5.7)."""
        return int.from_bytes(self.octets(size), "big") + least

    def length(self) -> int:
        """A length without a bound (10.9.3.5): below 16 Ki, for nothing longer fits a datagram of RAS."""
        first = self.number(1)
        if not first & 0x80:
            return first
        if first & 0x40:
            raise MalformedPer("a field in fragments")
        return (first & 0x3F) << 8 | self.number(1)

    def octet_string(self) -> bytes:
        """An OCTET STRING without a bound, an OBJECT IDENTIFIER's contents or an open type: a length, then bytes."""
        return self.octets(self.length())

    def small(self) -> int:
        """A normally small number (10.6): which extension of a CHOICE."""
        if self.flag():
            raise MalformedPer("an extension past the sixty-fourth")
        return self.bits(6)

    def bmp_string(self) -> str:
        """A BMPString of 1 to 128 characters, as identifiers are: a length in 7 bits, then whole bytes."""
        return self.octets(2 * (self.bits(7) + 1)).decode("utf-16-be", "replace")

    def skip_extensions(self) -> None:
        """What newer versions have added to a SEQUENCE (18.7, 18.8): a bitmap, and open types."""
        for present in self.flags(self.small() + 1):
            if present:
                self.octet_string()


class Writer:
    """Puts fields one after the other."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def bits(self, count: int, value: int) -> None:
        """An unsigned number in so many bits, not aligned."""
        if not 0 <= value < 1 << count:
            raise ValueError(f"{value} does not fit {count} bits")
        self._bits.append(format(value, f"0{count}b"))

    def flags(self, *values: bool) -> None:
        """Marks of extensions and OPTIONAL fields."""
        for value in values:
            self.bits(1, int(value))

    def octets(self, data: bytes) -> None:
        """Whole bytes, from the next whole one on."""
        self._bits = ["".join(self._bits)]
        self._bits.append("0" * (-len(self._bits[0]) % 8))
        self._bits.extend(format(byte, "08b") for byte in data)

    def number(self, size: int, value: int, least: int = 0) -> None:
        """A constrained number of 1 or 2 whole bytes, counted from its least value."""
        self.octets((value - least).to_bytes(size, "big"))

    def octet_string(self, data: bytes) -> None:
        """A length without a bound, then bytes; up to 127 of them."""
        if len(data) > 127:
            raise ValueError("only short strings are written here")
        self.octets(bytes((len(data),)) + data)

    def bmp_string(self, text: str) -> None:
        """A BMPString of 1 to 128 characters of the basic plane."""
        data = text.encode("utf-16-be")
        if not 2 <= len(data) <= 256:
            raise ValueError("an identifier has 1 to 128 characters")
        self.bits(7, len(data) // 2 - 1)
        self.octets(data)

    def encode(self) -> bytes:
        """The bytes, the last one filled up with zeroes (10.1.3)."""
        text = "".join(self._bits)
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""
