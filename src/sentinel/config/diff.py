"""What would change if a configuration replaced the one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """Ids that are only in the new one, only in the old one, and in both but not alike; each in order."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(sorted({*self.added, *self.removed, *self.changed}))

    def __str__(self) -> str:
        """``+3 -1 ~2``; ``=`` where nothing changes."""
        signs = (("+", self.added), ("-", self.removed), ("~", self.changed))
        return " ".join(f"{sign}{len(ids)}" for sign, ids in signs if ids) or "="


def compare(old: Mapping[str, str], new: Mapping[str, str]) -> Change:
    """From the fingerprints of what runs to those of what is wanted."""
    return Change(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(id_ for id_ in new.keys() & old.keys() if new[id_] != old[id_])),
    )
