"""H.265 over RTP (RFC 7798): single NAL units, aggregation packets (AP) and fragmentation units (FU).

PACI packets (4.4.4) only carry hints for senders with temporal scalability; no camera is known to send them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sentinel.wire.nal import Assembler, Syntax, exp_golomb, unescaped
from sentinel.wire.rtp import MAX_UNIT_BYTES, AccessUnit, Malformed, Packet

_VPS, _SPS, _PPS = 32, 33, 34
_AP, _FU = 48, 49


class H265Depacketiser:
    """Puts NAL units and access units together; see ``rtp.Depacketiser`` for the errors.

    ``parameter_sets`` are those of the session description.  ``donl``: decoding order numbers are present
    (``sprop-max-don-diff`` above 0, section 7.1); they are skipped, since a key frame's slices come in order.
    """

    def __init__(
        self, parameter_sets: Iterable[bytes] = (), limit: int = MAX_UNIT_BYTES, *, donl: bool = False
    ) -> None:
        self.assembler = Assembler(SYNTAX, parameter_sets, limit)
        self._donl = donl

    def push(self, packet: Packet, *, gap: bool = False) -> list[AccessUnit]:
        """The access units that this packet ends."""
        units = self.assembler
        units.begin(packet, gap=gap)
        payload = packet.payload
        if payload:  # an empty one keeps a path open, and no more
            if len(payload) < 3:
                units.damage()
                raise Malformed("shorter than a NAL unit")
            kind = _kind(payload)
            if kind < _AP:
                units.add(payload[:2] + payload[4:] if self._donl else payload)  # 4.4.1
            elif kind == _AP:
                self._aggregate(payload)
            elif kind == _FU:
                self._fragment(payload)
            else:
                units.damage()
                raise Malformed(f"NAL unit type {kind}")
        units.end(packet)
        return units.take()

    def flush(self) -> list[AccessUnit]:
        """What is pending when the stream ends."""
        self.assembler.finish()
        return self.assembler.take()

    def _aggregate(self, payload: bytes) -> None:  # 4.4.2
        at = 4 if self._donl else 2
        while at < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            nal = payload[at + 2 : at + 2 + size]
            if size < 3 or len(nal) < size:
                self.assembler.damage()
                raise Malformed("an AP whose sizes do not fit")
            self.assembler.add(nal)
            at += 2 + size + (1 if self._donl else 0)  # DOND before each but the first

    def _fragment(self, payload: bytes) -> None:  # 4.4.3
        first, last, kind = bool(payload[2] & 0x80), bool(payload[2] & 0x40), payload[2] & 0x3F
        nal = bytes([payload[0] & 0x81 | kind << 1, payload[1]])
        content = payload[5:] if first and self._donl else payload[3:]
        self.assembler.fragment(nal, content, first=first, last=last)


def _kind(nal: bytes) -> int:
    return nal[0] >> 1 & 0x3F


def _parameter_set(nal: bytes) -> tuple[int, int] | None:
    kind = _kind(nal)
    if kind == _VPS:  # 7.3.2.1
        return kind, nal[2] >> 4 if len(nal) > 2 else 0
    if kind == _SPS:
        return kind, _sps_id(unescaped(nal, 160))
    if kind == _PPS:
        return kind, exp_golomb(unescaped(nal), 16)[0]
    return None


def _sps_id(sps: bytes) -> int:
    # 7.3.2.2.1 and 7.3.3: the id stands behind the profile, tier and level of every temporal sub-layer.
    if len(sps) < 17:
        raise Malformed("an SPS is cut short")
    layers = sps[2] >> 1 & 0x07
    at = (3 + 12) * 8
    if layers:
        flags = int.from_bytes(sps[15:17], "big")
        at += 16
        for layer in range(layers):
            at += 88 * (flags >> (15 - 2 * layer) & 1) + 8 * (flags >> (14 - 2 * layer) & 1)
    return exp_golomb(sps, at)[0]


def _is_slice(nal: bytes) -> bool:
    return _kind(nal) < 32


def _begins_picture(nal: bytes) -> bool:
    return len(nal) > 2 and bool(nal[2] & 0x80)  # first_slice_segment_in_pic_flag


def _is_key(slices: list[bytes]) -> bool:
    return all(16 <= _kind(nal) <= 23 for nal in slices)  # IRAP: BLA, IDR, CRA (7.4.2.2)


SYNTAX = Syntax(frozenset({_VPS, _SPS, _PPS}), _parameter_set, _is_slice, _begins_picture, _is_key)
