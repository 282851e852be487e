"""Values that move as a device's do: loads and temperatures sway, counters rise."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

Moving = Callable[[float], float]
"""The value at a moment: seconds since the agent started."""


def swaying(character: random.Random, middle: float, width: float) -> Moving:
    """Up and down around a middle, in some minutes."""
    period, phase = character.uniform(120, 600), character.uniform(0, math.tau)
    return lambda now: middle + width * math.sin(math.tau * now / period + phase)


def traffic(character: random.Random, rate: float) -> Moving:
    """A counter that always rises, by ``rate`` a second more or less; the integral of a rate that sways."""
    begun = rate * character.uniform(1e4, 1e6)
    period, phase = character.uniform(60, 300), character.uniform(0, math.tau)
    swing = 0.6 * rate * period / math.tau
    return lambda now: begun + rate * now + swing * (1 + math.sin(math.tau * now / period + phase))
