"""What a device says of itself: the standard MIBs that the shipped profiles read, and what a check asks beyond.

Values move as a device's do: uptime and counters rise, loads and temperatures sway.  Each device has a character of
its own, drawn from its id, so that two of them never show the same figures and one shows the same in every run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from sentinel.domain.target import Check, Target
from sentinel.lab.agent.appliances import APPLIANCES
from sentinel.lab.agent.motion import Moving, swaying, traffic
from sentinel.lab.agent.tree import Tree
from sentinel.lab.examples import NoExample, text_for
from sentinel.lab.faults import LINK_DOWN
from sentinel.wire.ber import COUNTER32, COUNTER64, GAUGE32, TIMETICKS

SYSTEM: Final = "1.3.6.1.2.1.1"
INTERFACES: Final = "1.3.6.1.2.1.2"
INTERFACES_X: Final = "1.3.6.1.2.1.31.1.1.1"
HOST: Final = "1.3.6.1.2.1.25"
ENTITY: Final = "1.3.6.1.2.1.47.1.1.1.1"
SENSOR: Final = "1.3.6.1.2.1.99.1.1.1"
ENGINE: Final = "1.3.6.1.6.3.10.2.1"
EXAMPLE_ENTERPRISE: Final = "1.3.6.1.4.1.32473"
"""The number that RFC 5612 sets aside for examples."""

_PORTS: Final = {"switch": 28}
_GIGABIT: Final = 1_000_000_000


def device(
    target: Target, checks: tuple[Check, ...], notes: list[str], faults: Callable[[], frozenset[str]] = frozenset
) -> Tree:
    """The objects of a target's agent; a check's expectation that cannot be met is told in ``notes``.

    ``faults`` are those of the moment.
    """
    tree, character = Tree(), random.Random(target.id)  # noqa: S311 - figures for show, the same in every run
    _system(tree, target, character)
    _interfaces(tree, target, character, faults)
    _host(tree, target, character)
    _sensors(tree, character)
    read = {oid for check in checks for oid in _read(check)}
    for subtree, put in APPLIANCES:
        if any(oid.startswith(f"{subtree}.") for oid in read):
            put(tree, character, faults)
    for check in checks:
        _asked(tree, check, character, notes)
    return tree


def _system(tree: Tree, target: Target, character: random.Random) -> None:
    started = character.uniform(3, 300) * 86_400
    tree.text(f"{SYSTEM}.1.0", f"Sentinel lab {target.kind} ({target.name})")
    tree.identifier(f"{SYSTEM}.2.0", f"{EXAMPLE_ENTERPRISE}.1")
    tree.number(f"{SYSTEM}.3.0", lambda now: (started + now) * 100, TIMETICKS)
    tree.text(f"{SYSTEM}.4.0", "联系人待填写")
    tree.text(f"{SYSTEM}.5.0", target.id)
    tree.text(f"{SYSTEM}.6.0", target.room or target.venue or "机房")
    tree.number(f"{SYSTEM}.7.0", 2 if target.kind == "switch" else 72)
    tree.number(f"{ENGINE}.2.0", 1)
    tree.number(f"{ENGINE}.3.0", lambda now: started + now)


def _interfaces(tree: Tree, target: Target, character: random.Random, faults: Callable[[], frozenset[str]]) -> None:
    ports = _PORTS.get(target.kind, 1)
    tree.number(f"{INTERFACES}.1.0", ports)
    for index in range(1, ports + 1):
        uplink = ports > 1 and index > ports - 4
        name = f"uplink{index - ports + 4}" if uplink else f"ge0/0/{index}" if ports > 1 else "eth0"
        speed = 10 * _GIGABIT if uplink else _GIGABIT
        row, more = f"{INTERFACES}.2.1", f"{INTERFACES_X}"
        tree.number(f"{row}.1.{index}", index)
        tree.text(f"{row}.2.{index}", name)
        tree.number(f"{row}.3.{index}", 6)  # ethernetCsmacd
        tree.number(f"{row}.4.{index}", 1500)
        tree.number(f"{row}.5.{index}", min(speed, (1 << 32) - 1), GAUGE32)
        tree.number(f"{row}.7.{index}", 1)
        tree.number(f"{row}.8.{index}", _link(faults) if index == 1 else 1)
        tree.text(f"{more}.1.{index}", name)
        tree.number(f"{more}.15.{index}", speed // 1_000_000, GAUGE32)
        tree.number(f"{more}.19.{index}", 0, TIMETICKS)
        tree.text(f"{more}.18.{index}", "上联" if uplink else "")
        for narrow, wide in ((10, 6), (16, 10)):
            bytes_moved = traffic(character, speed / 8 * character.uniform(0.01, 0.3))
            tree.number(f"{row}.{narrow}.{index}", bytes_moved, COUNTER32)
            tree.number(f"{more}.{wide}.{index}", bytes_moved, COUNTER64)
        for column in (13, 14, 19, 20):  # discards and errors: one now and then
            tree.number(f"{row}.{column}.{index}", traffic(character, character.choice((0.0, 0.0, 0.002))), COUNTER32)


def _link(faults: Callable[[], frozenset[str]]) -> Moving:
    """IfOperStatus of the port that the fault link-down takes."""
    return lambda _now: 2 if LINK_DOWN in faults() else 1


def _host(tree: Tree, target: Target, character: random.Random) -> None:
    tree.number(f"{HOST}.1.1.0", lambda now: (86_400 * 40 + now) * 100, TIMETICKS)
    tree.number(f"{HOST}.1.5.0", 2, GAUGE32)
    tree.number(f"{HOST}.2.2.0", 8_388_608)
    tree.number(f"{HOST}.1.6.0", swaying(character, 180, 12), GAUGE32)
    for core in range(1, 5):
        tree.number(f"{HOST}.3.3.1.2.{core}", swaying(character, character.uniform(10, 40), 8))
    for index, (name, unit, size, share) in enumerate(
        (("Physical memory", 1024, 8_388_608, 0.45), ("/", 4096, 26_214_400, 0.3)), start=1
    ):
        tree.text(f"{HOST}.2.3.1.3.{index}", name)
        tree.number(f"{HOST}.2.3.1.4.{index}", unit)
        tree.number(f"{HOST}.2.3.1.5.{index}", size)
        tree.number(f"{HOST}.2.3.1.6.{index}", swaying(character, size * share, size * 0.02))
    for index, part in enumerate(("中央处理器", "网络接口", f"{target.kind} 输出"), start=1):
        tree.text(f"{HOST}.3.2.1.3.{index}", part)
        tree.number(f"{HOST}.3.2.1.5.{index}", 2)  # running


def _sensors(tree: Tree, character: random.Random) -> None:
    # Type, scale and precision are RFC 3433's: 8 degrees Celsius, 10 rpm, 4 volts DC; scale 9 is units.
    sensors: tuple[tuple[str, int, int, Moving], ...] = (
        ("进风口温度", 8, 1, swaying(character, character.uniform(210, 270), 15)),
        ("主板温度", 8, 1, swaying(character, character.uniform(380, 460), 25)),
        ("风扇1", 10, 0, swaying(character, 4200, 150)),
        ("风扇2", 10, 0, swaying(character, 4150, 150)),
        ("12V电源", 4, 2, swaying(character, 1204, 6)),
    )
    for index, (name, kind, precision, value) in enumerate(sensors, start=1001):
        tree.text(f"{ENTITY}.2.{index}", name)
        tree.number(f"{ENTITY}.5.{index}", 8)  # sensor
        tree.text(f"{ENTITY}.7.{index}", name)
        tree.number(f"{SENSOR}.1.{index}", kind)
        tree.number(f"{SENSOR}.2.{index}", 9)
        tree.number(f"{SENSOR}.3.{index}", precision)
        tree.number(f"{SENSOR}.4.{index}", value)
        tree.number(f"{SENSOR}.5.{index}", 1)  # ok


def _read(check: Check) -> Iterator[str]:
    """The OIDs of single values and of columns that a check reads."""
    asked = check.options.plan
    yield from asked.oids
    for table in asked.tables:
        yield from (column.oid for column in table.columns.values())


def _asked(tree: Tree, check: Check, character: random.Random, notes: list[str]) -> None:
    """Objects that a check reads beyond the standard ones: a vendor's, each by the type that the check gives it."""
    asked = check.options.plan
    expected = dict(asked.expected)
    for name, metric in asked.scalars.items():
        expect = expected.get(name)
        if metric.oid not in tree or expect is not None:
            try:
                _scalar(tree, metric, expect, character)
            except NoExample as error:
                notes.append(f"{check.id}: {error}")
        if metric.divided_by and metric.divided_by not in tree:
            tree.number(metric.divided_by, 100)
    for table in asked.tables:
        for column in table.columns.values():
            if column.oid not in tree and (column.fallback is None or column.fallback.oid not in tree):
                _column(tree, table, column, character)


def _column(tree: Tree, table: Any, column: Any, character: random.Random) -> None:
    """A column of a vendor's table, with two rows."""
    for index, label in enumerate(("A", "B"), start=1):
        _number(tree, f"{column.oid}.{index}", column, character)
        if column.divided_by:
            tree.number(f"{column.divided_by}.{index}", 100)
        for name in table.label:
            tree.text(f"{name}.{index}", label)
        if column.only is not None:
            tree.number(f"{column.only.oid}.{index}", column.only.equals)
        if column.sensor is not None:
            tree.number(f"{column.sensor.scale}.{index}", 9)
            tree.number(f"{column.sensor.precision}.{index}", 0)


def _scalar(tree: Tree, metric: Any, expect: Any, character: random.Random) -> None:
    if metric.type == "text":
        wanted = "" if expect is None else expect.equals if expect.equals is not None else text_for(expect.matches)
        tree.text(metric.oid, str(wanted) or "Sentinel lab")
    elif expect is None:
        _number(tree, metric.oid, metric, character)
    elif expect.equals is not None:
        tree.number(metric.oid, round(float(expect.equals) / metric.scale))
    else:
        fitting = [number for number, label in metric.labels.items() if expect.matches.found_in(label)]
        tree.number(metric.oid, fitting[0] if fitting else int(text_for(expect.matches)))


def _number(tree: Tree, name: str, metric: Any, character: random.Random) -> None:
    """A number of the type that a metric is said to have."""
    if metric.type in ("counter32", "counter64"):
        tag = COUNTER32 if metric.type == "counter32" else COUNTER64
        tree.number(name, traffic(character, character.uniform(10, 1000)), tag)
    elif metric.type == "timeticks":
        tree.number(name, lambda now: (86_400 + now) * 100, TIMETICKS)
    elif metric.type == "bits":
        tree.text(name, "\0")
    elif metric.type == "enum":
        tree.number(name, (metric.ok or tuple(metric.labels) or (1,))[0])
    else:
        tree.number(name, swaying(character, character.uniform(20, 60), 5))
