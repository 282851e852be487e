"""A month of conferences around now, so that in the demo the conference promise has something to be counted from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sentinel.domain.conference import Conference
from sentinel.engine.promises import LOCAL, month


def conferences(now: float, venues: Sequence[str]) -> tuple[Conference, ...]:
    """One conference each morning of the month that holds ``now``, in one venue after the other, and one now.

    ``now`` is UTC epoch seconds.  The one that is going on began half an hour ago, in the first venue.  Where there is
    no venue there is no conference.
    """
    if not venues:
        return ()
    start, end = month(now)
    day, found = datetime.fromtimestamp(start, LOCAL), []
    while day.timestamp() < end:
        morning = day.replace(hour=9)
        found.append(_conference(f"demo-{day:%m-%d}", venues[day.day % len(venues)], morning.timestamp(), hours=1))
        day += timedelta(days=1)
    return (*found, _conference("demo-now", venues[0], now - 1800, hours=2))


def _conference(id_: str, venue: str, start: float, *, hours: int) -> Conference:
    return Conference(id_, "视频调度会（演示）", (venue,), start, start + hours * 3600)
