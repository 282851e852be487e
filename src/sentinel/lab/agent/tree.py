"""The objects of an agent: names in order, values that are asked for when they are read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Final

from sentinel.wire.ber import (
    COUNTER32,
    COUNTER64,
    GAUGE32,
    INTEGER,
    NO_SUCH_INSTANCE,
    NO_SUCH_OBJECT,
    TIMETICKS,
    Oid,
    integer,
    octets,
    oid,
    parse_oid,
)

Encode = Callable[[float], bytes]
"""The value, in BER, at a moment: seconds since the agent started."""

WRAPS: Final = {COUNTER32: 1 << 32, GAUGE32: 1 << 32, TIMETICKS: 1 << 32, COUNTER64: 1 << 64}


class Tree:
    """Objects by name; ``get`` and ``after`` are what GET and GETNEXT ask."""

    def __init__(self) -> None:
        self._values: dict[Oid, Encode] = {}
        self._order: list[Oid] = []

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: str) -> bool:
        """Whether there is an object of this name, or any below it."""
        return self._any_below(parse_oid(name))

    def text(self, name: str, value: str) -> None:
        """A text; OCTET STRING in UTF-8."""
        encoded = octets(value.encode())
        self._put(name, lambda _now: encoded)

    def identifier(self, name: str, value: str) -> None:
        """An OBJECT IDENTIFIER."""
        encoded = oid(parse_oid(value))
        self._put(name, lambda _now: encoded)

    def number(self, name: str, value: float | Callable[[float], float], tag: int = INTEGER) -> None:
        """A number that stands, or one that moves with the time; unsigned types wrap around."""
        wrap = WRAPS.get(tag)
        if callable(value):
            moving = value
            self._put(name, lambda now: integer(int(moving(now)) % wrap if wrap else int(moving(now)), tag))
        else:
            encoded = integer(int(value) % wrap if wrap else int(value), tag)
            self._put(name, lambda _now: encoded)

    def get(self, name: Oid, now: float) -> bytes:
        """The value of exactly this name, or the exception that RFC 3416, 4.2.1 wants in its place."""
        value = self._values.get(name)
        if value is not None:
            return value(now)
        return NO_SUCH_INSTANCE if self._any_below(name[:-1]) else NO_SUCH_OBJECT

    def after(self, name: Oid, now: float) -> tuple[Oid, bytes] | None:
        """The next name in the order of the tree, with its value; None at the end."""
        self._sort()
        at = bisect_right(self._order, name)
        if at == len(self._order):
            return None
        return self._order[at], self._values[self._order[at]](now)

    def _put(self, name: str, encode: Encode) -> None:
        self._values[parse_oid(name)] = encode
        self._order = []

    def _sort(self) -> None:
        if len(self._order) != len(self._values):
            self._order = sorted(self._values)

    def _any_below(self, name: Oid) -> bool:
        self._sort()
        at = bisect_left(self._order, name)
        return at < len(self._order) and self._order[at][: len(name)] == name
