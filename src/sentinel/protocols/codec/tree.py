"""What a device says, as one tree: xStatus lines, XML and JSON are read into the same nodes.

    *s Call 27 Status: Connected            Call[27]/Status
    <Call item="27"><Status>Connected       Call[27]/Status
    {"Call": [{"Status": "Connected"}]}     Call[1]/Status

Nodes, depth and texts are bounded.  Neither input nor output here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sentinel.wire import markup

MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 24
MAX_TEXT: Final = 1_024
"""Characters kept of one text; what is longer is cut."""

_XSTATUS: Final = re.compile(r"\*s(?:tatus)? (?P<path>[^:\"]{1,300}):(?:\s+(?P<value>.*))?$")


class Malformed(ValueError):
    """It is not in the format that was expected, or more than it may be."""


@dataclass(slots=True, eq=False)
class Node:
    """One place in the tree.  ``key`` tells it from its siblings of the same name; empty where it has none."""

    name: str
    key: str = ""
    parent: Node | None = None
    text: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def adopt(self, others: Iterable[Node]) -> None:
        """Take over nodes as children of one's own."""
        for other in others:
            other.parent = self
            self.children.append(other)


class Status:
    """The tree of a terminal's ``*s`` lines: each says its whole path, so it matters little which answer it was in."""

    def __init__(self) -> None:
        self.root = Node("")
        self._known: dict[tuple[int, str, str], Node] = {}

    def add(self, line: str) -> bool:
        """Take in a line; whether it is one of a status.

        Raises:
            Malformed: there are too many.
        """
        found = _XSTATUS.match(line)
        if found is None:
            return False
        here = self.root
        words = found["path"].split()[:MAX_DEPTH]
        for at, name in enumerate(words):
            if at and name.isdigit():  # the number of what stands before it
                continue
            following = words[at + 1] if at + 1 < len(words) else ""
            here = self._child(here, name, following if following.isdigit() else "")
        value = (found["value"] or "").strip()
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        here.text = (value[1:-1] if quoted else value)[:MAX_TEXT]
        return True

    def _child(self, parent: Node, name: str, key: str) -> Node:
        place = id(parent), name, key
        known = self._known.get(place)
        if known is None:
            if len(self._known) >= MAX_NODES:
                raise Malformed(f"more than {MAX_NODES} parts")
            known = self._known[place] = Node(name, key, parent)
            parent.children.append(known)
        return known


def from_xml(body: bytes) -> Node:
    """The tree of an XML document; its root element is the only child of the node that is returned.

    An element's key is its attribute ``item`` or ``id``, else its number among siblings of its name.

    Raises:
        Malformed: no XML, a document type, or past a bound.
    """
    reader = _Reader()
    try:
        markup.read(markup.legal(_decoded(body)).strip(), reader)
    except markup.MalformedMarkup as error:
        raise Malformed(str(error)) from error
    return reader.root


def from_json(body: bytes) -> Node:
    """The tree of a JSON document: an object's members by name, a list's values by the list's name and a number.

    A list that has no name is called ``item``.  ``null`` has no text, true and false are these words.

    Raises:
        Malformed: no JSON, or past a bound.
    """
    try:
        document = json.loads(_decoded(body))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {type(error).__name__}") from error
    root, count = Node(""), 0
    waiting: list[tuple[Node, str, str, Any, int]] = [(root, "item", "", document, 0)]
    while waiting:
        parent, name, key, value, depth = waiting.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise Malformed(f"more than {MAX_NODES} parts, or {MAX_DEPTH} deep")
        if isinstance(value, list):
            rows = [(parent, name, str(number), each, depth + 1) for number, each in enumerate(value, 1)]
            waiting += reversed(rows)
            continue
        here = root
        if depth or not isinstance(value, dict):
            here = Node(name, key, parent, _text(value))
            parent.children.append(here)
        if isinstance(value, dict):
            members = [(here, str(member)[:100], "1", each, depth + 1) for member, each in value.items()]
            waiting += reversed(members)
    return root


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict) else str(value)[:MAX_TEXT]


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("gb18030", "replace")


class _Reader:
    """Takes what expat finds."""

    def __init__(self) -> None:
        self.root = Node("")
        self._here = self.root
        self._depth = self._count = 0
        self._numbers: list[dict[str, int]] = [{}]
        self._room = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self._count += 1
        self._depth += 1
        if self._count > MAX_NODES or self._depth > MAX_DEPTH:
            raise Malformed(f"more than {MAX_NODES} elements, or {MAX_DEPTH} deep")
        number = self._numbers[-1][name] = self._numbers[-1].get(name, 0) + 1
        kept = {name[:100]: value[:MAX_TEXT] for name, value in list(attributes.items())[:32]}
        key = kept.get("item") or kept.get("id") or str(number)
        node = Node(name[:100], key[:100], self._here, "", kept)
        self._here.children.append(node)
        self._here, self._room = node, MAX_TEXT
        self._numbers.append({})

    def text(self, data: str) -> None:
        if self._room > 0:
            self._here.text += data[: self._room]
            self._room -= len(data)

    def end(self, _name: str) -> None:
        self._here.text = self._here.text.strip()
        self._numbers.pop()
        self._depth -= 1
        self._here = self._here.parent or self.root
        self._room = 0
