"""From what a device said to values and facts; what it should have said and did not is told by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sentinel.protocols.codec.paths import MAX_FOUND, Found, find, texts
from sentinel.protocols.codec.profile import Place, Profile, Reading
from sentinel.protocols.codec.tree import Node
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Run
from sentinel.wire.device_text import text as shown

MAX_ITEMS: Final = 200
"""Items of one value, at most."""

_LABEL: Final = 80  # characters
_FACT_TEXTS: Final = 5
_REDUCE: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "first": lambda numbers: numbers[0],
    "max": max,
    "min": min,
    "sum": math.fsum,
}


@dataclass(slots=True)
class Said:
    """The answers.  ``trees`` and ``lines`` by ask; ``refused`` are the asks that the device does not know."""

    trees: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    status: Node | None = None


@dataclass(slots=True)
class _Place:
    """One place that was found."""

    text: str
    found: Found | None = None
    line: str = ""


def take(
    profile: Profile, said: Said, run: Run, *, only: Mapping[str, Pattern], without: Collection[str] = ()
) -> list[str]:
    """Put down the values and facts that a profile reads; the names of those that must be there and are not.

    ``only`` are patterns for the labels of a value's items: others are left out.  ``without`` are values left out.
    """
    missing = []
    for name, reading in profile.values.items():
        if name in without:
            continue
        if not _read(name, reading, profile, said, only.get(name), run) and not _may_lack(reading, profile, said):
            missing.append(name)
    for name, place in profile.facts.items():
        found = [shown(each.text) for each in _places(place, profile, said)]
        distinct = [text for text in dict.fromkeys(found) if text]
        if distinct:
            run.facts[name] = "; ".join(distinct[:_FACT_TEXTS])
        elif not _may_lack(place, profile, said):
            missing.append(name)
    return missing


def _may_lack(place: Place, profile: Profile, said: Said) -> bool:
    """Whether a place may be missing: it is optional, or so is the ask that the device does not know."""
    asked = place.ask or next(iter(profile.asks))
    return place.optional or (asked in said.refused and profile.asks[asked].optional)


def _read(name: str, reading: Reading, profile: Profile, said: Said, only: Pattern | None, run: Run) -> bool:
    """Whether the device says anything of it, be it that there is nothing to be said."""
    if (reading.ask or "") in said.refused:
        return False
    places = list(_places(reading, profile, said))
    counted = [place for place in places if place.text not in reading.ignore]
    if reading.reduce == "count":
        run.values[name] = float(len(counted))
        return True
    if not counted:
        if not places and reading.absent is not None:
            run.values[name] = reading.absent
        return bool(places) or reading.absent is not None
    numbers = [(place, _number(reading, place)) for place in counted]
    unread = next((place.text for place, number in numbers if number is None), None)
    if unread is not None:
        run.facts.setdefault("unreadable", shown(f"{name}: {unread}"))
    good = [(place, number) for place, number in numbers if number is not None and math.isfinite(number)]
    if reading.items:
        _put_items(name, reading, good, only, run)
        return unread is None or bool(good)
    if reading.words:
        run.facts[name] = shown("; ".join(dict.fromkeys(place.text for place in counted[:_FACT_TEXTS])))
    if good:
        values = [number for _, number in good]
        run.values[name] = _REDUCE[reading.reduce](values)
    return unread is None or bool(good)


def _put_items(name: str, reading: Reading, good: list[tuple[_Place, float]], only: Pattern | None, run: Run) -> None:
    used: dict[str, int] = {}
    for place, number in good:
        label = _label(reading, place)
        used[label] = used.get(label, 0) + 1
        if used[label] > 1:
            label = f"{label} {used[label]}"
        if only is not None and not only.found_in(label):
            continue
        if len(used) > MAX_ITEMS:
            run.facts["truncated"] = f"{name}: more than {MAX_ITEMS} items"
            return
        run.values[f"{name}:{label}"] = number


def _label(reading: Reading, place: _Place) -> str:
    if place.found is None:
        words = [(reading.label_pattern.find(place.line) or "") if reading.label_pattern else ""]
    elif reading.label:
        words = [next(texts(place.found.item, path), "") for path in reading.label]
    else:
        words = [".".join(place.found.keys)]
    named = [reading.labels.get(word, word) for word in words]
    return shown(" ".join(word for word in named if word), _LABEL) or "1"


def _number(reading: Reading, place: _Place) -> float | None:
    """The number at a place, NaN where there is none to be had now, None where it can't be read."""
    text = place.text.strip()
    number = reading.words.get(text)
    if number is None and reading.words:
        number = reading.otherwise
    elif number is None:
        number = _float(text)
    if number is None or not reading.divided_by or place.found is None:
        return None if number is None else number * reading.factor
    beside = [_float(text) for path in reading.divided_by for text in texts(place.found.item, path)]
    if not beside or any(each is None for each in beside):
        return math.nan
    whole = math.fsum(each for each in beside if each is not None)
    return number / whole * reading.factor if whole > 0 else math.nan


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _places(place: Place, profile: Profile, said: Said) -> Iterator[_Place]:
    asked = place.ask or next(iter(profile.asks))
    if place.pattern is not None:
        for line in said.lines.get(asked, ()):
            found = place.pattern.find(line)
            if found is not None:
                yield _Place(found, None, line)
        return
    root = said.status if profile.format == "xstatus" else said.trees.get(asked)
    if root is None or place.path is None:
        return
    for each in find(root, place.path)[:MAX_FOUND]:
        if all(not wanted or set(texts(each.item, path)) & set(wanted) for path, wanted in place.where.items()):
            yield _Place(each.text, each)
