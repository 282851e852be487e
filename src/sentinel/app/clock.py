"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time as a label, monotonic time to measure (``engine.ports.Clock``)."""

    def now(self) -> float:
        """UTC epoch seconds."""
        return time.time()  # noqa: TID251 - the one place that takes it

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()
