"""The shape of ``probes/*.yaml``: a probe is a name for a protocol with its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from sentinel.catalog import Catalog
from sentinel.config.document import Node
from sentinel.config.inventory import Section
from sentinel.config.problems import Position, Problems, did_you_mean
from sentinel.config.quantities import Slug
from sentinel.config.validate import message, real_path, salvage
from sentinel.sdk.protocol import Options, Protocol


class ProbeEntry(Section):
    """A protocol with its options, under a name."""

    protocol: str = Field(description="The protocol.")
    description: str = Field(default="", max_length=500, description="What it looks at, for people.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the protocol.")


class ProbesFile(Section):
    """Probes of one family."""

    probes: dict[Slug, ProbeEntry] = Field(description="Probes by name.")


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe that can be used: ``options`` is its node, None where it has none."""

    name: str
    protocol: Protocol
    description: str
    options: Node | None
    broken: bool


class ProbeBook:
    """All probes, and the options of every check, each validated once however many targets share it.

    ``profiles`` are the directories of vendor data, handed to the options' models as ``info.context["profiles"]``.
    """

    def __init__(self, catalog: Catalog, problems: Problems, profiles: Sequence[Path] = ()) -> None:
        self._catalog, self._problems = catalog, problems
        self._context = {"profiles": tuple(profiles)}
        self.probes: dict[str, Probe] = {}
        self.removed: set[str] = set()
        self._places: dict[str, Position] = {}
        self._made: dict[tuple[str, tuple[int, ...]], Options | None] = {}

    def add(self, node: Node) -> None:
        """The probes of one file."""
        file, node, removed = salvage(ProbesFile, node, self._problems)
        self.removed |= removed
        if file is None:
            return
        for name, entry in file.probes.items():
            place = node.key("probes", name)
            if name in self._places:
                self._problems.error(place, f"the probe `{name}` is here twice: first in {self._places[name]}")
                continue
            self._places[name] = place
            protocol = self._catalog.protocols.get(entry.protocol)
            if protocol is None:
                self.removed.add(name)
                if self._catalog.broken:  # it may well be the one that is broken, which was said
                    continue
                hint = did_you_mean(entry.protocol, self._catalog.protocols)
                self._problems.error(
                    node.at("probes", name, "protocol").position, f"unknown protocol `{entry.protocol}`{hint}"
                )
                continue
            options = node.at("probes", name).child("options")
            broken = not self._sound(protocol, options)
            self.probes[name] = Probe(name, protocol, entry.description, options, broken)

    def _sound(self, protocol: Protocol, options: Node | None) -> bool:
        """Whether the options are right as far as they go: a check may still add what is missing."""
        try:
            protocol.options.model_validate({} if options is None else options.plain(), context=self._context)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            if any(detail["type"] == "missing" for detail in details):
                details = [detail for detail in details if detail["type"] != "missing" and detail["loc"]]
            for detail in details:
                self._complain(detail, protocol, [options] if options else [], None)
            return not details
        return True

    def options(self, probe: Probe, overrides: Sequence[Node], place: Position) -> Options | None:
        """The options of a check of this probe; ``overrides`` are the layers over the probe's own, later ones count.

        None where they are wrong, which has been said then.
        """
        if probe.broken:
            return None
        key = (probe.name, tuple(id(node) for node in overrides))
        if key not in self._made:
            self._made[key] = self._make(probe, overrides, place)
        return self._made[key]

    def _make(self, probe: Probe, overrides: Sequence[Node], place: Position) -> Options | None:
        layers = ([probe.options] if probe.options else []) + list(overrides)
        merged: dict[str, Any] = {}
        for layer in layers:
            merged |= layer.plain()
        try:
            return probe.protocol.options.model_validate(merged, context=self._context)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                self._complain(detail, probe.protocol, layers, place)
        return None

    def _complain(self, detail: Any, protocol: Protocol, layers: Sequence[Node], place: Position | None) -> None:
        """Say an error at the layer that the option comes from."""
        loc = detail["loc"]
        text = message(detail, protocol.options)
        if detail["type"] == "missing" and len(loc) == 1:
            text = f"the {protocol.name} option `{loc[0]}` is missing"
        for layer in reversed(layers):
            if loc and layer.child(loc[0]) is not None:
                path = real_path(loc, layer)
                forbidden = detail["type"] == "extra_forbidden"
                text = message(detail, protocol.options, layer.at(*path).value)
                self._problems.error(layer.key(*path) if forbidden else layer.at(*path).position, text)
                return
        if place is None:
            place = layers[-1].position if layers else Position(protocol.name)
        self._problems.error(place, text)


def files(directory: Path) -> list[Path]:
    """The probe files of a directory, by name; profiles and site-local protocols lie in folders of their own."""
    return sorted(path for path in directory.glob("*.yaml") if not path.name.startswith("."))
