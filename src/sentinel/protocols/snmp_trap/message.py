"""A notification as it is sent: SNMPv1 traps (RFC 1157), v2c and v3 traps and informs (RFC 3416)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sentinel.wire.ber import (
    ADDRESS,
    COUNTER32,
    COUNTER64,
    GAUGE32,
    INTEGER,
    NULL,
    OCTETS,
    OID,
    OPAQUE,
    SEQUENCE,
    TIMETICKS,
    BadMessage,
    Oid,
    Reader,
    integer,
    tlv,
)

LARGEST: Final = 16_384
"""Bytes of a datagram that is looked at; notifications are a few hundred."""
MOST_VARIABLES: Final = 64

RESPONSE: Final = 0xA2
_TRAP_V1, _INFORM, _TRAP = 0xA4, 0xA6, 0xA7

_UPTIME: Final[Oid] = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_TRAP_OID: Final[Oid] = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
_STANDARD: Final = "1.3.6.1.6.3.1.1.5"
_SPECIFIC = 6
_UNSIGNED = frozenset({COUNTER32, COUNTER64, GAUGE32, TIMETICKS, 0x47})

Raw = int | bytes | str | None
"""A variable's value: numbers, OCTET STRING and Opaque as bytes, OIDs and addresses as text."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One trap or inform.

    ``trap`` is its OID, a v1 trap's as RFC 3584 section 3.1 translates it.  ``number`` and ``rows`` (the encoded
    variables) are what the answer to an inform repeats.
    """

    trap: str
    variables: dict[str, Raw]
    inform: bool = False
    number: int = 0
    rows: bytes = b""

    def acknowledgement(self) -> bytes:
        """The Response-PDU that an inform waits for (RFC 3416 section 4.2.7)."""
        head = integer(self.number) + integer(0) + integer(0)
        return tlv(RESPONSE, head + tlv(SEQUENCE, self.rows))


def read(body: Reader) -> Notification:
    """A notification's PDU.

    Raises:
        BadMessage: it is none: another PDU, or broken.
    """
    tag = body.data[body.at] if body.more else 0
    if tag == _TRAP_V1:
        return _version_1(body.enter(_TRAP_V1))
    inner = body.enter(_TRAP, _INFORM)
    number, _, _ = inner.integer(), inner.integer(), inner.integer()
    bindings = inner.enter(SEQUENCE)
    rows = bindings.data[bindings.at : bindings.end]
    found = _variables(bindings)
    trap = found.pop(_dotted(_TRAP_OID), None)
    found.pop(_dotted(_UPTIME), None)
    if not isinstance(trap, str):
        raise BadMessage("no snmpTrapOID.0")  # RFC 3416 section 4.2.6 wants it second; some senders have it elsewhere
    return Notification(trap, found, tag == _INFORM, number, rows)


def _version_1(inner: Reader) -> Notification:
    enterprise = _dotted(inner.oid())
    inner.content(ADDRESS)  # agent-addr: what the device takes itself for; who sent it is known from the network
    generic, specific = inner.integer(), inner.integer()
    inner.enter(TIMETICKS)
    variables = _variables(inner.enter(SEQUENCE))
    if not 0 <= generic <= _SPECIFIC or specific < 0:
        raise BadMessage("a generic trap that does not exist")
    trap = f"{enterprise}.0.{specific}" if generic == _SPECIFIC else f"{_STANDARD}.{generic + 1}"
    return Notification(trap, variables)


def _variables(bindings: Reader) -> dict[str, Raw]:
    found: dict[str, Raw] = {}
    while bindings.more:
        if len(found) == MOST_VARIABLES:
            raise BadMessage("too many variables")
        row = bindings.enter(SEQUENCE)
        name = _dotted(row.oid())
        found[name] = _value(row)
    return found


def _value(row: Reader) -> Raw:
    before = row.at
    tag, start, end = row.element()
    content = row.data[start:end]
    if tag in (OCTETS, OPAQUE):
        return content
    if tag == OID:
        return _dotted(Reader(row.data, before, row.end).oid())
    if tag == ADDRESS:
        return ".".join(map(str, content))
    if tag == NULL or tag >= 0x80:
        return None
    if (tag not in _UNSIGNED and tag != INTEGER) or not 1 <= len(content) <= 9:
        raise BadMessage("a value of no known type")
    return int.from_bytes(content, "big", signed=tag == INTEGER)


def _dotted(oid: Oid) -> str:
    return ".".join(map(str, oid))
