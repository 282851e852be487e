"""MIB modules: the names, types, units and enumerations in a file of SMIv1 or SMIv2 (RFC 1155, RFC 1212, RFC 2578).

No compiler: makers' files break the grammar in many ways and import what nobody has.  What is needed here (who is
whose child, of what type) is read from each definition by itself, and what can't be placed is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

LARGEST_FILE = 4 << 20
MOST_FILES = 2_000
MOST_TOKENS = 1_000_000
"""Of one file; the largest standard module has 20,000."""

ROW = "row"
NOTIFICATION = "notification"

_TOKEN = re.compile(
    r'--[^\n]*?(?:--|\n|$)|"[^"]*"|::=|\.\.|[{}(),;|\[\]]|-?\d+|\'[0-9A-Fa-f]*\'[BbHh]|[A-Za-z][\w-]*|\S'
)
_MACROS = frozenset(
    {
        "OBJECT-TYPE",
        "OBJECT-IDENTITY",
        "MODULE-IDENTITY",
        "NOTIFICATION-TYPE",
        "OBJECT-GROUP",
        "NOTIFICATION-GROUP",
        "MODULE-COMPLIANCE",
        "AGENT-CAPABILITIES",
    }
)
_AFTER_SYNTAX = frozenset({"UNITS", "ACCESS", "MAX-ACCESS", "STATUS", "DESCRIPTION", "REFERENCE", "INDEX", "::="})
_ROOTS = {"ccitt": (0,), "iso": (1,), "joint-iso-ccitt": (2,), "zeroDotZero": (0, 0)}
_DEEPEST = 128  # arcs, and definitions that lead from one to the next


class Symbol(NamedTuple):
    """A named node.

    ``base`` is the SMI's type (``Counter64``, ``OCTET STRING``), ``row`` for a conceptual row, ``notification`` for
    a trap, and empty for what has no value.  ``convention`` is the textual convention, where it has one.
    """

    oid: str
    name: str
    module: str = ""
    base: str = ""
    convention: str = ""
    units: str = ""
    labels: Mapping[int, str] = {}


@dataclass(slots=True)
class _Type:
    """A type as it was written: a name, and an enumeration where it has one."""

    name: str
    labels: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Definition:
    """A node that is not placed yet: ``parent`` and the numbers below it."""

    module: str
    name: str
    parent: str
    numbers: tuple[int, ...]
    kind: str = ""
    syntax: _Type | None = None
    units: str = ""
    row: bool = False


@dataclass(slots=True)
class _Module:
    name: str
    imports: dict[str, str] = field(default_factory=dict)
    types: dict[str, _Type] = field(default_factory=dict)
    nodes: dict[str, _Definition] = field(default_factory=dict)


def files(folder: Path) -> Iterator[str]:
    """The texts of a directory's MIB files, those that are none or are too large left out.

    Raises:
        OSError: the directory can't be read.
    """
    for path in islice(sorted(folder.iterdir()), MOST_FILES):
        try:
            if path.is_file() and path.stat().st_size <= LARGEST_FILE:
                text = path.read_text("latin-1")
                if "DEFINITIONS" in text:
                    yield text
        except OSError:
            continue


def read(texts: Iterable[str], known: Mapping[str, str]) -> list[Symbol]:
    """The symbols of these modules, in the order of their OIDs; ``known`` are names and OIDs from elsewhere."""
    modules: dict[str, _Module] = {}
    for text in texts:
        for module in _modules(text):
            modules.setdefault(module.name, module)
    return _Placing(modules, known).symbols()


def _modules(text: str) -> Iterator[_Module]:
    tokens = [
        token for token in islice((found[0] for found in _TOKEN.finditer(text)), MOST_TOKENS) if token[:2] != "--"
    ]
    module = _Module("")
    at, end = 0, len(tokens)
    while at < end:
        token, after = tokens[at], tokens[at + 1] if at + 1 < end else ""
        if after == "DEFINITIONS":
            if module.name:
                yield module
            module = _Module(token)
            at += 1
        elif token == "IMPORTS":  # noqa: S105 - a keyword of the SMI
            at = _imports(tokens, at + 1, module)
        elif token == "MACRO":  # noqa: S105 - the same
            at = _until(tokens, at, "END")
        elif after in _MACROS or after == "TRAP-TYPE":
            at = _macro(tokens, at, module)
        elif after == "OBJECT" and tokens[at + 2 : at + 4] == ["IDENTIFIER", "::="]:
            at = _place(tokens, at + 4, _Definition(module.name, token, "", ()), module)
        elif after == "::=" and token[:1].isupper():
            at = _convention(tokens, at, module)
        else:
            at += 1
    if module.name:
        yield module


def _until(tokens: list[str], at: int, wanted: str) -> int:
    while at < len(tokens) and tokens[at] != wanted:
        at += 1
    return at


def _imports(tokens: list[str], at: int, module: _Module) -> int:
    names: list[str] = []
    while at < len(tokens) and tokens[at] != ";":
        if tokens[at] == "FROM" and at + 1 < len(tokens):
            at += 1
            module.imports.update(dict.fromkeys(names, tokens[at]))
            names = []
        elif tokens[at] != ",":
            names.append(tokens[at])
        at += 1
    return at


def _macro(tokens: list[str], at: int, module: _Module) -> int:
    """A node with clauses, up to its place in the tree."""
    made = _Definition(module.name, tokens[at], "", (), kind=tokens[at + 1])
    at += 2
    while at < len(tokens) and tokens[at] != "::=":
        clause = tokens[at]
        at += 1
        if clause == "SYNTAX" and made.kind == "OBJECT-TYPE" and made.syntax is None:
            made.syntax, at = _type(tokens, at)
        elif clause == "UNITS" and at < len(tokens):
            made.units = " ".join(tokens[at].strip('"').split())[:32]
        elif clause in ("INDEX", "AUGMENTS") and tokens[at : at + 1] == ["{"]:
            made.row = True
        elif clause == "ENTERPRISE" and at < len(tokens):
            made.parent = "".join(tokens[at + 1 : at + 2]) if tokens[at] == "{" else tokens[at]
    if made.kind == "TRAP-TYPE":  # RFC 1215; below the enterprise's zero, as RFC 3584 section 3.1 translates it
        number = tokens[at + 1] if at + 1 < len(tokens) else ""
        if number.isdigit():
            made.numbers = (0, int(number))
            module.nodes.setdefault(made.name, made)
        return at + 2
    return _place(tokens, at + 1, made, module)


def _place(tokens: list[str], at: int, made: _Definition, module: _Module) -> int:
    """``{ parent 1 }``, ``{ iso org(3) dod(6) 1 }`` or ``{ 1 3 6 1 }``."""
    if tokens[at : at + 1] != ["{"]:
        return at
    stop = _until(tokens, at, "}")
    numbers: list[int] = []
    for place in range(at + 1, min(stop, at + _DEEPEST)):
        token = tokens[place]
        if token.isdigit():
            numbers.append(int(token))
        elif place == at + 1 and tokens[place + 1 : place + 2] != ["("]:
            made.parent = token
    made.numbers = tuple(numbers)
    if numbers:
        module.nodes.setdefault(made.name, made)
    return stop + 1


def _convention(tokens: list[str], at: int, module: _Module) -> int:
    name, at = tokens[at], at + 2
    if tokens[at : at + 1] == ["TEXTUAL-CONVENTION"]:
        while at < len(tokens) and tokens[at] != "SYNTAX":
            at += 1
        at += 1
    made, at = _type(tokens, at)
    if made.name not in ("SEQUENCE", "CHOICE", "MACRO"):
        module.types.setdefault(name, made)
    return at


def _type(tokens: list[str], at: int) -> tuple[_Type, int]:
    """A type with its enumeration; ranges and sizes are passed over."""
    words = tokens[at : at + 2]
    name = " ".join(words) if words in (["OCTET", "STRING"], ["OBJECT", "IDENTIFIER"]) else "".join(words[:1])
    at += 1 + (" " in name)
    made = _Type(name)
    if tokens[at : at + 1] == ["{"] and name != "SEQUENCE":
        stop = _until(tokens, at, "}")
        for place in range(at + 1, stop - 2):
            if tokens[place + 1] == "(" and tokens[place + 2].lstrip("-").isdigit():
                made.labels[int(tokens[place + 2])] = tokens[place]
        at = stop + 1
    return made, at


class _Placing:
    """Finds each definition's OID by its parents, and each type's base by its conventions."""

    def __init__(self, modules: dict[str, _Module], known: Mapping[str, str]) -> None:
        self._modules = modules
        self._known = {name: tuple(map(int, oid.split("."))) for name, oid in known.items()} | _ROOTS
        self._nodes: dict[str, _Definition] = {}
        self._types: dict[str, _Type] = {}
        for module in modules.values():
            for name, node in module.nodes.items():
                self._nodes.setdefault(name, node)
            for name, type_ in module.types.items():
                self._types.setdefault(name, type_)
        self._placed: dict[tuple[str, str], tuple[int, ...] | None] = {}

    def symbols(self) -> list[Symbol]:
        found = []
        for module in self._modules.values():
            for node in module.nodes.values():
                oid = self._oid(node, 0)
                if oid is not None and len(oid) <= _DEEPEST:
                    found.append((oid, self._symbol(node, oid)))
        return [symbol for _, symbol in sorted(found, key=lambda pair: pair[0])]

    def _symbol(self, node: _Definition, oid: tuple[int, ...]) -> Symbol:
        base, convention, labels = "", "", dict[int, str]()
        if node.row:
            base = ROW
        elif node.kind in ("NOTIFICATION-TYPE", "TRAP-TYPE"):
            base = NOTIFICATION
        elif node.syntax is not None and node.syntax.name != "SEQUENCE":
            base, labels = self._base(node.module, node.syntax)
            convention = node.syntax.name if node.syntax.name not in BASES and node.syntax.name not in _OLD else ""
        return Symbol(".".join(map(str, oid)), node.name, node.module, base, convention, node.units, labels)

    def _oid(self, node: _Definition, depth: int) -> tuple[int, ...] | None:
        key = (node.module, node.name)
        if key not in self._placed:
            self._placed[key] = None  # a definition that leads back to itself has no place
            above: tuple[int, ...] | None = () if not node.parent else None
            if node.parent and depth < _DEEPEST:
                parent = self._of(node.module, node.parent)
                # Its own module's first; a name that the module itself defines in a circle falls back to the roots.
                above = self._oid(parent, depth + 1) if parent is not None else self._known.get(node.parent)
            self._placed[key] = None if above is None else above + node.numbers
        return self._placed[key]

    def _of(self, module: str, name: str) -> _Definition | None:
        own = self._modules[module]
        if name in own.nodes:
            return own.nodes[name]
        source = self._modules.get(own.imports.get(name, ""))
        if source is not None and name in source.nodes:
            return source.nodes[name]
        return None if name in self._known else self._nodes.get(name)

    def _base(self, module: str, type_: _Type) -> tuple[str, dict[int, str]]:
        labels = type_.labels
        for _ in range(_DEEPEST):
            if type_.name in BASES or type_.name in _OLD:
                break  # SNMPv2-SMI defines them by their tags, which say nothing here
            own = self._modules[module].types.get(type_.name) or self._types.get(type_.name)
            if own is None or own is type_:
                break
            type_ = own
            labels = labels or type_.labels
        return _OLD.get(type_.name) or _COMMON.get(type_.name, type_.name), labels


BASES = frozenset(
    {
        "Counter32",
        "Counter64",
        "Gauge32",
        "Integer32",
        "IpAddress",
        "OBJECT IDENTIFIER",
        "OCTET STRING",
        "Opaque",
        "TimeTicks",
    }
)
"""The SMI's own types (RFC 2578 section 7.1), as they are called here."""

_OLD = {
    "INTEGER": "Integer32",
    "Counter": "Counter32",
    "Gauge": "Gauge32",
    "Unsigned32": "Gauge32",
    "NetworkAddress": "IpAddress",
    "BITS": "OCTET STRING",
}
_COMMON = {
    # Conventions of SNMPv2-TC (RFC 2579) and SNMP-FRAMEWORK-MIB, where a directory comes without these modules.
    "DisplayString": "OCTET STRING",
    "SnmpAdminString": "OCTET STRING",
    "PhysAddress": "OCTET STRING",
    "MacAddress": "OCTET STRING",
    "DateAndTime": "OCTET STRING",
    "TruthValue": "Integer32",
    "CounterBasedGauge64": "Counter64",
    "TimeStamp": "TimeTicks",
    "TimeInterval": "Integer32",
    "AutonomousType": "OBJECT IDENTIFIER",
    "RowPointer": "OBJECT IDENTIFIER",
}
