"""RTP over a network that reorders: packets are put back into their order, and one source is told from strangers."""

from __future__ import annotations

from typing import Final

from sentinel.wire.rtp import Packet

DEPTH: Final = 64
"""Packets held back at most while one before them is missing: at 1080p some 20 ms."""
PROBATION: Final = 3
"""Packets that a new source has to send in a row, with none of the present one between (RFC 3550, A.1)."""
PATIENCE: Final = 0.2
"""Seconds for which a missing packet is waited for at most."""

_DROPOUT: Final = 3_000  # MAX_DROPOUT: a jump past it is a new beginning
_MISORDER: Final = 100


class Sources:
    """Follows one synchronisation source; another takes over only when the present one is silent and it is not.

    What a stranger sends into the stream is dropped and counted.  A camera that begins anew with another number
    loses nothing: its first packets are held until it is believed.
    """

    def __init__(self) -> None:
        self.strangers = 0
        self.changes = 0
        self._present: int | None = None
        self._held: list[Packet] = []

    def admit(self, packet: Packet) -> list[Packet]:
        """The packets that may go on, in their order; mostly the very one."""
        if self._present is None:
            self._present = packet.ssrc
        if packet.ssrc == self._present:
            self.strangers += len(self._held)
            self._held.clear()
            return [packet]
        held = self._held
        if held and (packet.ssrc != held[-1].ssrc or packet.sequence != held[-1].sequence + 1 & 0xFFFF):
            self.strangers += len(held)
            held.clear()
        held.append(packet)
        if len(held) < PROBATION:
            return []
        self._present, self._held = packet.ssrc, []
        self.changes += 1
        return held


class Order:
    """Holds packets that came before their predecessors: ``depth`` of them at most, ``patience`` seconds at most.

    Time is looked at when a packet comes; where none comes any more, nothing is missed by waiting.
    """

    def __init__(self, depth: int = DEPTH, patience: float = PATIENCE) -> None:
        self.reordered = 0
        self._depth, self._patience = depth, patience
        self._ssrc: int | None = None
        self._next = 0
        self._waiting: dict[int, Packet] = {}
        self._since = 0.0

    def push(self, packet: Packet, now: float) -> list[Packet]:
        """The packets that are next now, this one mostly; ``now`` is in seconds of any steady clock."""
        ready: list[Packet] = []
        if packet.ssrc != self._ssrc:
            ready = self.flush()
            self._ssrc, self._next = packet.ssrc, packet.sequence
        ahead = self._distance(packet.sequence)
        if ahead > 0xFFFF - _MISORDER:  # late or twice: who counts the packets tells, and drops it
            return [*ready, packet]
        if ahead > _DROPOUT:
            ready += self.flush()
            self._next, ahead = packet.sequence, 0
        if not ahead:
            self.reordered += bool(self._waiting)  # others came before it
            return [*ready, packet, *self._from(packet.sequence + 1 & 0xFFFF, now)]
        if not self._waiting:
            self._since = now
        self._waiting.setdefault(packet.sequence, packet)
        if len(self._waiting) > self._depth or now - self._since > self._patience:
            ready += self._from(min(self._waiting, key=self._distance), now)
        return ready

    def flush(self) -> list[Packet]:
        """All that wait, in their order, gaps and all."""
        left = [self._waiting[number] for number in sorted(self._waiting, key=self._distance)]
        self._waiting.clear()
        if left:
            self._next = left[-1].sequence + 1 & 0xFFFF
        return left

    def _from(self, number: int, now: float) -> list[Packet]:
        """Those that wait from this number on without a gap."""
        found = []
        while (following := self._waiting.pop(number, None)) is not None:
            found.append(following)
            number = number + 1 & 0xFFFF
        self._next, self._since = number, now
        return found

    def _distance(self, number: int) -> int:
        return number - self._next & 0xFFFF
