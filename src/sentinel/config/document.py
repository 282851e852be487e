"""YAML with line and column for every node, and nothing in it that could surprise.

The parser's events are taken as they come and composed here, without recursion: a file that is too deep, too large,
has an alias, a tag or the same key twice is refused at the event that shows it, before anything is built of it.
Plain scalars follow YAML 1.2's core schema (so ``no`` and ``on`` are text), without ``.nan`` and ``.inf``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner

from sentinel.config.problems import Position

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 40
MAX_NODES: Final = 250_000

_DEEP = f"is nested more than {MAX_DEPTH} deep"

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,3})?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Unreadable(Exception):
    """The file is no YAML that we accept; where and why."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(f"{position}: {message}")
        self.position, self.message = position, message


@dataclass(slots=True)
class Node:
    """A scalar, a list of nodes or a mapping of nodes, and where it stands.

    ``keys`` are the positions of a mapping's keys.  ``spoilt``: something that was broken has been taken out, so what
    is missing here may only be misspelt.
    """

    position: Position
    value: Any
    keys: dict[str, Position] = field(default_factory=dict)
    spoilt: bool = False

    def child(self, element: str | int) -> Node | None:
        """The node under a key or an index, None where there is none."""
        if isinstance(self.value, dict) and isinstance(element, str):
            return self.value.get(element)
        if isinstance(self.value, list) and isinstance(element, int) and element < len(self.value):
            return self.value[element]  # type: ignore[no-any-return]  # a list's elements are nodes
        return None

    def at(self, *path: str | int) -> Node:
        """The node at the end of a path, or the last one that there is on the way."""
        node = self
        for element in path:
            found = node.child(element)
            if found is None:
                return node
            node = found
        return node

    def key(self, *path: str | int) -> Position:
        """Where the last key of a path is written; the nearest node's place where it is not written."""
        parent = self.at(*path[:-1])
        last = path[-1]
        if isinstance(last, str) and last in parent.keys:
            return parent.keys[last]
        return self.at(*path).position

    def plain(self) -> Any:
        """The same as dictionaries, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def scalars(self) -> Iterator[Node]:
        """Every scalar in or under this node."""
        if isinstance(self.value, dict):
            for node in self.value.values():
                yield from node.scalars()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.scalars()
        else:
            yield self


def read(path: Path) -> Node:
    """The one document of a file; an empty file is an empty mapping.

    Raises:
        Unreadable: it cannot be read, is too large, is not UTF-8, or is not YAML as the module describes it.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(Position(name), f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise Unreadable(Position(name), f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return parse(data, name)


def parse(data: bytes, name: str) -> Node:
    """As ``read``, of bytes; ``name`` is the file's name in messages.

    Raises:
        Unreadable: see ``read``.
    """
    text = _decode(data, name)
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _Scanner
    try:
        return _compose(yaml.parse(text), name)
    except _TooDeep as error:
        mark = error.problem_mark
        raise Unreadable(Position(name, mark.line + 1, mark.column + 1), _DEEP) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
        raise Unreadable(position, f"is not YAML: {error.problem or error.context}") from error
    except (YAMLError, ValueError) as error:
        raise Unreadable(Position(name), f"is not YAML: {type(error).__name__}") from error


class _TooDeep(MarkedYAMLError):
    """Brackets in brackets past the limit."""


class _Scanner(Scanner):
    """Stops at the bracket that is too deep.

    The scanner looks 1,024 characters ahead for a key, and for each bracket at all those before it: with nothing but
    brackets that is a second of work before the composer sees the first of them.
    """

    def fetch_flow_collection_start(self, *arguments: Any, **named: Any) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise _TooDeep(problem_mark=self.reader.get_mark())
        super().fetch_flow_collection_start(*arguments, **named)


def _decode(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise Unreadable(Position(name, line, column), "is not UTF-8") from error
    if found := _CONTROL.search(text):
        start = found.start()
        line = text.count("\n", 0, start) + 1
        column = start - (text.rfind("\n", 0, start) + 1) + 1
        raise Unreadable(Position(name, line, column), f"control character U+{ord(found[0]):04X}")
    return text


class _Composer:
    """The open collections, innermost last, and the key that waits for its value in each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Node | None = None
        self.open: list[Node] = []
        self.waiting: list[tuple[str, Position] | None] = []
        self.count = 0

    def add(self, node: Node) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            raise Unreadable(node.position, f"has more than {MAX_NODES} entries: use templates and `count`")
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
            return
        key = self.waiting[-1]
        if key is None:
            self.waiting[-1] = self._key(parent, node)
            return
        parent.value[key[0]] = node
        parent.keys[key[0]] = key[1]
        self.waiting[-1] = None

    def _key(self, parent: Node, node: Node) -> tuple[str, Position]:
        if isinstance(node.value, dict | list) or node.value is None:
            raise Unreadable(node.position, "a key must be text")
        key = node.value if isinstance(node.value, str) else _spelling(node.value)
        if key in parent.value:
            first = parent.keys[key]
            raise Unreadable(node.position, f"the key `{key[:80]}` is here twice: first in line {first.line}")
        return key, node.position

    def begin(self, node: Node) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise Unreadable(node.position, _DEEP)
        if self.open and isinstance(self.open[-1].value, dict) and self.waiting[-1] is None:
            raise Unreadable(node.position, "a key must be text")
        self.add(node)
        self.open.append(node)
        self.waiting.append(None)

    def end(self) -> None:
        self.open.pop()
        self.waiting.pop()


def _spelling(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compose(events: Iterator[Any], name: str) -> Node:
    composer = _Composer(name)
    documents = 0
    for event in events:
        position = Position(name, event.start_mark.line + 1, event.start_mark.column + 1)
        _refuse(event, position)
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable(position, "a second document in one file")
        elif isinstance(event, ScalarEvent):
            composer.add(Node(position, _scalar(event, position)))
        elif isinstance(event, SequenceStartEvent):
            composer.begin(Node(position, []))
        elif isinstance(event, MappingStartEvent):
            composer.begin(Node(position, {}))
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            composer.end()
    root = composer.root
    return Node(Position(name), {}) if root is None or root.value is None else root


def _refuse(event: Any, position: Position) -> None:
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
        raise Unreadable(position, "anchors and aliases (`&`, `*`) are not accepted: use `templates`")
    if getattr(event, "tag", None):
        raise Unreadable(position, "tags (`!…`) are not accepted")
    if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
        raise Unreadable(position, "directives (`%…`) are not accepted")


def _scalar(event: ScalarEvent, position: Position) -> str | int | float | bool | None:
    text: str = event.value
    if event.style:  # quoted or a block
        if found := _CONTROL.search(text):  # written as an escape: "\\0"
            raise Unreadable(position, f"control character U+{ord(found[0]):04X}")
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise Unreadable(position, "the number is too large")
        return number
    if _NOT_A_NUMBER.fullmatch(text):
        raise Unreadable(position, "`.nan` and `.inf` are not accepted")
    return text
