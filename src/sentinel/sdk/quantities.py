"""Durations as the operator writes them: ``10s``, ``1h30m``, ``30d``; inside they are seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

_PART = r"[0-9]{1,9}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d|w)"
DURATION_PATTERN: Final = rf"^(?:{_PART})+$"
_PARTS = re.compile(r"([0-9.]+)(ms|[smhdw])")


def seconds(value: Any) -> float:
    """Seconds of ``1h30m``; a bare number is refused, for its unit would be a guess.

    Raises:
        ValueError: it is no duration.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Not a TypeError: pydantic turns only a ValueError into an error with its place.
        raise ValueError(f"a duration needs its unit, as in `{value:g}s` or `{value:g}m`")  # noqa: TRY004
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value):
        raise ValueError("a duration is written as `10s`, `5m`, `1h30m` or `30d`")
    return sum(float(number) * UNITS[unit] for number, unit in _PARTS.findall(value))


def text_of(duration: float) -> str:
    """Seconds as an operator writes them: 5400 as ``1h30m``."""
    if duration == 0:
        return "0s"
    rest, parts = round(duration * 1000), []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["10s", "5m", "1h30m", "30d"]}),
]
"""Seconds, written with a unit."""
