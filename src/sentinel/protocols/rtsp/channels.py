"""Which channels of a platform are looked at in which round: favourites first, all of them in a known number of rounds.

plan = Rotation(options.looked_at, favourites=12, sample=5, start=0)
plan.next()    # the channels of this round
plan.rounds    # after so many rounds every channel has been looked at
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from sentinel.sdk.protocol import Options

MOST: Final = 500
"""Channels of one check at most: each has a value of its own in every result."""
PLACE: Final = re.compile(r"\{channel(?::0([1-9]))?\}")
_NUMBERS = r"^\s*[0-9]{1,6}(?:\s*-\s*[0-9]{1,6})?(?:\s*,\s*[0-9]{1,6}(?:\s*-\s*[0-9]{1,6})?)*\s*$"


@dataclass(frozen=True, slots=True)
class Channel:
    """One camera of a platform: its name (its number, where it has no other) and the path of its stream."""

    name: str
    path: str


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f:\x7f]+$")]
Path = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[\x21-\x7a\x7c\x7e]+$")]


class ChannelOptions(Options):
    """Many channels behind one address."""

    numbers: Annotated[str, BeforeValidator(_as_text), Field(pattern=_NUMBERS, max_length=2_000)] | None = Field(
        default=None, description='Channel numbers that go into the path: "1-64, 101-120, 7".'
    )
    named: dict[Name, Path] = Field(
        default_factory=dict, max_length=MOST, description="Channels with a path of their own, by name."
    )
    favourites: dict[Name, Annotated[list[Name], Field(min_length=1, max_length=MOST)]] = Field(
        default_factory=dict,
        max_length=50,
        description="Collections (收藏) by name, each a list of channel numbers or names. Half of the places of every "
        "round are theirs.",
    )
    sample: int = Field(default=5, ge=1, le=50, description="Channels looked at in each round.")
    at_once: int = Field(default=1, ge=1, le=4, description="Sessions that are open to the platform at a time.")
    require_ratio: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of a round's channels that must show a picture for the platform to count as available; one "
        "must in any case.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = {channel.name for channel in self.all("")}
        if not known:
            raise ValueError("give numbers, named, or both")
        if len(known) > MOST:
            raise ValueError(f"{len(known)} channels; at most {MOST} in one check: make it several")
        for collection, members in self.favourites.items():
            for name in members:
                if name not in known:
                    raise ValueError(f"favourites: {collection} has {name}, which is no channel")
        if self.favourites and self.sample < 2 and len(self.favourite_names) < len(known):
            raise ValueError("sample must be 2 or more where there are favourites and others")
        return self

    @property
    def favourite_names(self) -> tuple[str, ...]:
        """The members of all collections, each once."""
        return tuple(dict.fromkeys(name for members in self.favourites.values() for name in members))

    def all(self, path: str) -> tuple[Channel, ...]:
        """Every channel, favourites first; ``path`` is where a number goes into."""
        paths = {str(number): _filled(path, number) for number in self._each_number()} | self.named
        first = [name for name in self.favourite_names if name in paths]
        return tuple(Channel(name, paths[name]) for name in dict.fromkeys([*first, *paths]))

    def rotation(self, path: str, start: int = 0) -> Rotation:
        """The order in which they are looked at."""
        return Rotation(self.all(path), len(self.favourite_names), self.sample, start)

    def _each_number(self) -> Iterator[int]:
        count = 0
        for part in (self.numbers or "").split(","):
            first, _, last = part.partition("-")
            if not first.strip():
                continue
            low, high = int(first), int(last or first)
            if low > high:
                raise ValueError(f"numbers: {low}-{high} runs backwards")
            for number in range(low, high + 1):
                count += 1
                if count > 2 * MOST:  # what is refused anyway is not written out
                    return
                yield number


def _filled(path: str, number: int) -> str:
    return PLACE.sub(lambda found: f"{number:0{found[1] or 1}}", path)


@dataclass(slots=True)
class Rotation:
    """Two rings, of favourites (the first so many channels) and of the others, from which each round takes.

    ``start`` says where the second ring begins, so that a daemon that is started often does not always look at the
    same.
    """

    channels: Sequence[Channel]
    favourites: int
    sample: int
    start: int = 0
    _at: list[int] = field(default_factory=lambda: [0, 0])

    def __post_init__(self) -> None:
        if self._rings[1]:
            self._at[1] = self.start % len(self._rings[1])

    @property
    def rounds(self) -> int:
        """Rounds until every channel has been looked at once."""
        return max(-(-len(ring) // places) for ring, places in zip(self._rings, self._places, strict=True) if ring)

    @property
    def favourite_rounds(self) -> int:
        """Rounds until every favourite has been looked at once; 0 where there are none."""
        ring, places = self._rings[0], self._places[0]
        return -(-len(ring) // places) if ring else 0

    def next(self) -> list[Channel]:
        """The channels of the next round, favourites first."""
        found: list[Channel] = []
        for which, (ring, places) in enumerate(zip(self._rings, self._places, strict=True)):
            if ring:
                found += [ring[(self._at[which] + step) % len(ring)] for step in range(places)]
                self._at[which] = (self._at[which] + places) % len(ring)
        return found

    @property
    def _rings(self) -> tuple[Sequence[Channel], Sequence[Channel]]:
        return self.channels[: self.favourites], self.channels[self.favourites :]

    @property
    def _places(self) -> tuple[int, int]:
        favourites, others = map(len, self._rings)
        if not favourites or not others:
            return min(self.sample, favourites), min(self.sample, others)
        mine = min(favourites, (self.sample + 1) // 2)
        rest = min(others, self.sample - mine)
        return min(favourites, self.sample - rest), rest
