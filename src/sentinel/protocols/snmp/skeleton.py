"""A profile from a walk: what a device has, with the names, types and units of its MIBs, for people to thin out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.options import VALUES
from sentinel.protocols.snmp.values import number, text
from sentinel.wire.mib import Symbol
from sentinel.wire.mib_names import Names

MOST_VALUES = 400
"""Names in a profile; a chassis has ten thousand objects, and a check that reads them all is of no use."""

_KINDS = {"Counter32": "counter32", "Counter64": "counter64", "TimeTicks": "timeticks"}
_NUMBERS = frozenset({"Integer32", "Gauge32", ""})

# A MIB's UNITS are free text; what follows the factor, by its first letters, is the unit and another factor.
_UNITS = (
    (r"milli ?(?:second|s\b)", "s", 0.001, "seconds"),
    (r"centi-?seconds?|hundredths of a second", "s", 0.01, "seconds"),
    (r"sec", "s", 1.0, "seconds"),
    (r"min", "s", 60.0, "seconds"),
    (r"hour", "s", 3600.0, "seconds"),
    (r"percent|%", "", 0.01, "ratio"),
    (r"(?:ki?lo|k) ?(?:byte|octet)", "B", 1024.0, "bytes"),
    (r"(?:byte|octet)s?(?: per second|/s)", "B/s", 1.0, "bytes_per_second"),
    (r"byte|octet", "B", 1.0, "bytes"),
    (r"bits? per second|bps", "bit/s", 1.0, "bits_per_second"),
    (r"degrees? c|celsius|centigrade", "°C", 1.0, "celsius"),
    (r"(?:rms )?milli ?volt", "V", 0.001, "volts"),
    (r"(?:rms )?volt", "V", 1.0, "volts"),
    (r"(?:rms )?milli ?amp", "A", 0.001, "amperes"),
    (r"(?:rms )?amp", "A", 1.0, "amperes"),
    (r"watt", "W", 1.0, "watts"),
    (r"hertz|hz", "Hz", 1.0, "hertz"),
    (r"rpm|revolutions", "rpm", 1.0, "rpm"),
)
_WELL = frozenset({"up", "ok", "normal", "running", "online", "enabled", "good", "active", "operational"})
_LABEL = re.compile(r"(?:name|descr|description|label|alias)$", re.IGNORECASE)


@dataclass(slots=True)
class _Table:
    name: str
    labels: list[str] = field(default_factory=list)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)


def skeleton(objects: Mapping[str, Raw], names: Names, description: str) -> str:
    """The YAML of a profile that reads every number and every text of a walk; it loads as it is.

    Everything is optional in it, so that a device of the same kind with less of it is no failure.

    Raises:
        ValueError: there is nothing in the walk that a profile could read.
    """
    scalars: dict[str, dict[str, Any]] = {}
    tables: dict[str, _Table] = {}
    taken = {value.name for value in VALUES}
    left = 0
    for oid, column, raws in _columns(objects, names):
        symbol = names[oid] or Symbol(oid, _unnamed(oid))
        if len(taken) >= MOST_VALUES:
            left += 1
        elif not column:
            made = _metric(symbol, raws, f"{oid}.0")
            if made is not None:
                scalars[_unique(_name(symbol, made), taken)] = made
        else:
            row = oid.rpartition(".")[0]
            above = names[row]
            table = tables.setdefault(
                row, _Table(_snake(above.name.removesuffix("Entry") if above else _unnamed(row), 40))
            )
            _column(table, symbol, raws, taken)
    parts = [_yaml("protocol", "snmp"), _yaml("description", description[:200])]
    if left:
        parts.insert(0, f"# {left} more objects are not in it: walk with a narrower --root.\n")
    if scalars:
        parts.append("scalars:\n" + "".join(_entry(name, metric, 2) for name, metric in scalars.items()))
    whole = [table for table in tables.values() if table.columns]
    if whole:
        parts.append("tables:\n" + "".join(_written(table, at) for at, table in enumerate(_apart(whole))))
    if not scalars and not whole:
        raise ValueError("the walk found nothing that a profile could read")
    return "".join(parts)


def _columns(objects: Mapping[str, Raw], names: Names) -> Iterable[tuple[str, bool, list[Raw]]]:
    """OID without its index, whether it is a column, and its values."""
    found: dict[str, tuple[bool, list[Raw]]] = {}
    for oid, raw in objects.items():
        symbol, rest = names.find(oid)
        if symbol is not None and symbol.base and rest:
            place, column = symbol.oid, names.row(symbol) is not None
        else:  # nobody has a name for it: an instance of zero is a scalar's, else the last number is a row's
            place, column = oid.rpartition(".")[0], not oid.endswith(".0")
        found.setdefault(place, (column, []))[1].append(raw)
    return ((place, column, raws) for place, (column, raws) in found.items())


def _column(table: _Table, symbol: Symbol, raws: list[Raw], taken: set[str]) -> None:
    made = _metric(symbol, raws, symbol.oid)
    if made is None or symbol.name.endswith("Index"):
        return
    if made["type"] != "text":
        table.columns[_unique(_name(symbol, made), taken)] = made
    elif _LABEL.search(symbol.name):
        table.labels.insert(0, symbol.oid)
    elif any(isinstance(raw, bytes) and raw.strip() for raw in raws):
        table.labels.append(symbol.oid)


def _metric(symbol: Symbol, raws: list[Raw], oid: str) -> dict[str, Any] | None:
    """The keys of a profile's metric; None for what is neither a number nor a text: addresses, OIDs, binary."""
    made: dict[str, Any] = {"oid": oid, "type": "gauge"}
    if symbol.base in _KINDS:
        made["type"] = _KINDS[symbol.base]
    elif symbol.base in _NUMBERS and all(type(raw) is int for raw in raws):
        if symbol.labels:
            made |= {"type": "enum", "labels": dict(symbol.labels)}
            well = [number for number, label in symbol.labels.items() if label.lower() in _WELL]
            made |= {"ok": well} if well else {}
    elif all(isinstance(raw, bytes) for raw in raws) and symbol.base in ("OCTET STRING", "Opaque", ""):
        if all(number(raw) is not None for raw in raws):
            pass  # a decimal text, or net-snmp's Opaque float
        elif all(isinstance(raw, bytes) and _readable(raw) for raw in raws):
            made["type"] = "text"
        else:
            return None
    else:
        return None
    if made["type"] in ("gauge", "counter32", "counter64"):
        unit, scale, _ = _unit(symbol.units)
        made |= {"unit": unit if made["type"] == "gauge" else f"{unit}/s"} if unit else {}
        made |= {"scale": scale} if scale != 1.0 else {}
    made["optional"] = True
    shown = f"{symbol.module}::{symbol.name}" if symbol.module else f"OID {symbol.oid}"
    made["description"] = f"{shown}{', ' if symbol.units else ''}{symbol.units}."[:200]
    return made


def _unit(units: str) -> tuple[str, float, str]:
    """Unit, factor and the end of a name, from a MIB's UNITS: ``0.1 Volt DC`` is ("V", 0.1, "volts")."""
    found = re.match(r"\s*(?:(\d+(?:\.\d+)?)(?:th|ths)?\s+)?(.*)", units.strip().lower(), re.DOTALL)
    factor = float(found[1]) if found and found[1] else 1.0
    rest = found[2] if found else ""
    if rest.startswith(("tenth of ", "tenths of ")):
        factor, rest = 0.1, rest.partition(" of ")[2].removeprefix("a ").removeprefix("an ")
    for pattern, unit, scale, name in _UNITS:
        if re.match(pattern, rest):
            return unit, factor * scale, name
    return "", factor, ""


def _name(symbol: Symbol, made: Mapping[str, Any]) -> str:
    _, _, unit = _unit(symbol.units)
    kind = made["type"]
    if kind.startswith("counter"):
        unit = f"{unit}_per_second" if unit and not unit.endswith("_per_second") else "per_second"
    elif kind == "timeticks":
        unit = "seconds"
    elif kind == "enum" and "ok" in made:
        unit = "ok"
    elif kind in ("enum", "text"):
        unit = ""
    plain = _snake(symbol.name, 47)
    if unit and not plain.endswith(f"_{unit}"):
        if symbol.units:  # the unit says it once more
            plain = re.sub(r"_(?:octets|bytes|seconds|minutes|percent)$", "", plain)
        plain = f"{plain[: 46 - len(unit)].rstrip('_')}_{unit}"
    return plain


def _snake(name: str, length: int) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:length].rstrip("_")
    return plain if plain[:1].isalpha() else f"oid_{plain}"[:length].rstrip("_")


def _unnamed(oid: str) -> str:
    """An OID that nobody has a name for, by its last numbers."""
    return "oid_" + "_".join(oid.split(".")[-4:])


def _unique(name: str, taken: set[str]) -> str:
    made, count = name, 2
    while made in taken:
        made, count = f"{name[:44]}_{count}", count + 1
    taken.add(made)
    return made


def _apart(tables: list[_Table]) -> Iterable[_Table]:
    taken: set[str] = set()
    for table in tables:
        table.name = _unique(table.name, taken)
        yield table


def _readable(raw: bytes) -> bool:
    shown = text(raw)
    return not raw or (raw.removesuffix(b"\x00").isascii() and len(shown) > 0) or any(ord(c) > 0x2E80 for c in shown)


def _written(table: _Table, at: int) -> str:
    lines = [f"  {table.name or f'table_{at}'}:\n", "    optional: true\n"]
    if table.labels:
        lines.append(f"    label: [{', '.join(table.labels[:3])}]\n")
    lines.append("    columns:\n")
    lines += [_entry(name, column, 6) for name, column in table.columns.items()]
    return "".join(lines)


def _entry(name: str, metric: Mapping[str, Any], indent: int) -> str:
    inner = " " * (indent + 2)
    lines = [f"{' ' * indent}{name}:\n"]
    for key, value in metric.items():
        if isinstance(value, dict):
            shown = "{" + ", ".join(f"{number}: {_quoted(str(label))}" for number, label in value.items()) + "}"
        elif isinstance(value, bool):
            shown = str(value).lower()
        elif isinstance(value, str) and key not in ("oid", "type"):
            shown = _quoted(value)
        else:
            shown = f"{value:.10g}" if isinstance(value, float) else str(value)
        lines.append(f"{inner}{key}: {shown}\n")
    return "".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON's strings are YAML's


def _yaml(key: str, value: str) -> str:
    return f"{key}: {value if value.isalnum() and value.isascii() else _quoted(value)}\n"
