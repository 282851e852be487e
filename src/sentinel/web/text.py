"""Text for people: hostile text made harmless to read, times and spans in words."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from zoneinfo import ZoneInfo

from sentinel.web.words import Words

LOCAL = ZoneInfo("Asia/Shanghai")


def shown(text: str, limit: int = 200) -> str:
    """Text from outside as it may stand on a screen.

    Escaping for HTML is the template's business; here go the characters that change how their neighbours are read:
    control characters and invisible formatting such as bidirectional overrides (Unicode TR 36, 3.1.2) become ``·``.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join("·" if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else sign for sign in cut)


def span(seconds: float, words: Words) -> str:
    """A length of time for ten metres away: ``45 秒``, ``12 分``, ``3 小时 12 分``; wall.js says it in the same way."""
    whole = max(0, int(seconds))
    for size, unit, smaller, small in (
        (86400, "day", 3600, "hour"),
        (3600, "hour", 60, "minute"),
        (60, "minute", 1, ""),
    ):
        if whole >= size:
            text = f"{whole // size} {words[unit]}"
            rest = whole % size // smaller
            return f"{text} {rest} {words[small]}" if small and rest else text
    return f"{whole} {words['second']}"


def seconds(value: float, words: Words) -> str:
    """A measured time to two figures or so: ``5 毫秒``, ``0.4 秒``, ``66 秒``."""
    if value < 0.0995:  # what rounds to 0.1 s is said in seconds
        return f"{max(1.0, value * 1000):.0f} {words['millisecond']}"
    return f"{value:.0f} {words['second']}" if value >= 9.95 else f"{value:.1f} {words['second']}"


def clock(at: float) -> str:
    """``14:05:09`` in Beijing."""
    return datetime.fromtimestamp(at, LOCAL).strftime("%H:%M:%S")


def date(at: float, words: Words) -> str:
    """``2026年11月22日 星期日``."""
    moment = datetime.fromtimestamp(at, LOCAL)
    weekday = words["weekdays"].split(" ")[moment.weekday()]
    return words["date"].format(year=moment.year, month=moment.month, day=moment.day, weekday=weekday)
