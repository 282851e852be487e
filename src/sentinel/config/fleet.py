"""From the inventory's templates, groups and ranges to targets and checks; every reference is looked up here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from sentinel.config import numbering
from sentinel.config.configuration import Place, Zone
from sentinel.config.document import Node
from sentinel.config.inventory import (
    Group,
    InventoryFile,
    PlaceEntry,
    RoomEntry,
    SystemEntry,
    TargetEntry,
    Traits,
    ZoneEntry,
)
from sentinel.config.layers import Draft, Layer, merge
from sentinel.config.parents import cycles
from sentinel.config.probes import Probe, ProbeBook
from sentinel.config.problems import Position, Problems, did_you_mean
from sentinel.config.validate import salvage
from sentinel.domain.target import Check, Target
from sentinel.sdk.protocol import Options
from sentinel.sdk.ssh_login import Login

Readdress = Callable[[str, int | None], tuple[str, int | None]]

MAX_TARGETS: Final = 50_000
DEFAULT_TIMEOUT: Final = 5.0


@dataclass(slots=True)
class Fleet:
    """What the inventory says; ``places`` are where each target and each check is written.

    ``removed`` are ids of entries that are broken and were reported: a reference to one of them is no new error.
    """

    zones: dict[str, Zone] = field(default_factory=dict)
    venues: dict[str, Place] = field(default_factory=dict)
    rooms: dict[str, Place] = field(default_factory=dict)
    systems: dict[str, Place] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    places: dict[str, Position] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def was_removed(self, word: str) -> bool:
        """Whether a broken entry would have had this id."""
        return any(fnmatchcase(word, re.sub(r"\{[^{}]*\}", "*", pattern)) for pattern in self.removed)


def read_fleet(
    node: Node, book: ProbeBook, problems: Problems, *, vantage: str | None, readdress: Readdress | None
) -> Fleet | None:
    """The fleet of an inventory, without what is broken; None where the file cannot be used at all.

    ``vantage`` is the daemon's own name, None where it is not known for an error elsewhere.
    """
    file, node, removed = salvage(InventoryFile, node, problems)
    if file is None:
        return None
    fleet = Fleet(probes=book.probes, removed=removed | book.removed)
    _Reader(file, node, fleet, book, problems, readdress).read(vantage)
    return fleet


class _Reader:
    """Walks the file once, then checks what only the whole can show."""

    def __init__(
        self,
        file: InventoryFile,
        node: Node,
        fleet: Fleet,
        book: ProbeBook,
        problems: Problems,
        readdress: Readdress | None,
    ) -> None:
        self.file, self.node, self.fleet, self.book, self.problems = file, node, fleet, book, problems
        self.readdress = readdress
        self.parents: dict[str, Position] = {}

    def read(self, vantage: str | None) -> None:
        for id_, zone in self.file.zones.items():
            self.fleet.zones[id_] = Zone(id_, zone.name, zone.vantage, self._bastion(zone))
            if vantage is not None and zone.vantage not in (None, vantage):
                place = self.node.at("zones", id_, "vantage").position
                hint = f"; the only one is this daemon, `{vantage}` (see `vantage` in sentinel.yaml)"
                self.problems.error(place, f"unknown vantage `{zone.vantage}`{hint}")
        for section, entries, into in (
            ("venues", self.file.venues, self.fleet.venues),
            ("rooms", self.file.rooms, self.fleet.rooms),
            ("systems", self.file.systems, self.fleet.systems),
        ):
            for index, entry in enumerate(entries):
                self._places(section[:-1], entry, self.node.at(section, index), into)
        for room in self.fleet.rooms.values():
            place = self.fleet.places[f"room {room.id}"]
            self._known("venue", room.venue, self.fleet.venues, place)
        for name, template in self.file.templates.items():
            self._references(template, self.node.at("templates", name))
        for index, target in enumerate(self.file.targets):
            self._entry(target, self.node.at("targets", index), [], {}, None)
        for index, group in enumerate(self.file.groups):
            self._group(group, self.node.at("groups", index), [], {}, None)
        self._hang_together()

    def _bastion(self, zone: ZoneEntry) -> Login | None:
        if zone.via is None:
            return None
        address, port = self._moved(zone.via.address, zone.via.port)
        return replace(zone.via.at(address), port=port or zone.via.port)

    def _places(self, kind: str, entry: PlaceEntry, node: Node, into: dict[str, Place]) -> None:
        for variables in _numbers(entry.count, entry.start, {}):
            try:
                id_ = numbering.identifier(numbering.number(entry.id, variables))
                name = numbering.number(entry.name, variables)
                venue = entry.venue if isinstance(entry, RoomEntry) else None
                venue = None if venue is None else numbering.number(venue, variables)
            except ValueError as error:
                self.problems.error(node.at("id").position, str(error))
                return
            if id_ in into:
                first = self.fleet.places[f"{kind} {id_}"]
                self.problems.error(node.at("id").position, f"the {kind} `{id_}` is here twice: first in {first}")
                return
            sort = entry.kind if isinstance(entry, SystemEntry) else kind
            into[id_] = Place(id_, name, sort, entry.owner, entry.contact, venue, entry.placeholder)
            self.fleet.places[f"{kind} {id_}"] = node.at("venue" if venue else "id").position

    def _group(
        self, group: Group, node: Node, outer: list[Layer], variables: Mapping[str, int], template: str | None
    ) -> None:
        self._references(group.defaults, node.at("defaults"))
        template = group.defaults.template or template
        layers = [*outer, Layer(group.defaults, node.at("defaults"))]
        numbered = {"count", "start"} & group.model_fields_set
        for numbers in _numbers(group.count, group.start, variables, name="g" if numbered else None):
            for index, entry in enumerate(group.targets):
                self._entry(entry, node.at("targets", index), layers, numbers, template)
            for index, inner in enumerate(group.groups):
                self._group(inner, node.at("groups", index), layers, numbers, template)

    def _entry(
        self, entry: TargetEntry, node: Node, outer: list[Layer], variables: Mapping[str, int], template: str | None
    ) -> None:
        if not self._expanded(entry, node, [*outer, Layer(entry, node)], variables, entry.template or template):
            self.fleet.removed.add(entry.id)

    def _expanded(
        self, entry: TargetEntry, node: Node, layers: list[Layer], variables: Mapping[str, int], template: str | None
    ) -> bool:
        """Make the targets of an entry; whether that went well."""
        self._references(entry, node)
        if entry.count > 1 and not numbering.uses(entry.id, "n"):
            self.problems.error(node.at("id").position, f"`count: {entry.count}` needs `{{n}}` in the id")
            return False
        if template is not None and template not in self.file.templates:
            said = [each.node.at("template").position for each in layers if each.node.child("template")]
            self._known("template", template, self.file.templates, said[-1])
            return False
        if template is not None:
            layers = [Layer(self.file.templates[template], self.node.at("templates", template)), *layers]
        draft = merge(layers)
        checks = self._checks(draft, node)
        if self._lacks(draft, layers, node.position):
            return False
        for numbers in _numbers(entry.count, entry.start, variables):
            if len(self.fleet.targets) >= MAX_TARGETS:
                self.problems.error(node.position, f"more than {MAX_TARGETS} targets")
                return False
            target = self._target(entry, draft, checks, node, numbers)
            if target is None:
                return False
            for check in checks:
                self._check(check, target, numbers, entry)
        return True

    def _lacks(self, draft: Draft, layers: Sequence[Layer], here: Position) -> bool:
        lacking = [name for name in ("kind", "zone") if getattr(draft, name) is None]
        if not any(layer.node.spoilt for layer in layers):
            for name in lacking:
                self.problems.error(here, f"`{name}` is missing, here and in its template and groups")
        return bool(lacking)

    def _target(
        self, entry: TargetEntry, draft: Draft, checks: list[_CheckDraft], node: Node, numbers: Mapping[str, int]
    ) -> Target | None:
        fleet = self.fleet
        where = "id"
        try:
            id_ = numbering.identifier(numbering.number(entry.id, numbers))
            where = "name"
            name = numbering.number(entry.name, numbers)
            where = "address"
            address = numbering.address(numbering.number(entry.address, numbers))
            where = "parents"
            parents = tuple(numbering.number(parent, numbers) for parent in draft.parents)
            where = "labels"
            labels = {label: numbering.number(value, numbers) for label, value in draft.labels.items()}
            named = self._named(draft, numbers, node.position)
        except ValueError as error:
            self.problems.error(draft.places.get(where) or node.at(where).position, str(error))
            return None
        if id_ in fleet.targets:
            self.problems.error(node.at("id").position, f"the id `{id_}` is here twice: first in {fleet.places[id_]}")
            return None
        system = fleet.systems.get(named["system"] or "")
        target = Target(
            id=id_,
            name=name,
            address=self._moved(address, None)[0],
            kind=draft.kind or "",
            zone=draft.zone or "",
            parents=parents,
            labels=labels,
            reachability=_reachability(id_, draft.reachability, checks),
            placeholder=draft.placeholder if draft.placeholder is not None else bool(system and system.placeholder),
            **named,
        )
        fleet.targets[id_] = target
        fleet.places[id_] = node.at("id").position
        self.parents[id_] = draft.places.get("parents", node.position)
        return target

    def _named(self, draft: Draft, numbers: Mapping[str, int], here: Position) -> dict[str, str | None]:
        """Venue, room and system by their ids."""
        named: dict[str, str | None] = {}
        for kind, known in (("venue", self.fleet.venues), ("room", self.fleet.rooms), ("system", self.fleet.systems)):
            word: str | None = getattr(draft, kind)
            named[kind] = None if word is None else numbering.number(word, numbers)
            self._known(kind, named[kind], known, draft.places.get(kind, here))
        room = self.fleet.rooms.get(named["room"] or "")
        if named["venue"] is None and room is not None:
            named["venue"] = room.venue
        return named

    def _check(self, check: _CheckDraft, target: Target, numbers: Mapping[str, int], entry: TargetEntry) -> None:
        address = numbering.address(numbering.number(entry.address, numbers))
        zone = self.fleet.zones.get(target.zone)
        carrier = check.probe.protocol.carrier(check.options)
        if zone is not None and zone.via is not None and carrier != "tcp":
            speaks = f"speaks over {carrier.upper()}" if carrier != "local" else "reads this host's own files"
            self.problems.error(
                check.place,
                f"the check `{check.name}` ({check.probe.protocol.name}) {speaks}, but the zone `{zone.id}` is reached "
                f"`via` an SSH bastion, which carries TCP only",
            )
        made = Check(
            id=f"{target.id}.{check.name}",
            name=check.name,
            target=target,
            probe=check.probe.name,
            protocol=check.probe.protocol.name,
            options=self._moved_options(address, check.options),
            interval=check.interval,
            timeout=check.timeout,
            vantage=zone.vantage if zone else None,
            required=check.required,
            via=zone.via if zone else None,
            retrieves_picture=check.probe.protocol.retrieves(check.options),
        )
        self.fleet.checks[made.id] = made
        self.fleet.places[made.id] = check.place

    def _moved(self, address: str, port: int | None) -> tuple[str, int | None]:
        return (address, port) if self.readdress is None else self.readdress(address, port)

    def _moved_options(self, address: str, options: Options) -> Options:
        if self.readdress is None:
            return options
        told: dict[str, Any] = {
            name: getattr(options, name) for name in ("port", "listen") if name in type(options).model_fields
        }
        moved: dict[str, Any] = dict(told)
        if "port" in told:
            moved["port"] = self.readdress(address, told["port"])[1]
        if "listen" in told:
            moved["listen"] = self.readdress(told["listen"], None)[0]
        return options if moved == told else options.model_copy(update=moved)

    def _checks(self, draft: Draft, node: Node) -> list[_CheckDraft]:
        found: list[_CheckDraft] = []
        for name, layers in draft.checks.items():
            place = layers[-1].key
            merged: dict[str, Any] = {}
            for layer in layers:
                merged |= {key: value for key, value in layer.fields.items() if value is not None}
            if merged.get("enabled") is False:
                continue
            if any(key not in merged for key in ("probe", "interval")):
                missing = " and ".join(f"`{key}`" for key in ("probe", "interval") if key not in merged)
                if not any(layer.node.spoilt for layer in layers):
                    self.problems.error(place, f"the check `{name}` has no {missing}")
                continue
            interval = merged["interval"]
            timeout = merged.get("timeout", min(DEFAULT_TIMEOUT, interval))
            if timeout > interval:
                self.problems.error(place, f"the check `{name}` has a timeout that is longer than its interval")
            probe = self.book.probes.get(merged["probe"])
            if probe is None:
                at = next(layer.node.at("probe").position for layer in reversed(layers) if layer.fields["probe"])
                self._known("probe", merged["probe"], self.book.probes, at)
                continue
            options = self.book.options(probe, [layer.options for layer in layers if layer.options], place)
            if options is not None:
                required = bool(merged.get("required"))
                found.append(_CheckDraft(name, probe, options, interval, timeout, required, place))
        wanted = draft.reachability
        if wanted is not None and wanted not in draft.checks:
            at = draft.places.get("reachability", node.position)
            self.problems.error(at, f"unknown check `{wanted}`{did_you_mean(wanted, draft.checks)}")
        return found

    def _references(self, traits: Traits, node: Node) -> None:
        """What can be looked up without numbers: the zone."""
        self._known("zone", traits.zone, self.fleet.zones, node.at("zone").position)

    def _known(self, kind: str, word: str | None, known: Iterable[str], place: Position) -> None:
        if word is None or word in known or self.fleet.was_removed(word):
            return
        self.problems.error(place, f"unknown {kind} `{word[:80]}`{did_you_mean(word, known)}")

    def _hang_together(self) -> None:
        """Parents exist and nothing hangs on itself."""
        targets = self.fleet.targets
        for target in targets.values():
            for parent in target.parents:
                self._known("parent", parent, targets, self.parents[target.id])
        for cycle in cycles({target.id: target.parents for target in targets.values()}):
            self.problems.error(self.parents[cycle[0]], f"hangs on itself: {' → '.join([*cycle, cycle[0]])}")


@dataclass(frozen=True, slots=True)
class _CheckDraft:
    """A check of every target of an entry."""

    name: str
    probe: Probe
    options: Options
    interval: float
    timeout: float
    required: bool
    place: Position


def _reachability(target: str, wanted: str | None, checks: Sequence[_CheckDraft]) -> str | None:
    if not checks:
        return None
    names = [check.name for check in checks]
    if wanted in names:
        return f"{target}.{wanted}"
    for protocol in ("icmp", "tcp"):
        for check in checks:
            if check.probe.protocol.name == protocol:
                return f"{target}.{check.name}"
    return f"{target}.{names[0]}"


def _numbers(
    count: int, start: int, outer: Mapping[str, int], *, name: str | None = "n"
) -> Iterator[Mapping[str, int]]:
    for value in range(start, start + count):
        yield dict(outer) if name is None else {**outer, name: value}
