"""When a channel may be tried: its limit of messages a minute, and the circuit breaker that rests a broken receiver."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from sentinel.engine.ports import ChannelState, Clock

FIRST: Final = 1.0
LONGEST: Final = 300.0
LONGEST_ASKED: Final = 3600.0
"""Seconds: the first and the longest pause between attempts, and the longest that a receiver may ask for."""
BREAKS_AFTER: Final = 3
"""Failures in a row that open the breaker; before that only the message itself waits."""
MINUTE: Final = 60.0


def backoff(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row: 1, doubled each time up to 5 minutes, 20 % either way."""
    return min(LONGEST, FIRST * 2.0 ** min(failures - 1, 20) * (0.8 + 0.4 * random()))


class SteadyClock:
    """Wall time that never goes back: a clock set back two hours must not hold messages for two hours."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._monotonic = clock.now(), clock.monotonic()

    def now(self) -> float:
        """UTC epoch seconds, or where the clock was set back, what it would show otherwise."""
        monotonic = self._clock.monotonic()
        self._wall = max(self._clock.now(), self._wall + monotonic - self._monotonic)
        self._monotonic = monotonic
        return self._wall

    def monotonic(self) -> float:
        """The clock's own."""
        return self._clock.monotonic()


class Pace:
    """One channel's limiter and breaker, on the monotonic clock; saved and taken up again in wall time."""

    def __init__(
        self, per_minute: int | None, clock: Clock, random: Callable[[], float], state: ChannelState | None = None
    ) -> None:
        self.per_minute = per_minute
        self._clock, self._random = clock, random
        self._sent: deque[float] = deque()
        self._broken_until = 0.0
        self.failures = 0
        if state is not None:
            self._take_up(state)

    def _take_up(self, state: ChannelState) -> None:
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        # What lies in the future was saved before the clock was set back: it says nothing.
        self._sent.extend(monotonic - (wall - at) for at in sorted(state.sent) if 0 <= wall - at < MINUTE)
        if 0 < state.broken_until - wall <= LONGEST_ASKED:
            self._broken_until = monotonic + state.broken_until - wall

    def change(self, per_minute: int | None) -> None:
        """The channel has other options now: its limit may differ, and what broke it may be mended."""
        self.per_minute = per_minute
        self.accepted()

    @property
    def broken(self) -> bool:
        """Whether the breaker is open: nothing is tried."""
        return self._clock.monotonic() < self._broken_until

    def pause(self) -> float:
        """Seconds until the next attempt may be made, 0 for now."""
        now = self._clock.monotonic()
        while self._sent and self._sent[0] <= now - MINUTE:
            self._sent.popleft()
        limited = self.per_minute is not None and len(self._sent) >= self.per_minute
        free_at = self._sent[0] + MINUTE if limited else now
        return max(0.0, free_at - now, self._broken_until - now)

    def sent(self) -> None:
        """An attempt begins: it counts, whatever becomes of it."""
        if self.per_minute is not None:
            self._sent.append(self._clock.monotonic())

    def accepted(self) -> None:
        """The receiver is well."""
        self.failures, self._broken_until = 0, 0.0

    def failed(self, retry_after: float | None) -> None:
        """The receiver did not accept; it may have said for how many seconds it wants to be left alone."""
        self.failures += 1
        pause = 0.0 if retry_after is None else min(retry_after, LONGEST_ASKED)
        if self.failures >= BREAKS_AFTER:
            pause = max(pause, backoff(self.failures - BREAKS_AFTER + 1, self._random))
        if pause:
            self._broken_until = self._clock.monotonic() + pause

    def state(self, channel: str) -> ChannelState:
        """To be saved."""
        shift = self._clock.now() - self._clock.monotonic()
        broken_until = self._broken_until + shift if self.broken else 0.0
        return ChannelState(channel, tuple(at + shift for at in self._sent), broken_until)
