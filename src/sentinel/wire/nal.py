"""Access units out of NAL units: what RTP's payload formats for H.264 and H.265 have in common.

Cameras are sloppy, so an access unit ends at the packet with the marker bit or where the timestamp changes,
whichever comes first; parameter sets that came earlier, alone, or in the session description, count for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Malformed, Packet, UnitTooLarge

MAX_NALS = 4_096
"""NAL units in one access unit: a 4K picture with a slice for each row of macroblocks has 135."""
MAX_PARAMETER_SETS = 64
MAX_PARAMETER_SET_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Syntax:
    """What differs between the codecs.

    ``parameter_set``: kind and id of a parameter set, None for another NAL unit.  ``required``: the kinds without
    which nothing can be decoded.  ``is_slice``, ``begins_picture``: of one NAL unit.  ``is_key``: of all slices of
    one access unit.  Each may raise Malformed.
    """

    required: frozenset[int]
    parameter_set: Callable[[bytes], tuple[int, int] | None]
    is_slice: Callable[[bytes], bool]
    begins_picture: Callable[[bytes], bool]
    is_key: Callable[[list[bytes]], bool]


class Assembler:
    """Collects the NAL units of one access unit after another.

    ``by_marker`` may be switched off for a source that sets the marker bit where no access unit ends; the
    timestamp alone decides then, one packet later.
    """

    def __init__(self, syntax: Syntax, sets: Iterable[bytes] = (), limit: int = MAX_UNIT_BYTES) -> None:
        self.by_marker = True
        self.done: list[AccessUnit] = []
        self._syntax, self._limit = syntax, limit
        self._sets: dict[tuple[int, int], bytes] = {}
        self._nals: list[bytes] = []
        self._fragment: bytearray | None = None
        self._size = 0
        self._timestamp: int | None = None
        self._damaged = False
        for nal in sets:
            if nal:
                self._keep(nal)

    def begin(self, packet: Packet, *, gap: bool) -> None:
        """Take note of a packet before its payload: it may end the unit before it."""
        if gap and (self._nals or self._fragment is not None):
            self._damaged, self._fragment = True, None  # the unit in progress lacks something, at its end at least
        if packet.timestamp != self._timestamp:
            self.finish()
            self._timestamp = packet.timestamp

    def end(self, packet: Packet) -> None:
        """Take note that the packet's payload has been taken."""
        if packet.marker and self.by_marker:
            self.finish()

    def add(self, nal: bytes) -> None:
        """Add a whole NAL unit, of at least one byte.

        Raises:
            UnitTooLarge: see Depacketiser.push.
        """
        self._close_fragment()
        self._append(nal)

    def fragment(self, header: bytes, payload: bytes, *, first: bool, last: bool) -> None:
        """Add a fragment of a NAL unit whose header is ``header``.

        Raises:
            Malformed: a fragment without a beginning; what was lost is marked as missing.
            UnitTooLarge: see Depacketiser.push.
        """
        if first:
            self._close_fragment()
            self._fragment = bytearray(header)
        if self._fragment is None:
            self._damaged = True
            raise Malformed("a fragment whose beginning is missing")
        self._fragment += payload
        self._check(self._size + len(self._fragment))
        if last:
            self._close_fragment()

    def damage(self) -> None:
        """Part of the unit in progress could not be read."""
        self._damaged = True

    def finish(self) -> None:
        """End the unit in progress, if there is one."""
        self._close_fragment()  # a camera that forgets the end bit of the last fragment; a gap has cleared it before
        nals, damaged = self._nals, self._damaged
        self._reset()
        slices = [nal for nal in nals if self._syntax.is_slice(nal)]
        if not slices or self._timestamp is None:
            return  # parameter sets sent by themselves are kept, and are no picture
        known = {kind for kind, _ in self._sets}
        try:
            key = self._syntax.is_key(slices)
            whole = self._syntax.begins_picture(slices[0])
        except Malformed:
            key = whole = False
        complete = whole and not damaged and self._syntax.required <= known
        sets = tuple(self._sets[name] for name in sorted(self._sets))
        self.done.append(AccessUnit(self._timestamp, key, complete, tuple(nals), sets))

    def take(self) -> list[AccessUnit]:
        """The units that ended since the last call."""
        done, self.done = self.done, []
        return done

    def _close_fragment(self) -> None:
        if self._fragment is not None:
            nal, self._fragment = bytes(self._fragment), None
            self._append(nal)

    def _append(self, nal: bytes) -> None:
        self._check(self._size + len(nal))
        self._size += len(nal)
        self._nals.append(nal)
        self._keep(nal)

    def _check(self, size: int) -> None:
        if size > self._limit or len(self._nals) >= MAX_NALS:
            self._reset()
            self._damaged = True
            raise UnitTooLarge(f"an access unit of more than {self._limit} bytes or {MAX_NALS} NAL units")

    def _keep(self, nal: bytes) -> None:
        try:
            name = self._syntax.parameter_set(nal)
        except Malformed:
            return
        if name is None or len(nal) > MAX_PARAMETER_SET_BYTES:
            return
        if name in self._sets or len(self._sets) < MAX_PARAMETER_SETS:
            self._sets[name] = nal

    def _reset(self) -> None:
        self._nals, self._fragment, self._size, self._damaged = [], None, 0, False


def unescaped(nal: bytes, limit: int = 64) -> bytes:
    """The first bytes of a NAL unit without emulation prevention (H.264 7.4.1, H.265 7.4.2)."""
    return nal[:limit].replace(b"\x00\x00\x03", b"\x00\x00")


def exp_golomb(data: bytes, bit: int) -> tuple[int, int]:
    """The ue(v) at a bit (H.264 9.1), and the bit after it.

    Raises:
        Malformed: it does not end within the data, or is longer than 32 bits.
    """
    zeros = 0
    while not _bit(data, bit + zeros):
        zeros += 1
        if zeros > 32:
            raise Malformed("an Exp-Golomb code of more than 32 bits")
    value = 0
    for position in range(bit + zeros, bit + 2 * zeros + 1):
        value = value << 1 | _bit(data, position)
    return value - 1, bit + 2 * zeros + 1


def _bit(data: bytes, position: int) -> int:
    if position >> 3 >= len(data):
        raise Malformed("a NAL unit is cut short")
    return data[position >> 3] >> (7 - (position & 7)) & 1
