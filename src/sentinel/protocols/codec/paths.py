"""Paths into the tree of what a device says.

    SIP/Registration[*]/Status      each registration's status
    Video/Input/Connector[1]/Type   that of the connector with this key
    callLegs/@total                 an attribute of an element
    callLeg[*]/status/*[*]/jitter   any name

``[*]`` makes items: the last one in a path is the item that a label, a condition or a divisor is looked up from, with
``..`` for what it is in and ``.`` for its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from sentinel.protocols.codec.tree import Node

MAX_FOUND: Final = 512
"""Places that one path finds, at most."""

_STEP: Final = re.compile(r"(?P<name>\*|[A-Za-z_][A-Za-z0-9_.:-]*)(?:\[(?P<key>\*|[A-Za-z0-9_.:-]+)\])?")
_ATTRIBUTE: Final = re.compile(r"@[A-Za-z_][A-Za-z0-9_.:-]*")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: names that fit (``*``: any) and keys (``*``: each, an item of its own; empty: all of them)."""

    name: str
    key: str

    def fits(self, node: Node) -> bool:
        """Whether a node is where this step leads."""
        return self.name in ("*", node.name) and self.key in ("", "*", node.key)


@dataclass(frozen=True, slots=True)
class Found:
    """A place that a path leads to.  ``item`` is the node of the last ``[*]``, ``keys`` those of all."""

    text: str
    item: Node
    keys: tuple[str, ...]


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[tuple[Step, ...], str]:
    """The steps of a path, and the attribute at its end, empty where there is none.

    Raises:
        ValueError: it is no path.
    """
    parts = path.split("/")
    attribute = parts.pop()[1:] if _ATTRIBUTE.fullmatch(parts[-1]) else ""
    found = []
    for part in parts:
        step = _STEP.fullmatch(part)
        if step is None:
            raise ValueError(f"{part!r} is no step of a path: a name, name[*] or name[key]")
        found.append(Step(step["name"], step["key"] or ""))
    return tuple(found), attribute


def find(root: Node, path: str) -> list[Found]:
    """The places that a path leads to, in the document's order; one more than ``MAX_FOUND`` at most."""
    every, attribute = steps(path)
    found: list[Found] = []
    waiting: list[tuple[Node, int, Node | None, tuple[str, ...]]] = [(root, 0, None, ())]
    while waiting and len(found) <= MAX_FOUND:
        node, at, item, keys = waiting.pop()
        if at == len(every):
            if not attribute:
                found.append(Found(node.text, item or node, keys))
            elif attribute in node.attributes:
                found.append(Found(node.attributes[attribute], item or node, keys))
            continue
        step = every[at]
        each = step.key == "*"
        waiting += [
            (child, at + 1, child if each else item, (*keys, child.key) if each else keys)
            for child in reversed(node.children)
            if step.fits(child)
        ]
    return found


def texts(item: Node, path: str) -> Iterator[str]:
    """The texts that a relative path leads to from an item."""
    here: Node | None = item
    while path.startswith("..") and here is not None:
        here, path = here.parent, path[2:].removeprefix("/")
    if here is None:
        return
    if path in ("", "."):
        yield here.name if path else here.text
        return
    for found in find(here, path):
        yield found.text


def _is_path(path: str) -> str:
    steps(path)
    return path


def _is_relative(path: str) -> str:
    rest = path
    while rest.startswith(".."):
        rest = rest[2:].removeprefix("/")
    if rest not in ("", "."):
        steps(rest)
    return path


_TEXT = StringConstraints(min_length=1, max_length=300, strict=True)
Path = Annotated[str, _TEXT, AfterValidator(_is_path)]
Relative = Annotated[str, _TEXT, AfterValidator(_is_relative)]
