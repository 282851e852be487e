"""Whether files are in order: numbers that are missing between the first and the last, gaps between times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from sentinel.protocols.files.listing import File
from sentinel.protocols.files.options import FilesOptions

MAX_DIGITS = 18


@dataclass(slots=True)
class Order:
    """``missing`` counts numbers, ``example`` is one; ``gap`` is the longest in seconds, after the file ``before``.

    ``gap`` is None where no series has two times.  ``misnamed`` files have no number or no time that can be read.
    """

    missing: int = 0
    example: str = ""
    gap: float | None = None
    before: str = ""
    misnamed: int = 0
    first_misnamed: str = ""


@dataclass(slots=True)
class _Series:
    numbers: dict[int, str] = field(default_factory=dict)
    times: list[tuple[float, str]] = field(default_factory=list)


def order_of(files: Iterable[File], options: FilesOptions) -> Order:
    """The order of all series together."""
    found = Order()
    series: defaultdict[str, _Series] = defaultdict(_Series)
    for file in files:
        one = series[(options.series.find(file.name) or "") if options.series else ""]
        if not _take(file.name, one, options):
            found.misnamed += 1
            found.first_misnamed = found.first_misnamed or file.name
    for name in sorted(series):
        _numbers(series[name], name, found)
        _times(series[name], found)
    return found


def _take(name: str, series: _Series, options: FilesOptions) -> bool:
    """Put a file into its series; whether its name says what it should."""
    good = True
    if options.number is not None:
        digits = options.number.find(name) or ""
        if digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS:
            series.numbers[int(digits)] = name
        else:
            good = False
    if options.time is not None:
        when = options.when(options.time.find(name) or "")
        if when is not None:
            series.times.append((when.timestamp(), name))
        else:
            good = False
    return good


def _numbers(series: _Series, name: str, found: Order) -> None:
    numbers = sorted(series.numbers)
    for earlier, later in pairwise(numbers):
        if later > earlier + 1:
            found.missing += later - earlier - 1
            found.example = found.example or f"{name} {earlier + 1}".strip()


def _times(series: _Series, found: Order) -> None:
    times = sorted(series.times)
    for (earlier, name), (later, _) in pairwise(times):
        if found.gap is None or later - earlier > found.gap:
            found.gap, found.before = later - earlier, name
