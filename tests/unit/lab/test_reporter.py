"""The lab's devices report a fault when it begins and when it is over, and are heard; their agents say the same."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sentinel.domain.target import Check, Target
from sentinel.lab.agent.device import device
from sentinel.lab.faults import LINK_DOWN, MAINS_LOST
from sentinel.lab.servers.snmp_trap import SIMULATION, Reporter
from sentinel.lab.simulation import Service
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.protocols.snmp_trap.options import TrapOptions
from sentinel.protocols.snmp_trap.receiver import Receiver
from sentinel.wire.ber import integer, parse_oid
from tests.support.ports import free_port

SWITCH = Target("access", "接入交换机", "127.0.0.1", "switch", "internal")


def check(protocol: str, options: Any) -> Check:
    return Check(f"access.{protocol}", protocol, SWITCH, "p", protocol, options, 30, 5, "centre")


class Inbox:
    """Of one check."""

    def __init__(self, one: Check) -> None:
        self._one = one
        self.details: list[str] = []

    def checks(self) -> list[Check]:
        return [self._one]

    def report(self, _check: str, measurement: Any) -> None:
        self.details.append(measurement.failure.detail if measurement.failure else "")

    def hasten(self, check: str) -> None: ...

    def kept(self, _check: str) -> dict[str, float]:
        return {}

    def keep(self, _check: str, memory: Any) -> None: ...


@pytest.mark.parametrize(
    ("fault", "profile", "said"),
    [
        (LINK_DOWN, "traps-standard", "端口 1 ge0/0/1 断开"),
        (MAINS_LOST, "traps-ups", "市电中断，电池供电 5 秒，预计还可支持 48 分钟"),
    ],
)
async def test_a_fault_is_reported_and_so_is_its_end(fault: str, profile: str, said: str) -> None:
    port = free_port("127.0.0.1")
    one = check("snmp_trap", TrapOptions.model_validate({"port": port, "profile": profile}))
    inbox, receiver = Inbox(one), Receiver()
    receiver.attach(cast("Any", inbox))
    service = Service(SIMULATION, "udp", "127.0.0.1", port, (one,))
    assert any(each.needs & service.abilities for each in SIMULATION.faults if each.name == fault)
    reporter = Reporter(service, lambda: 5.0)
    await reporter.open()
    try:
        for faults in ({fault}, {fault}, set[str]()):
            await reporter.show(frozenset(faults))
        async with asyncio.timeout(5):
            while len(inbox.details) < 2:
                await asyncio.sleep(0.01)
    finally:
        await reporter.close()
        receiver.close()
    assert inbox.details == [said, ""]


@pytest.mark.parametrize(
    ("fault", "oid", "well", "ill"),
    [(LINK_DOWN, "1.3.6.1.2.1.2.2.1.8.1", 1, 2), (MAINS_LOST, "1.3.6.1.2.1.33.1.4.1.0", 3, 5)],
)
def test_the_agent_says_what_the_trap_said(fault: str, oid: str, well: int, ill: int) -> None:
    shown: set[str] = set()
    asked = check("snmp", SnmpOptions.model_validate({"profile": "ups"}))
    tree = device(SWITCH, (asked,), [], lambda: frozenset(shown))
    assert tree.get(parse_oid(oid), 1.0) == integer(well)
    shown.add(fault)
    assert tree.get(parse_oid(oid), 1.0) == integer(ill)
