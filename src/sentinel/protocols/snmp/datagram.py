"""What an SNMP datagram is, read before the decoder sees it.

gufo-snmp decodes in Rust and panics on a datagram that ends inside a header (two bytes are enough): the panic
prints to stderr and reaches Python as a ``BaseException``.  It leaves ``error-status`` and the reason of a report
unread, and does not verify the digest of a v3 answer.  So each datagram is read here first, structure only, and
handed on when it is sound.

BER: X.690 section 8; SNMPv2 PDUs: RFC 3416 section 3; v3 messages: RFC 3412 section 6; USM: RFC 3414 section 2.4.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

LARGEST = 4080
"""Bytes of the largest datagram that the decoder can take."""

Raw = str | bytes | int | float | None
"""A decoded value: no SNMP type is kept; OCTET STRING and Opaque are bytes, OBJECT IDENTIFIER and IpAddress str."""

NO_NAMES: Mapping[bytes, str] = MappingProxyType({})

_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE, _ADDRESS = 0x02, 0x04, 0x05, 0x06, 0x30, 0x40
_UNSIGNED = frozenset({0x41, 0x42, 0x43, 0x46, 0x47})
_RESPONSE, _REPORT = 0xA2, 0xA8

# Lengths that a value of each type may have; a type that is not here is refused (SMIv2 has no other: RFC 2578).
_LENGTHS: dict[int, tuple[int, int]] = {
    0x02: (1, 5),  # INTEGER
    0x04: (0, LARGEST),  # OCTET STRING
    0x05: (0, 0),  # NULL
    0x06: (1, 640),  # OBJECT IDENTIFIER: 128 sub-identifiers of five bytes
    0x40: (4, 4),  # IpAddress
    0x41: (1, 5),  # Counter32
    0x42: (1, 5),  # Gauge32
    0x43: (1, 5),  # TimeTicks
    0x44: (0, LARGEST),  # Opaque
    0x46: (1, 9),  # Counter64
    0x47: (1, 5),  # UInteger32
    0x80: (0, 0),  # noSuchObject
    0x81: (0, 0),  # noSuchInstance
    0x82: (0, 0),  # endOfMibView
}

# 1.3.6.1.6.3.15.1.1.N.0: usmStats, RFC 3414 section 5.
_USM_STATS = bytes((0x2B, 6, 1, 6, 3, 15, 1, 1))

DIGESTS: dict[str, tuple[str, int]] = {
    "md5": ("md5", 12),
    "sha": ("sha1", 12),
    "sha224": ("sha224", 16),
    "sha256": ("sha256", 24),
    "sha384": ("sha384", 32),
    "sha512": ("sha512", 48),
}
"""Hash and length in bytes of the truncated digest: RFC 3414 sections 6 and 7, RFC 7860 section 4.1."""


class MalformedError(ValueError):
    """The datagram is no SNMP message."""


class Reply(NamedTuple):
    """What a sound datagram says of itself.

    ``number`` is the request-id of v2c and the msgID of v3: an answer bears its request's.  ``report`` is the N of
    ``usmStats`` in a report and 0 in an answer; ``error_status`` is 0 too where the answer is encrypted, because it
    can't be seen.
    """

    number: int
    error_status: int = 0
    error_index: int = 0
    report: int = 0


class Key(NamedTuple):
    """The localised authentication key of a session (RFC 3414 section 2.6)."""

    algorithm: str
    secret: bytes


def request_number(data: bytes) -> int:
    """The request-id of a v2c request, the msgID of a v3 one: what its answer must bear."""
    at, end = _inside(data, 0, len(data), _SEQUENCE)
    version, at = _integer(data, at, end)
    if version == 3:
        at, end = _inside(data, at, end, _SEQUENCE)
    else:
        _, at = _inside(data, at, end, _OCTETS)
        _, at, end = _header(data, at, end)
    return _integer(data, at, end)[0]


def read_v2c(
    data: bytes, community: bytes, names: Mapping[bytes, str] = NO_NAMES, values: dict[str, Raw] | None = None
) -> Reply | None:
    """A v2c answer; None where it bears another community, so that it is not for us.

    ``values`` takes the values of those variables whose encoded OIDs are in ``names``, under the names there; one that
    the agent does not have (RFC 3416 section 4.2.1) is left out.

    Raises:
        MalformedError: it is no SNMPv2c message.
    """
    at, end = _inside(data, 0, len(data), _SEQUENCE)
    if end != len(data):
        raise MalformedError("bytes after the message")
    version, at = _integer(data, at, end)
    if version != 1:
        raise MalformedError(f"version {version} in an answer to a v2c request")
    start, stop = _inside(data, at, end, _OCTETS)
    if data[start:stop] != community:
        return None
    return _pdu(data, stop, end, names, values)


def read_v3(data: bytes, key: Key | None) -> Reply | None:
    """A v3 message; None where its digest is wrong or missing, which RFC 3414 section 3.2 tells to discard.

    ``key`` is None as long as there is nothing to verify with: no engine id yet, or a user without authentication.
    A report about our own credentials can't be authenticated and is let through.

    Raises:
        MalformedError: it is no SNMPv3 message of the user-based security model.
    """
    at, end = _inside(data, 0, len(data), _SEQUENCE)
    if end != len(data):
        raise MalformedError("bytes after the message")
    version, at = _integer(data, at, end)
    if version != 3:
        raise MalformedError(f"version {version} in an answer to a v3 request")
    header, after_header = _inside(data, at, end, _SEQUENCE)
    number, at = _integer(data, header, after_header)
    _, at = _integer(data, at, after_header)
    start, stop = _inside(data, at, after_header, _OCTETS)
    if stop - start != 1:
        raise MalformedError("message flags of another length than one")
    authenticated, encrypted = bool(data[start] & 1), bool(data[start] & 2)
    model, _ = _integer(data, stop, after_header)
    if model != 3:
        raise MalformedError(f"security model {model}")
    outer, body = _inside(data, after_header, end, _OCTETS)
    digest, privacy = _security(data, outer, body)
    if authenticated and key is not None and not _genuine(data, digest, key):
        return None
    if encrypted:
        start, stop = _inside(data, body, end, _OCTETS)
        # Only what is authenticated may reach the cipher: anything else decrypts to chance.
        return Reply(number) if authenticated and key is not None and privacy == 8 else None
    scoped, stop = _inside(data, body, end, _SEQUENCE)
    _, at = _inside(data, scoped, stop, _OCTETS)
    _, at = _inside(data, at, stop, _OCTETS)
    reply = _pdu(data, at, stop)._replace(number=number)
    return reply if authenticated or key is None or reply.report else None


def _security(data: bytes, start: int, stop: int) -> tuple[tuple[int, int], int]:
    """Where the digest is, and how many bytes the privacy parameters have (RFC 3414 section 2.4)."""
    at, end = _inside(data, start, stop, _SEQUENCE)
    first, at = _inside(data, at, end, _OCTETS)
    if at - first > 32:
        raise MalformedError("an engine id of more than 32 bytes")
    _, at = _integer(data, at, end)
    _, at = _integer(data, at, end)
    _, at = _inside(data, at, end, _OCTETS)
    digest = _inside(data, at, end, _OCTETS)
    privacy, at = _inside(data, digest[1], end, _OCTETS)
    return digest, at - privacy


def _genuine(data: bytes, digest: tuple[int, int], key: Key) -> bool:
    """RFC 3414 section 6.3.2: the digest over the whole message with the digest's own bytes as zeroes."""
    name, length = DIGESTS[key.algorithm]
    start, stop = digest
    if stop - start != length:
        return False
    blank = b"".join((data[:start], bytes(length), data[stop:]))
    return hmac.compare_digest(hmac.digest(key.secret, blank, name)[:length], data[start:stop])


def _pdu(
    data: bytes, at: int, end: int, names: Mapping[bytes, str] = NO_NAMES, values: dict[str, Raw] | None = None
) -> Reply:
    tag, at, stop = _header(data, at, end)
    if tag not in {_RESPONSE, _REPORT}:
        raise MalformedError(f"a PDU of type {tag:#x}")
    if stop != end:
        raise MalformedError("bytes after the PDU")
    number, at = _integer(data, at, stop)
    status, at = _integer(data, at, stop)
    index, at = _integer(data, at, stop)
    first, last = _inside(data, at, stop, _SEQUENCE)
    if last != stop:
        raise MalformedError("bytes after the variables")
    _variables(data, first, last, names, values)
    report = _report(data, first, last) if tag == _REPORT else 0
    return Reply(number, status, index, report)


def _variables(
    data: bytes, at: int, end: int, names: Mapping[bytes, str] = NO_NAMES, values: dict[str, Raw] | None = None
) -> None:
    while at < end:
        # The common case without a call: three headers of two bytes, as nearly every variable has them.
        if end - at >= 6 and data[at] == _SEQUENCE and not (data[at + 1] | data[at + 3]) & 0x80:
            tag, oid, stop = data[at + 2], at + 4, at + 2 + data[at + 1]
            value = oid + data[at + 3]
        else:
            sequence, at, stop = _header(data, at, end)
            tag, oid, value = _header(data, at, stop) if sequence == _SEQUENCE else (0, 0, 0)
        # The last byte of a sub-identifier has its high bit clear: X.690 section 8.19.2.
        if tag != _OID or not oid < value < stop <= end or data[value - 1] & 0x80:
            raise MalformedError("a variable without a name")
        tag, start, at = _header(data, value, stop)
        least, most = _LENGTHS.get(tag, (1, 0))
        if not least <= at - start <= most or at != stop:
            raise MalformedError(f"a value of type {tag:#x} and {at - start} bytes")
        if values is not None and tag < 0x80:
            name = names.get(data[oid:value])
            if name is not None:
                values[name] = _value(tag, data[start:at])


def _value(tag: int, content: bytes) -> Raw:
    """As the decoder gives it: numbers, bytes, and OIDs and addresses as text."""
    if tag in _UNSIGNED:
        return int.from_bytes(content, "big")
    if tag == _INTEGER:
        return int.from_bytes(content, "big", signed=True)
    if tag == _OID:
        return dotted(content)
    if tag == _ADDRESS:
        return ".".join(map(str, content))
    return None if tag == _NULL else content


def dotted(content: bytes) -> str:
    """An encoded OID in numbers with dots (X.690 section 8.19)."""
    parts, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(number)
            number = 0
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, (first, parts[0] - 40 * first, *parts[1:])))


def _report(data: bytes, at: int, end: int) -> int:
    """The N of usmStats, 255 for a report about anything else."""
    if at == end:
        return 255
    _, at, stop = _header(data, at, end)
    _, at, stop = _header(data, at, stop)
    known = data.startswith(_USM_STATS, at) and stop - at == len(_USM_STATS) + 2
    return data[stop - 2] if known else 255


def _header(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, and where the contents start and stop."""
    if at + 2 > end:
        raise MalformedError("the message ends inside a header")
    tag, length = data[at], data[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or at + size > end:
            raise MalformedError("a length that can't be")
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    if at + length > end:
        raise MalformedError("a length past the end")
    return tag, at, at + length


def _inside(data: bytes, at: int, end: int, expected: int) -> tuple[int, int]:
    tag, start, stop = _header(data, at, end)
    if tag != expected:
        raise MalformedError(f"type {tag:#x} where {expected:#x} is due")
    return start, stop


def _integer(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number, and where it stops."""
    start, stop = _inside(data, at, end, _INTEGER)
    if not 1 <= stop - start <= 5:
        raise MalformedError("an integer without a sound length")
    return int.from_bytes(data[start:stop], "big", signed=True), stop
