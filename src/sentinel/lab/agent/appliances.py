"""What the lab's UPS, printers, conference endpoints and MCUs say of themselves: they are well.

The objects of UPS-MIB (RFC 1628), Printer-MIB (RFC 3805), POLYCOM-ENDPOINT-MIB and the shipped example of an MCU.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from sentinel.lab.agent.motion import swaying, traffic
from sentinel.lab.agent.tree import Tree
from sentinel.lab.faults import MAINS_LOST
from sentinel.wire.ber import COUNTER32

Faults = Callable[[], frozenset[str]]

UPS: Final = "1.3.6.1.2.1.33.1"
PRINTER: Final = "1.3.6.1.2.1.43"
HR_PRINTER: Final = "1.3.6.1.2.1.25.3.5.1"
CODEC: Final = "1.3.6.1.4.1.13885.101.1"
MCU: Final = "1.3.6.1.4.1.32473.10"


def ups(tree: Tree, character: random.Random, faults: Faults) -> None:
    """On the mains, fully charged, unless the fault mains-lost says otherwise."""
    tree.text(f"{UPS}.1.2.0", "Sentinel lab UPS 10kVA")
    tree.number(f"{UPS}.2.1.0", 2)  # batteryNormal
    tree.number(f"{UPS}.2.2.0", 0)
    tree.number(f"{UPS}.2.3.0", swaying(character, 48, 3))
    tree.number(f"{UPS}.2.4.0", 100)
    tree.number(f"{UPS}.2.5.0", swaying(character, 2183, 4))
    tree.number(f"{UPS}.2.7.0", swaying(character, character.uniform(23, 27), 1.5))
    tree.number(f"{UPS}.3.1.0", 3, COUNTER32)
    tree.number(f"{UPS}.4.1.0", lambda _now: 5 if MAINS_LOST in faults() else 3)  # battery, normal
    tree.number(f"{UPS}.6.1.0", 0)
    tree.number(f"{UPS}.7.3.0", 1)  # donePass
    for line in range(1, 4):
        tree.number(f"{UPS}.3.3.1.2.{line}", swaying(character, 500, 1))
        tree.number(f"{UPS}.3.3.1.3.{line}", swaying(character, 231, 3))
        load = character.uniform(30, 50)
        tree.number(f"{UPS}.4.4.1.2.{line}", swaying(character, 220, 1))
        tree.number(f"{UPS}.4.4.1.4.{line}", swaying(character, load * 33, 40))
        tree.number(f"{UPS}.4.4.1.5.{line}", swaying(character, load, 4))


def printer(tree: Tree, character: random.Random, _faults: Faults) -> None:
    """Idle, with toner and paper."""
    tree.number(f"{HR_PRINTER}.1.1", 3)  # idle
    tree.text(f"{HR_PRINTER}.2.1", "\0\0")  # no error
    supplies = (("黑色墨粉", 3, 12_000), ("青色墨粉", 3, 8_000), ("废粉盒", 4, 30_000))
    for index, (name, kind, capacity) in enumerate(supplies, start=1):
        tree.number(f"{PRINTER}.11.1.1.4.1.{index}", kind)
        tree.text(f"{PRINTER}.11.1.1.6.1.{index}", name)
        tree.number(f"{PRINTER}.11.1.1.8.1.{index}", capacity)
        tree.number(f"{PRINTER}.11.1.1.9.1.{index}", int(capacity * character.uniform(0.4, 0.9)))
    for index, name in enumerate(("纸盒1", "纸盒2"), start=1):
        tree.text(f"{PRINTER}.8.2.1.13.1.{index}", name)
        tree.number(f"{PRINTER}.8.2.1.9.1.{index}", 500)
        tree.number(f"{PRINTER}.8.2.1.10.1.{index}", int(character.uniform(200, 480)))
    tree.number(f"{PRINTER}.10.2.1.4.1.1", traffic(character, 0.02), COUNTER32)


def codec(tree: Tree, character: random.Random, _faults: Faults) -> None:
    """Registered, camera and microphones well, in one conference."""
    tree.text(f"{CODEC}.1.1.0", "Sentinel lab")
    tree.text(f"{CODEC}.1.4.0", "Sentinel lab codec")
    for oid in ("3.1.0", "2.7.2.0", "2.8.1.0", "3.6.1.0", "3.5.1.0"):
        tree.number(f"{CODEC}.{oid}", 2)  # ok
    tree.number(f"{CODEC}.5.1.0", 1)
    tree.text(f"{CODEC}.4.1.1.58.1", "市应急指挥中心 MCU")
    tree.number(f"{CODEC}.4.1.1.16.1", 0)
    tree.number(f"{CODEC}.4.1.1.17.1", 0)
    tree.number(f"{CODEC}.4.1.1.20.1", swaying(character, 6, 3))


def mcu(tree: Tree, character: random.Random, _faults: Faults) -> None:
    """Two conferences, both full."""
    tree.number(f"{MCU}.1.0", 1)
    tree.number(f"{MCU}.2.0", 2)
    tree.number(f"{MCU}.5.0", 80)
    participants = 0
    for index, (name, size) in enumerate((("每日调度", 18), ("防汛会商", 11)), start=1):
        tree.text(f"{MCU}.20.1.2.{index}", name)
        tree.number(f"{MCU}.20.1.3.{index}", size)
        tree.number(f"{MCU}.20.1.4.{index}", size)
        participants += size
    tree.number(f"{MCU}.3.0", participants)
    tree.number(f"{MCU}.4.0", swaying(character, participants + 2, 1.9))


APPLIANCES: Final[tuple[tuple[str, Callable[[Tree, random.Random, Faults], None]], ...]] = (
    (UPS, ups),
    (PRINTER, printer),
    (CODEC, codec),
    (MCU, mcu),
)
"""The subtree that a check reads, and what puts it into the tree."""
