"""How the operator writes quantities: ``10s``, ``1h30m``, ``30d``, ``5%``; inside they are seconds and ratios."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from sentinel.sdk.quantities import DURATION_PATTERN, Duration, seconds, text_of

__all__ = ["DURATION_PATTERN", "Duration", "seconds", "text_of"]

SIZE_PATTERN: Final = r"^[1-9][0-9]{0,5}(?:KiB|MiB|GiB)$"
SIZES: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
PERCENT_PATTERN: Final = r"^[0-9]{1,3}(?:\.[0-9]{1,9})?%$"


def ratio(value: Any) -> float:
    """0.05 of ``5%``; a bare number is refused, for it could be meant either way.

    Raises:
        ValueError: it is no percentage from 0 % to 100 %.
    """
    if not isinstance(value, str) or not re.fullmatch(PERCENT_PATTERN, value):
        raise ValueError("a percentage is written as `5%` or `99.9%`")
    number = float(value[:-1])
    if number > 100:
        raise ValueError("a percentage is at most 100%")
    return round(number / 100.0, 12)


def size(value: Any) -> int:
    """Bytes of ``256MiB``.

    Raises:
        ValueError: it is no size.
    """
    if not isinstance(value, str) or not re.fullmatch(SIZE_PATTERN, value):
        raise ValueError("a size is written as `64KiB`, `256MiB` or `2GiB`")
    return int(value[:-3]) * SIZES[value[-3:]]


def quantity(value: Any) -> float:
    """A number, a duration in seconds or a percentage as a ratio: a limit of whatever a probe measures.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(DURATION_PATTERN, value):
        return seconds(value)
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        return ratio(value)
    raise ValueError("a limit is a number, a duration (`2s`) or a percentage (`5%`)")


Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["64KiB", "256MiB", "2GiB"]}),
]
"""Bytes, written with a unit."""

Percent = Annotated[
    float,
    BeforeValidator(ratio),
    WithJsonSchema({"type": "string", "pattern": PERCENT_PATTERN, "examples": ["5%", "99.9%"]}),
]
"""A ratio from 0 to 1, written as a percentage."""

Quantity = Annotated[
    float,
    BeforeValidator(quantity),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "pattern": DURATION_PATTERN},
                {"type": "string", "pattern": PERCENT_PATTERN},
            ]
        }
    ),
]
"""A number, or a duration in seconds, or a ratio."""

SLUG: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
Slug = Annotated[str, Field(pattern=SLUG, examples=["hall-01"])]
"""An id: small letters, digits and hyphens."""


def size_text(size: int) -> str:
    """Bytes as an operator writes them: 268435456 as ``256MiB``; whole KiB only."""
    unit = max((unit for unit, each in SIZES.items() if size % each == 0), key=SIZES.__getitem__)
    return f"{size // SIZES[unit]}{unit}"
