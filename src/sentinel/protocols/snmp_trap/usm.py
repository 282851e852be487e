"""SNMPv3 notifications: who sent them, unchanged, and not before (RFC 3412 section 7.2, RFC 3414 section 3.2).

The sender of a trap is its authoritative engine: its id and clock are learned from messages whose signature is right.
For informs that is this daemon, and a sender asks for its id and clock first; the id is another after each start.
"""

from __future__ import annotations

import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sentinel.protocols.snmp_trap.message import Notification, read
from sentinel.wire.ber import COUNTER32, OCTETS, SEQUENCE, BadMessage, Reader, integer, octets, oid, parse_oid, tlv
from sentinel.wire.usm import Keys, NotDecrypted, User

V3: Final = 3
BOOTS: Final = 1
_USM = 3
_AUTH, _PRIVACY, _REPORTABLE = 1, 2, 4
_WINDOW: Final = 150  # seconds (RFC 3414 section 2.2.3)
_LARGEST: Final = 16_384
_REPORT: Final = 0xA8
_LAST_BOOT = (1 << 31) - 1
_ENGINES: Final = 1_024
"""Senders whose keys and clocks are kept, at most."""
_SIGNATURES: Final = 64
"""Of each sender: what was signed like that was there before."""

_LEVEL, _TIME, _USER, _ENGINE, _DIGEST, _DECRYPTION = (f"1.3.6.1.6.3.15.1.1.{number}.0" for number in range(1, 7))

Users = Callable[[bytes], Sequence[User]]
"""Those that a source may send as, by name: several checks of one device may have one each."""


class Refused(Exception):
    """Not let in.  ``reason`` is a label of the drop counter; ``report``: the answer that its sender may have."""

    def __init__(self, reason: str, report: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason, self.report = reason, report


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a v3 message; its ``signature`` stands at byte ``at``."""

    number: int
    flags: int
    engine: bytes
    boots: int
    time: int
    user: bytes
    signature: bytes
    salt: bytes
    at: int


@dataclass(slots=True)
class _Sender:
    """A foreign engine's clock as it was last told, and its last signatures."""

    boots: int
    time: int
    signatures: OrderedDict[bytes, None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A notification that may be believed; ``user`` is who sent it, ``repeated``: it was here before."""

    notification: Notification
    user: User
    acknowledgement: bytes | None
    repeated: bool


class Gatekeeper:
    """Opens v3 messages; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        # RFC 3411, SnmpEngineID: the enterprise set aside for examples (RFC 5612), format 5, octets.
        self.engine = (0x80000000 | 32473).to_bytes(4, "big") + b"\x05" + os.urandom(8)
        self._clock, self._started = clock, clock()
        self._senders: OrderedDict[bytes, _Sender] = OrderedDict()
        self._keys: OrderedDict[tuple[User, bytes], Keys] = OrderedDict()
        self._refusals: dict[str, int] = {}

    def open(self, data: bytes, message: Reader, users: Users) -> Opened:
        """A v3 message's notification; ``message`` stands behind the version.

        Raises:
            Refused: an unknown user, a wrong signature, a level that is not the user's, out of time, undecipherable.
            BadMessage: it is no message.
        """
        header, scoped = _header(message)
        if not 5 <= len(header.engine) <= 32:
            raise self._refused("discovery", _ENGINE, header, scoped)
        keys = self._verified(data, header, scoped, users(header.user))
        repeated = self._in_time(header, keys, scoped)
        if header.flags & _PRIVACY:
            try:
                plain = keys.decrypt(scoped.content(OCTETS), header.salt, header.boots, header.time)
                notification, context = _scoped(Reader(plain))
            except (BadMessage, NotDecrypted):
                raise self._refused("unauthorized", _DECRYPTION, header, None) from None
        else:
            notification, context = _scoped(scoped)
        answer = None
        if notification.inform:
            body = tlv(SEQUENCE, context + notification.acknowledgement())
            answer = self._message(header, body, keys, header.flags & (_AUTH | _PRIVACY))
        return Opened(notification, keys.user, answer, repeated)

    def _verified(self, data: bytes, header: Header, scoped: Reader, users: Sequence[User]) -> Keys:
        """The keys with which it is signed, at the level that its user has and no other."""
        if not users:
            raise self._refused("unauthorized", _USER, header, scoped)
        level = header.flags & (_AUTH | _PRIVACY)
        fitting = [user for user in users if level == (_AUTH if user.auth else 0) | (_PRIVACY if user.privacy else 0)]
        if not fitting:
            raise self._refused("unauthorized", _LEVEL, header, scoped)
        for user in fitting:
            keys = self._of(user, header.engine)
            size = keys.signature_bytes
            if not size:
                return keys
            blank = data[: header.at] + bytes(size) + data[header.at + size :]
            if len(header.signature) == size and hmac.compare_digest(keys.signature(blank), header.signature):
                return keys
        raise self._refused("unauthorized", _DIGEST, header, scoped)

    def _in_time(self, header: Header, keys: Keys, scoped: Reader) -> bool:
        """Whether it was here before (RFC 3414 section 3.2, 7); nothing is known of what nobody signed."""
        if not keys.signature_bytes:
            return False
        if header.engine == self.engine:
            if header.boots != BOOTS or abs(header.time - self._time) > _WINDOW:
                raise self._refused("out_of_time", _TIME, header, scoped, keys)
            sender = self._sender(header.engine, header)
        else:
            sender = self._sender(header.engine, header)
            old = header.boots < sender.boots or (header.time < sender.time - _WINDOW and header.boots == sender.boots)
            if old or header.boots >= _LAST_BOOT:
                raise Refused("out_of_time")
            sender.boots, sender.time = max((sender.boots, sender.time), (header.boots, header.time))
        if header.signature in sender.signatures:
            return True
        sender.signatures[header.signature] = None
        if len(sender.signatures) > _SIGNATURES:
            sender.signatures.popitem(last=False)
        return False

    def _sender(self, engine: bytes, header: Header) -> _Sender:
        sender = self._senders.get(engine)
        if sender is None:
            sender = self._senders[engine] = _Sender(header.boots, header.time, OrderedDict())
            if len(self._senders) > _ENGINES:
                self._senders.popitem(last=False)
        self._senders.move_to_end(engine)
        return sender

    def _of(self, user: User, engine: bytes) -> Keys:
        keys = self._keys.get((user, engine))
        if keys is None:
            keys = self._keys[user, engine] = Keys(user, engine)
            if len(self._keys) > _ENGINES:
                self._keys.popitem(last=False)
        return keys

    def _refused(
        self, reason: str, counter: str, header: Header, scoped: Reader | None, signer: Keys | None = None
    ) -> Refused:
        """With the report that RFC 3412 section 7.1 has for those that may have one; signed where it tells the time."""
        if not header.flags & _REPORTABLE:
            return Refused(reason)
        count = self._refusals[counter] = self._refusals.get(counter, 0) + 1
        row = tlv(SEQUENCE, oid(parse_oid(counter)) + integer(count, COUNTER32))
        number = 0 if scoped is None or header.flags & _PRIVACY else _number(scoped)
        pdu = tlv(_REPORT, integer(number) + integer(0) + integer(0) + tlv(SEQUENCE, row))
        body = tlv(SEQUENCE, octets(self.engine) + octets(b"") + pdu)
        return Refused(reason, self._message(header, body, signer, _AUTH if signer else 0))

    def _message(self, header: Header, scoped: bytes, keys: Keys | None, flags: int) -> bytes:
        salt = b""
        if keys is not None and flags & _PRIVACY:
            encrypted, salt = keys.encrypt(scoped, BOOTS, self._time)
            scoped = octets(encrypted)
        blank = bytes(keys.signature_bytes) if keys is not None and flags & _AUTH else b""
        about = octets(self.engine) + integer(BOOTS) + integer(self._time) + octets(header.user)
        parameters = tlv(SEQUENCE, about + octets(blank) + octets(salt))
        head = tlv(SEQUENCE, integer(header.number) + integer(_LARGEST) + octets(bytes((flags,))) + integer(_USM))
        whole = tlv(SEQUENCE, integer(V3) + head + octets(parameters) + scoped)
        if not blank or keys is None:
            return whole
        at = len(whole) - len(scoped) - len(octets(salt)) - len(blank)  # the salt alone stands behind it
        return whole[:at] + keys.signature(whole) + whole[at + len(blank) :]

    @property
    def _time(self) -> int:
        return int(self._clock() - self._started)


def _header(message: Reader) -> tuple[Header, Reader]:
    head = message.enter(SEQUENCE)
    number, _ = head.integer(), head.integer()
    flags = head.content(OCTETS)
    if head.integer() != _USM or len(flags) != 1:
        raise BadMessage("another security model than USM")
    parameters = message.enter(OCTETS).enter(SEQUENCE)
    engine, boots, time = parameters.content(OCTETS), parameters.integer(), parameters.integer()
    user = parameters.content(OCTETS)
    place = parameters.enter(OCTETS)
    salt = parameters.content(OCTETS)
    if not 0 <= boots <= _LAST_BOOT or not 0 <= time <= _LAST_BOOT or len(user) > 32:
        raise BadMessage("security parameters out of their bounds")
    return Header(
        number, flags[0], engine, boots, time, user, place.data[place.at : place.end], salt, place.at
    ), message


def _scoped(body: Reader) -> tuple[Notification, bytes]:
    """The notification, and the encoded context that an answer repeats (RFC 3412 section 7.1)."""
    inner = body.enter(SEQUENCE)
    context = octets(inner.content(OCTETS)) + octets(inner.content(OCTETS))
    return read(inner), context


def _number(scoped: Reader) -> int:
    """The request's number for a report; 0 where it can't be read (RFC 3412 section 7.1, 3c)."""
    try:
        inner = Reader(scoped.data, scoped.at, scoped.end).enter(SEQUENCE)
        inner.content(OCTETS)
        inner.content(OCTETS)
        return inner.enter().integer()
    except BadMessage:
        return 0
