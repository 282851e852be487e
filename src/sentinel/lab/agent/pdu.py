"""GET, GETNEXT and GETBULK over a tree of objects (RFC 3416, 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sentinel.lab.agent.tree import Tree
from sentinel.wire.ber import END_OF_VIEW, SEQUENCE, BadMessage, Oid, Reader, integer, oid, tlv

GET: Final = 0xA0
GET_NEXT: Final = 0xA1
RESPONSE: Final = 0xA2
SET: Final = 0xA3
GET_BULK: Final = 0xA5
REPORT: Final = 0xA8

MOST_NAMES: Final = 512
LARGEST: Final = 1_400
"""Bytes of bindings in an answer to GETBULK: one datagram that no link has to cut."""

_TOO_BIG, _NOT_WRITABLE = 1, 17


@dataclass(frozen=True, slots=True)
class Pdu:
    """A request; ``first`` and ``second`` are GETBULK's non-repeaters and max-repetitions."""

    kind: int
    number: int
    first: int
    second: int
    names: tuple[Oid, ...]


def read(message: Reader) -> Pdu:
    """A PDU out of a message.

    Raises:
        BadMessage: it is none.
    """
    kind = message.data[message.at] if message.more else 0
    body = message.enter(GET, GET_NEXT, SET, GET_BULK)
    number, first, second = body.integer(), body.integer(), body.integer()
    bindings = body.enter(SEQUENCE)
    names: list[Oid] = []
    while bindings.more:
        if len(names) == MOST_NAMES:
            raise BadMessage("too many names")
        names.append(bindings.enter(SEQUENCE).oid())
    return Pdu(kind, number, first, second, tuple(names))


def answer(request: Pdu, tree: Tree, now: float) -> bytes:
    """The Response-PDU; ``now`` is seconds since the agent started."""
    if request.kind == SET:
        rows = b"".join(tlv(SEQUENCE, oid(name) + b"\x05\x00") for name in request.names)
        return response(RESPONSE, request.number, rows, status=_NOT_WRITABLE, index=1)
    if request.kind == GET:
        rows = b"".join(_row(name, tree.get(name, now)) for name in request.names)
    elif request.kind == GET_NEXT:
        rows = b"".join(_next(name, tree, now)[1] for name in request.names)
    else:
        rows = _bulk(request, tree, now)
    if len(rows) > 65_000:
        return response(RESPONSE, request.number, b"", status=_TOO_BIG)
    return response(RESPONSE, request.number, rows)


def response(kind: int, number: int, rows: bytes, *, status: int = 0, index: int = 0) -> bytes:
    """A PDU of any kind with its bindings, which are encoded already."""
    return tlv(kind, integer(number) + integer(status) + integer(index) + tlv(SEQUENCE, rows))


def _bulk(request: Pdu, tree: Tree, now: float) -> bytes:
    single = max(0, min(request.first, len(request.names)))
    found = [_next(name, tree, now)[1] for name in request.names[:single]]
    size = sum(map(len, found))
    names = list(request.names[single:])
    for _ in range(max(0, request.second)):
        ended = True
        for column, name in enumerate(names):
            following, row = _next(name, tree, now)
            if size + len(row) > LARGEST and found:
                return b"".join(found)
            found.append(row)
            size += len(row)
            names[column] = following
            ended = ended and following == name
        if ended:  # RFC 3416, 4.2.3: no need to repeat once every column is at the end
            break
    return b"".join(found)


def _next(name: Oid, tree: Tree, now: float) -> tuple[Oid, bytes]:
    found = tree.after(name, now)
    if found is None:
        return name, _row(name, END_OF_VIEW)
    return found[0], _row(*found)


def _row(name: Oid, value: bytes) -> bytes:
    return tlv(SEQUENCE, oid(name) + value)
