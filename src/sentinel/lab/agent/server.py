"""An SNMP agent on its UDP port: v2c by community, v3 by user (RFC 3412, RFC 3417)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sentinel.lab.agent import pdu
from sentinel.lab.agent.device import EXAMPLE_ENTERPRISE, device
from sentinel.lab.faults import DOWN, SLOW, SNMP_SILENT
from sentinel.lab.simulation import Service
from sentinel.wire.ber import (
    COUNTER32,
    OCTETS,
    SEQUENCE,
    BadMessage,
    Reader,
    integer,
    octets,
    oid,
    parse_oid,
    tlv,
)
from sentinel.wire.usm import Keys, NotDecrypted, User

_V2C, _V3, _USM = 1, 3, 3
_AUTH, _PRIVACY, _REPORTABLE = 1, 2, 4
_WINDOW: Final = 150  # seconds (RFC 3414, 2.2.3)
_LARGEST: Final = 65_507
BOOTS: Final = 1

# usmStats of RFC 3414: what was wrong with a message.
_LEVEL, _TIME, _USER, _ENGINE, _DIGEST, _DECRYPTION = (f"1.3.6.1.6.3.15.1.1.{number}.0" for number in range(1, 7))


@dataclass(frozen=True, slots=True)
class _Signed:
    """The header of a v3 message."""

    number: int
    flags: int
    engine: bytes
    boots: int
    time: int
    user: bytes
    salt: bytes


class _Refused(Exception):
    """A v3 message that is answered with a report; ``signed``: the report is."""

    def __init__(self, counter: str, *, signed: bool = False) -> None:
        super().__init__(counter)
        self.counter, self.signed = counter, signed


@dataclass(slots=True)
class _Users:
    """Whom an agent knows; keys are made when they are first needed: a password takes a mebibyte of hashing."""

    engine: bytes
    known: dict[bytes, User] = field(default_factory=dict)
    keys: dict[bytes, Keys] = field(default_factory=dict)

    def of(self, name: bytes) -> Keys:
        if name not in self.known:
            raise _Refused(_USER)
        if name not in self.keys:
            self.keys[name] = Keys(self.known[name], self.engine)
        return self.keys[name]


class Agent(asyncio.DatagramProtocol):
    """One agent; ``faults`` may change while it runs.  ``clock`` gives monotonic seconds."""

    def __init__(self, service: Service, notes: list[str], clock: Callable[[], float]) -> None:
        self.faults: frozenset[str] = frozenset()
        self._service = service
        self._clock, self._started = clock, clock()
        self._tree = device(service.target, service.checks, notes, lambda: self.faults)
        self._late = service.slow_seconds
        self._transport: asyncio.DatagramTransport | None = None
        # RFC 3411, SnmpEngineID: enterprise, format 1 (IPv4), address.
        engine = (0x80000000 | int(EXAMPLE_ENTERPRISE.rpartition(".")[2])).to_bytes(4, "big")
        engine += b"\x01" + ipaddress.IPv4Address(service.address).packed
        self._users = _Users(engine)
        self._communities: set[bytes] = set()
        self._refusals: dict[str, int] = {}
        for check in service.checks:
            self._admit(check.options)

    async def open(self) -> None:
        """Listen; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        if self._transport is None:
            loop = asyncio.get_running_loop()
            address = (self._service.address, self._service.port)
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=address)

    async def close(self) -> None:
        """Listen no more."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def show(self, faults: frozenset[str]) -> None:
        """Have these faults from now on; one that is down keeps its port and is silent, as a dead agent is."""
        self.faults = faults

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer a request; what is none is dropped, as agents do (RFC 3412, 4.2.1)."""
        if not self.faults.isdisjoint((DOWN, SNMP_SILENT)):
            return
        try:
            reply = self.answer(data)
        except (BadMessage, NotDecrypted):
            return
        if reply is None or len(reply) > _LARGEST:
            return
        if SLOW in self.faults:
            asyncio.get_running_loop().call_later(self._late, self._send, reply, addr)
        else:
            self._send(reply, addr)

    def answer(self, data: bytes) -> bytes | None:
        """The answer to one message; None where nobody may have one.

        Raises:
            BadMessage, NotDecrypted: it is no message.
        """
        message = Reader(data).enter(SEQUENCE)
        version = message.integer()
        if version == _V2C:
            community = message.content(OCTETS)
            if community not in self._communities:
                return None
            return self._v2c(community, pdu.read(message))
        if version == _V3 and self._users.known:
            return self._v3(data, message)
        return None

    def _v2c(self, community: bytes, request: pdu.Pdu) -> bytes:
        body = pdu.answer(request, self._tree, self._now)
        return tlv(SEQUENCE, integer(_V2C) + octets(community) + body)

    def _v3(self, data: bytes, message: Reader) -> bytes | None:
        header, scoped, at = _header(message)
        keys: Keys | None = None
        number = 0
        try:
            if header.engine != self._users.engine:
                raise _Refused(_ENGINE)
            keys = self._users.of(header.user)
            _admit_level(keys.user, header.flags)
            if header.flags & _AUTH:
                self._verify(data, at, keys, header)
            if header.flags & _PRIVACY:
                scoped = _decrypted(scoped, keys, header)
            request = _scoped(scoped)
        except _Refused as refused:
            if not header.flags & _REPORTABLE:
                return None
            if not header.flags & _PRIVACY:
                number = _number(scoped)
            return self._report(header, number, refused, keys)
        body = tlv(SEQUENCE, octets(self._users.engine) + octets(b"") + pdu.answer(request, self._tree, self._now))
        return self._message(header, body, keys, header.flags & (_AUTH | _PRIVACY))

    def _verify(self, data: bytes, at: int, keys: Keys, header: _Signed) -> None:
        size = keys.signature_bytes
        given = data[at : at + size]
        blank = data[:at] + bytes(size) + data[at + size :]
        if keys.signature(blank) != given:
            raise _Refused(_DIGEST)
        if header.boots != BOOTS or abs(header.time - self._time) > _WINDOW:
            raise _Refused(_TIME, signed=True)

    def _report(self, header: _Signed, number: int, refused: _Refused, keys: Keys | None) -> bytes:
        count = self._refusals[refused.counter] = self._refusals.get(refused.counter, 0) + 1
        row = tlv(SEQUENCE, oid(parse_oid(refused.counter)) + integer(count, COUNTER32))
        body = octets(self._users.engine) + octets(b"") + pdu.response(pdu.REPORT, number, row)
        return self._message(header, tlv(SEQUENCE, body), keys, _AUTH if refused.signed else 0)

    def _message(self, header: _Signed, scoped: bytes, keys: Keys | None, flags: int) -> bytes:
        time, salt = self._time, b""
        if keys is not None and flags & _PRIVACY:
            encrypted, salt = keys.encrypt(scoped, BOOTS, time)
            scoped = octets(encrypted)
        blank = bytes(keys.signature_bytes) if keys is not None and flags & _AUTH else b""
        parameters = tlv(
            SEQUENCE,
            octets(self._users.engine)
            + integer(BOOTS)
            + integer(time)
            + octets(header.user)
            + octets(blank)
            + octets(salt),
        )
        head = tlv(SEQUENCE, integer(header.number) + integer(_LARGEST) + octets(bytes((flags,))) + integer(_USM))
        whole = tlv(SEQUENCE, integer(_V3) + head + octets(parameters) + scoped)
        if not blank or keys is None:
            return whole
        # The signature stands before the salt, at the end of the parameters.
        at = len(whole) - len(scoped) - len(octets(salt)) - len(blank)
        return whole[:at] + keys.signature(whole) + whole[at + len(blank) :]

    def _admit(self, options: Any) -> None:
        """Know whom a check comes as."""
        if options.version == "v2c":
            self._communities.add(options.community.get_secret_value().encode())
            return
        secrets = [
            secret.get_secret_value() if secret else "" for secret in (options.auth_password, options.privacy_password)
        ]
        self._users.known[options.user.encode()] = User(
            options.user, options.auth, secrets[0], options.privacy, secrets[1]
        )

    @property
    def _now(self) -> float:
        return self._clock() - self._started

    @property
    def _time(self) -> int:
        return int(self._now)

    def _send(self, reply: bytes, peer: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, peer)


def _header(message: Reader) -> tuple[_Signed, Reader, int]:
    """The header of a v3 message, what follows it, and where in the datagram its signature stands."""
    head = message.enter(SEQUENCE)
    number, _ = head.integer(), head.integer()
    flags = head.content(OCTETS)
    if head.integer() != _USM or len(flags) != 1:
        raise BadMessage("another security model than USM")
    parameters = message.enter(OCTETS).enter(SEQUENCE)
    engine, boots, time = parameters.content(OCTETS), parameters.integer(), parameters.integer()
    user = parameters.content(OCTETS)
    signature = parameters.enter(OCTETS)
    salt = parameters.content(OCTETS)
    return _Signed(number, flags[0], engine, boots, time, user, salt), message, signature.at


def _admit_level(user: User, flags: int) -> None:
    """A user may ask signed where he has a key, encrypted where he has one for that, and unsigned only without any."""
    able = (_AUTH if user.auth else 0) | (_PRIVACY if user.privacy else 0)
    if flags & (_AUTH | _PRIVACY) & ~able or able & _AUTH & ~flags:
        raise _Refused(_LEVEL)


def _decrypted(message: Reader, keys: Keys, header: _Signed) -> Reader:
    try:
        return Reader(keys.decrypt(message.content(OCTETS), header.salt, header.boots, header.time))
    except (BadMessage, NotDecrypted):
        raise _Refused(_DECRYPTION) from None


def _scoped(message: Reader) -> pdu.Pdu:
    body = message.enter(SEQUENCE)
    body.content(OCTETS)
    body.content(OCTETS)
    return pdu.read(body)


def _number(message: Reader) -> int:
    """The request's number, for the report; 0 where it cannot be read (RFC 3412, 7.1, 3.c)."""
    try:
        return _scoped(Reader(message.data, message.at, message.end)).number
    except BadMessage:
        return 0
