"""H.264 over RTP (RFC 6184): single NAL units, STAP-A and FU-A, the packets of packetization modes 0 and 1.

The interleaved mode (2) reorders NAL units; it is negotiated, and never offered by a camera for live pictures.
"""

from __future__ import annotations

from collections.abc import Iterable

from sentinel.wire.nal import Assembler, Syntax, exp_golomb, unescaped
from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Malformed, Packet

_SPS, _PPS = 7, 8
_STAP_A, _FU_A = 24, 28
_INTRA = frozenset({2, 4, 7, 9})  # I and SI slices (H.264, table 7-6)


class H264Depacketiser:
    """Puts NAL units and access units together; see ``rtp.Depacketiser`` for the errors.

    ``parameter_sets`` are those of the session description; those in the stream replace them.
    """

    def __init__(self, parameter_sets: Iterable[bytes] = (), limit: int = MAX_UNIT_BYTES) -> None:
        self.assembler = Assembler(SYNTAX, parameter_sets, limit)

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The access units that this packet ends."""
        units = self.assembler
        units.begin(packet, gap=gap)
        payload = packet.payload
        if payload:  # an empty one keeps a path open, and no more
            kind = payload[0] & 0x1F
            if 1 <= kind <= 23:
                units.add(payload)
            elif kind == _STAP_A:
                self._aggregate(payload)
            elif kind == _FU_A:
                self._fragment(payload)
            else:
                units.damage()
                raise Malformed(f"NAL unit type {kind} in packetization mode 0 or 1")
        units.end(packet)
        return units.take()

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        self.assembler.finish()
        return self.assembler.take()

    def _aggregate(self, payload: bytes) -> None:  # 5.7.1
        at = 1
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            nal = payload[at + 2 : at + 2 + size]
            if not size or len(nal) < size:
                self.assembler.damage()
                raise Malformed("a STAP-A whose sizes do not fit")
            self.assembler.add(nal)
            at += 2 + size

    def _fragment(self, payload: bytes) -> None:  # 5.8
        if len(payload) < 2:
            self.assembler.damage()
            raise Malformed("an FU-A without its header")
        indicator, header = payload[0], payload[1]
        nal = bytes([indicator & 0xE0 | header & 0x1F])
        self.assembler.fragment(nal, payload[2:], first=bool(header & 0x80), last=bool(header & 0x40))


def _parameter_set(nal: bytes) -> tuple[int, int] | None:
    kind = nal[0] & 0x1F
    if kind == _SPS:  # 7.3.2.1.1: profile, constraints and level come first
        return kind, exp_golomb(unescaped(nal), 32)[0]
    if kind == _PPS:
        return kind, exp_golomb(unescaped(nal), 8)[0]
    return None


def _is_slice(nal: bytes) -> bool:
    return 1 <= nal[0] & 0x1F <= 5


def _begins_picture(nal: bytes) -> bool:
    return exp_golomb(unescaped(nal), 8)[0] == 0  # first_mb_in_slice


def _is_key(slices: list[bytes]) -> bool:
    # Not only IDR: encoders with open groups of pictures never send another after their first, and a picture made
    # of intra slices alone stands by itself.
    return any(nal[0] & 0x1F == 5 for nal in slices) or all(_is_intra(nal) for nal in slices)


def _is_intra(nal: bytes) -> bool:
    start = unescaped(nal)
    _, at = exp_golomb(start, 8)
    return nal[0] & 0x1F == 1 and exp_golomb(start, at)[0] in _INTRA


SYNTAX = Syntax(frozenset({_SPS, _PPS}), _parameter_set, _is_slice, _begins_picture, _is_key)
