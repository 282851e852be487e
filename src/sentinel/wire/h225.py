"""RAS messages of H.323 about finding a gatekeeper (ITU-T H.225.0, 7.8): its question and its answers.

    data = GatekeeperRequest(7, ("192.0.2.1", 40000), "GK").encode()
    answer = parse_answer(data)                  # GatekeeperConfirm, GatekeeperReject, ...
    answer.number                                # that of the request

Only discovery (GRQ, GCF, GRJ) and what else may answer it; no message of calls or registrations can be written here.
Encoded by the aligned packed encoding rules; fields of newer versions are passed over.  No input or output here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from sentinel.wire.h225_per import MalformedPer, Reader, Writer

VERSION: Final = bytes((0, 8, 0x91, 0x4A, 0, 4))
"""``{itu-t(0) recommendation(0) h(8) 2250 version(0) 4}``, as the contents of an OBJECT IDENTIFIER (X.690, 8.19)."""

MAX_IDENTIFIER: Final = 128
"""Characters of a gatekeeper's identifier, at most."""

# Places in the CHOICE RasMessage (annex H).
_REQUEST, _CONFIRM, _REJECT, _UNKNOWN = 0, 1, 2, 24
_IN_PROGRESS = 0  # the first of the extensions

REASONS: Final = ("resourceUnavailable", "terminalExcluded", "invalidRevision", "undefinedReason")
"""Why a gatekeeper rejects, in the order of GatekeeperRejectReason."""

_NEWER_REASONS: Final = ("securityDenial", "genericDataReason", "neededFeatureNotSupported", "securityError")
_ADDRESSES: Final = ("ipAddress", "ipSourceRoute", "ipxAddress", "ip6Address", "netBios", "nsap", "nonStandardAddress")
_IP, _IP6 = 0, 3

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class GatekeeperRequest:
    """GRQ: who of you is a gatekeeper?  ``number`` is 1 to 65535; ``ras_address`` is where the answer shall go."""

    number: int
    ras_address: Endpoint
    gatekeeper: str | None = None

    def encode(self) -> bytes:
        """The bytes of the message; we ask as a terminal.

        Raises:
            ValueError: the identifier is too long or has characters past the basic plane.
        """
        writer = _begun(_REQUEST, (False, self.gatekeeper is not None, False, False), self.number)
        _write_address(writer, self.ras_address)
        # EndpointType: of its OPTIONAL fields the terminal only, which has none itself; no MC, no undefined node.
        writer.flags(False, False, False, False, False, False, True)
        writer.flags(False, False)
        writer.flags(False, False)
        if self.gatekeeper is not None:
            writer.bmp_string(self.gatekeeper)
        return writer.encode()


@dataclass(frozen=True, slots=True)
class GatekeeperConfirm:
    """GCF: I am one.  ``ras_address`` is None where it is of a kind that is not the internet's."""

    number: int
    gatekeeper: str | None
    ras_address: Endpoint | None

    def encode(self) -> bytes:
        """The bytes of the message.

        Raises:
            ValueError: no address, or an identifier that cannot be written.
        """
        if self.ras_address is None:
            raise ValueError("a confirmation tells an address")
        writer = _begun(_CONFIRM, (False, self.gatekeeper is not None), self.number)
        if self.gatekeeper is not None:
            writer.bmp_string(self.gatekeeper)
        _write_address(writer, self.ras_address)
        return writer.encode()


@dataclass(frozen=True, slots=True)
class GatekeeperReject:
    """GRJ: I am one, but not for you.  ``reason`` is a word of the recommendation."""

    number: int
    gatekeeper: str | None
    reason: str

    def encode(self) -> bytes:
        """The bytes of the message.

        Raises:
            ValueError: a reason that is none of ``REASONS``.
        """
        writer = _begun(_REJECT, (False, self.gatekeeper is not None), self.number)
        if self.gatekeeper is not None:
            writer.bmp_string(self.gatekeeper)
        writer.flags(False)
        writer.bits(2, REASONS.index(self.reason))
        return writer.encode()


@dataclass(frozen=True, slots=True)
class RequestInProgress:
    """RIP: wait, up to ``delay`` seconds."""

    number: int
    delay: float


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """XRS: I speak RAS and do not know that message."""

    number: int


Answer = GatekeeperConfirm | GatekeeperReject | RequestInProgress | UnknownMessage


def parse_answer(data: bytes) -> Answer:
    """What a datagram answers.

    Raises:
        MalformedPer: it is no RAS message, or none that answers a GatekeeperRequest.
    """
    reader = Reader(data)
    if reader.flag():
        kind, body = reader.small(), Reader(reader.octet_string())
        if kind != _IN_PROGRESS:
            raise MalformedPer(f"RAS message {kind} of the newer ones")
        return _in_progress(body)
    kind = reader.bits(5)
    if kind == _CONFIRM:
        number, gatekeeper = _beginning(reader)
        return GatekeeperConfirm(number, gatekeeper, _read_address(reader))
    if kind == _REJECT:
        number, gatekeeper = _beginning(reader)
        return GatekeeperReject(number, gatekeeper, _reason(reader))
    if kind == _UNKNOWN:
        reader.flag()
        return UnknownMessage(_number(reader))
    raise MalformedPer(f"RAS message {kind}")


def parse_request(data: bytes) -> GatekeeperRequest:
    """A GatekeeperRequest, as a gatekeeper reads it.

    Raises:
        MalformedPer: it is none, or of an endpoint that is more than a terminal.
    """
    reader = Reader(data)
    if reader.flag() or reader.bits(5) != _REQUEST:
        raise MalformedPer("no GatekeeperRequest")
    reader.flag()  # what newer versions add comes last, and is not read
    nonstandard, named, _, _ = reader.flags(4)
    number = _number(reader)
    reader.octet_string()  # the version
    if nonstandard:
        _skip_nonstandard(reader)
    address = _read_address(reader)
    _skip_endpoint_type(reader)
    if address is None:
        raise MalformedPer("no address of the internet")
    return GatekeeperRequest(number, address, reader.bmp_string() if named else None)


def _begun(kind: int, optional: tuple[bool, ...], number: int) -> Writer:
    writer = Writer()
    writer.flags(False)
    writer.bits(5, kind)
    writer.flags(False, *optional)
    writer.number(2, number, least=1)
    writer.octet_string(VERSION)
    return writer


def _beginning(reader: Reader) -> tuple[int, str | None]:
    """What GCF and GRJ begin with alike."""
    reader.flag()  # what newer versions add comes last, and is not read
    nonstandard, named = reader.flags(2)
    number = _number(reader)
    reader.octet_string()  # the version
    if nonstandard:
        _skip_nonstandard(reader)
    return number, reader.bmp_string() if named else None


def _number(reader: Reader) -> int:
    return reader.number(2, least=1)


def _reason(reader: Reader) -> str:
    if not reader.flag():
        return REASONS[reader.bits(2)]
    kind = reader.small()
    return _NEWER_REASONS[kind] if kind < len(_NEWER_REASONS) else f"reason {kind} of the newer ones"


def _in_progress(reader: Reader) -> RequestInProgress:
    reader.flag()
    nonstandard, *rest = reader.flags(4)
    number = _number(reader)
    if nonstandard:
        _skip_nonstandard(reader)
    # Tokens may stand before the delay; they are not worth reading for it.
    return RequestInProgress(number, 0.0 if any(rest) else reader.number(2, least=1) / 1000)


def _write_address(writer: Writer, endpoint: Endpoint) -> None:
    address = ipaddress.ip_address(endpoint[0])
    writer.flags(False)
    writer.bits(3, _IP if address.version == 4 else _IP6)
    if address.version == 6:
        writer.flags(False)
    writer.octets(address.packed)
    writer.number(2, endpoint[1])


def _read_address(reader: Reader) -> Endpoint | None:
    if reader.flag():
        raise MalformedPer("an address of a kind that is not known")
    kind = reader.bits(3)
    if kind not in {_IP, _IP6}:
        if kind >= len(_ADDRESSES):
            raise MalformedPer(f"an address of kind {kind}")
        return None  # nothing that is wanted follows in an answer
    extended = kind == _IP6 and reader.flag()
    address = ipaddress.ip_address(reader.octets(4 if kind == _IP else 16))
    port = reader.number(2)
    if extended:
        reader.skip_extensions()
    return str(address), port


def _skip_nonstandard(reader: Reader) -> None:
    """NonStandardParameter: whose it is, and data."""
    if reader.flag():
        reader.small()
        reader.octet_string()
    elif reader.flag():
        _skip_h221(reader)
    else:
        reader.octet_string()  # an OBJECT IDENTIFIER
    reader.octet_string()


def _skip_h221(reader: Reader) -> None:
    """H221NonStandard: country, extension and maker."""
    extended = reader.flag()
    reader.octets(4)  # numbers of one, one and two bytes
    if extended:
        reader.skip_extensions()


def _skip_endpoint_type(reader: Reader) -> None:
    extended = reader.flag()
    nonstandard, vendor, gatekeeper, gateway, mcu, terminal = reader.flags(6)
    if gatekeeper or gateway or mcu:
        raise MalformedPer("an endpoint that is more than a terminal")
    if nonstandard:
        _skip_nonstandard(reader)
    if vendor:
        _skip_vendor(reader)
    if terminal:
        terminal_extended, more = reader.flags(2)
        if more:
            _skip_nonstandard(reader)
        if terminal_extended:
            reader.skip_extensions()
    reader.flags(2)  # mc, undefinedNode
    if extended:
        reader.skip_extensions()


def _skip_vendor(reader: Reader) -> None:
    """VendorIdentifier: the maker, and perhaps product and version, of 1 to 256 bytes each."""
    extended, product, version = reader.flags(3)
    _skip_h221(reader)
    for given in (product, version):
        if given:
            reader.octets(reader.number(1, least=1))
    if extended:
        reader.skip_extensions()
