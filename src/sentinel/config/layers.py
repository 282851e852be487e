"""Template, groups and target: what each says of a target, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sentinel.config.document import Node
from sentinel.config.inventory import Traits
from sentinel.config.problems import Position


@dataclass(frozen=True, slots=True)
class Layer:
    """A template, a group's defaults or a target, and its node."""

    traits: Traits
    node: Node


@dataclass(frozen=True, slots=True)
class CheckLayer:
    """One layer's say on a check: its fields without the options, which stay nodes."""

    fields: dict[str, Any]
    node: Node
    key: Position
    options: Node | None


@dataclass(slots=True)
class Draft:
    """What the layers of an entry add up to; ``places`` are where each field was written last."""

    kind: str | None = None
    zone: str | None = None
    venue: str | None = None
    room: str | None = None
    system: str | None = None
    parents: tuple[str, ...] = ()
    reachability: str | None = None
    placeholder: bool | None = None
    labels: dict[str, str] = field(default_factory=dict)
    checks: dict[str, list[CheckLayer]] = field(default_factory=dict)
    places: dict[str, Position] = field(default_factory=dict)


_PLAIN: Final = ("kind", "zone", "venue", "room", "system", "parents", "reachability", "placeholder")


def merge(layers: Sequence[Layer]) -> Draft:
    """Later layers count; labels, checks and their options add up key by key."""
    draft = Draft()
    for layer in layers:
        for name in _PLAIN:
            value = getattr(layer.traits, name)
            if value is not None:
                setattr(draft, name, value)
                draft.places[name] = layer.node.at(name).position
        draft.labels |= layer.traits.labels
        for name, check in layer.traits.checks.items():
            node = layer.node.at("checks", name)
            say = CheckLayer(
                check.model_dump(exclude={"options"}), node, layer.node.key("checks", name), node.child("options")
            )
            draft.checks.setdefault(name, []).append(say)
    return draft
