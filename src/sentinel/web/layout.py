"""Where each target stands on the wall: worked out once a configuration."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sentinel.config.configuration import Configuration, Place
from sentinel.domain.target import Target

NETWORK_KINDS = frozenset({"switch", "router", "firewall", "gateway"})
_REMARK = re.compile(r"\s*[(（][^()（）]{1,40}[)）]$")
SECTIONS = ("venues", "image", "business", "terminals", "av", "network", "other")


@dataclass(frozen=True, slots=True)
class Spot:
    """One tile: ``members`` are the check ids of each target behind it.

    ``label`` is the name as the tile has room for it.  ``kind``: a ``platform`` is drawn apart.
    """

    id: str
    name: str
    kind: str
    members: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        """Without the heading's word over all switches, and without a remark in brackets at the end."""
        return _REMARK.sub("", self.name).replace("交换机", "") or self.name


@dataclass(frozen=True, slots=True)
class Block:
    """Tiles under a heading of their own (a room); the heading is empty where the section's is enough."""

    name: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Blocks by section, and the tiles in which each check has a part."""

    sections: Mapping[str, tuple[Block, ...]]
    spots: Mapping[str, Spot]
    by_check: Mapping[str, tuple[str, ...]]


def layout(configuration: Configuration) -> Layout:
    """Every target that has a check is on the wall exactly once: what fits nowhere is under ``other``."""
    checks: defaultdict[str, list[str]] = defaultdict(list)
    for check in configuration.checks.values():
        checks[check.target.id].append(check.id)
    placed: dict[str, defaultdict[str, list[Target]]] = {section: defaultdict(list) for section in SECTIONS}
    for target in configuration.targets.values():
        if target.id in checks:
            section, group = _place(target, configuration.systems)
            placed[section][group].append(target)
    one = _Sections(configuration, placed, checks)
    sections = {
        "venues": (Block("", one.grouped("venues", configuration.venues)),),
        "image": (Block("", one.grouped("image", configuration.systems)),),
        "business": (Block("", one.grouped("business", configuration.systems)),),
        "terminals": one.rooms("terminals"),
        "av": (Block("", one.grouped("av", configuration.rooms)),),
        "network": (Block("", one.single("network")),),
        "other": (Block("", one.single("other")),),
    }
    spots = {spot.id: spot for blocks in sections.values() for block in blocks for spot in block.spots}
    by_check: defaultdict[str, list[str]] = defaultdict(list)
    for spot in spots.values():
        for members in spot.members:
            for check_id in members:
                by_check[check_id].append(spot.id)
    return Layout(sections, spots, {check_id: tuple(ids) for check_id, ids in by_check.items()})


def _place(target: Target, systems: Mapping[str, Place]) -> tuple[str, str]:
    """Section, and the id of the venue, system or room within it."""
    if target.system is not None:
        system = systems.get(target.system)
        return ("business" if system is not None and system.kind == "business" else "image"), target.system
    if target.kind in NETWORK_KINDS:
        return "network", ""
    if target.kind == "terminal" and target.room is not None:
        return "terminals", target.room
    # Control and AV equipment belongs to its room's venue as well, but a venue's tile counts conference sets.
    if target.venue is not None and (target.room is None or target.kind.startswith("conference")):
        return "venues", target.venue
    if target.room is not None:
        return "av", target.room
    return "other", ""


@dataclass(frozen=True, slots=True)
class _Sections:
    configuration: Configuration
    placed: Mapping[str, Mapping[str, list[Target]]]
    checks: Mapping[str, list[str]]

    def grouped(self, section: str, places: Mapping[str, Place]) -> tuple[Spot, ...]:
        """One tile a place, in the order of the inventory."""
        found = self.placed[section]
        return tuple(
            Spot(f"{section}/{place.id}", place.name, place.kind, self._members(found[place.id]))
            for place in places.values()
            if place.id in found
        )

    def rooms(self, section: str) -> tuple[Block, ...]:
        """One block a room, one tile a target."""
        return tuple(
            Block(room.name, self._each(section, self.placed[section][room.id]))
            for room in self.configuration.rooms.values()
            if room.id in self.placed[section]
        )

    def single(self, section: str) -> tuple[Spot, ...]:
        """One tile a target."""
        return self._each(section, self.placed[section].get("", ()))

    def _each(self, section: str, targets: Sequence[Target]) -> tuple[Spot, ...]:
        return tuple(
            Spot(f"{section}/{target.id}", target.name, target.kind, self._members((target,))) for target in targets
        )

    def _members(self, targets: Iterable[Target]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(self.checks[target.id]) for target in targets)
