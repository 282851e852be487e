"""Counters become rates: RFC 2578 section 7.1.6 says what a counter is, and that its value alone says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

BITS = {"counter32": 32, "counter64": 64}
UPTIME = "1.3.6.1.2.1.1.3.0"
"""sysUpTime.0: hundredths of a second since the agent started (RFC 3418)."""

_TICKS_WRAP = 2**32


@dataclass(slots=True)
class Counters:
    """What one check saw in its last round: raw counts with the time of each, by value key.

    Times are seconds on the monotonic clock.  ``begin`` opens a round; only keys seen in a round are kept, so that
    the memory is bounded by the rows of one round.
    """

    uptime: tuple[float, float] | None = None
    seen: dict[str, tuple[int, float, float | None]] = field(default_factory=dict)
    previous: dict[str, tuple[int, float, float | None]] = field(default_factory=dict)
    certain: bool = False

    def begin(self, ticks: float | None, now: float) -> bool:
        """Start a round with the agent's uptime, None where it tells none; False where the agent has restarted.

        After a restart no counter has a rate this round.
        """
        before, self.uptime = self.uptime, None if ticks is None else (ticks, now)
        self.certain = before is not None and ticks is not None
        restarted = before is not None and ticks is not None and _restarted(before[0], ticks, now - before[1])
        self.previous, self.seen = ({} if restarted else self.seen), {}
        return not restarted

    def rate(self, key: str, kind: str, count: int, now: float, mark: float | None = None) -> float | None:
        """Units per second since the last round; None in the first round, and where the counter began anew.

        A Counter32 that went back has wrapped if the uptime says that the agent has not restarted; without an
        uptime, a step of more than half the range is taken for a restart.  A Counter64 does not wrap within a life
        of the device (RFC 2863 section 3.1.6): one that went back began anew.  ``mark`` is what the agent says of the
        last discontinuity (ifCounterDiscontinuityTime): where it is another than before, the two counts have nothing to
        do with each other.
        """
        bits = BITS[kind]
        if not 0 <= count < 2**bits:
            return None
        old = self.previous.get(key)
        self.seen[key] = (count, now, mark)
        if old is None or now <= old[1] or mark != old[2]:
            return None
        step = count - old[0]
        if step < 0:
            if bits == 64:
                return None
            step += 2**bits
            if not self.certain and step > 2 ** (bits - 1):
                return None
        return step / (now - old[1])


def _restarted(before: float, ticks: float, elapsed: float) -> bool:
    """Whether the uptime is behind what the time between two rounds asks for.

    It is, too, where an agent restarted and has since been up for longer than it was at the last round: then it
    advanced by less than the time between.  The 497-day wrap of the ticks is no restart.  Half the time and 5 s
    are allowed for agents whose clock is coarse or slow.
    """
    advance = ticks - before
    if advance < 0 and before + elapsed * 150 + 500 >= _TICKS_WRAP:
        advance += _TICKS_WRAP
    return advance < elapsed * 50 - 500 or advance < 0
