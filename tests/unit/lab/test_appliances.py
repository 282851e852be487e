"""The lab's UPS, printer, codec and MCU answer all that their shipped profiles read, and are well."""

import pytest

from sentinel.domain.target import Check, Target
from sentinel.lab.agent.device import device
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.wire.ber import parse_oid


@pytest.mark.parametrize("profile", ["ups", "printer", "codec-poly", "mcu-example", "interfaces", "entity-sensor"])
def test_every_object_of_the_profile_is_there(profile: str) -> None:
    target = Target("x", "x", "127.0.0.1", "ups", "internal")
    options = SnmpOptions.model_validate({"profile": profile})
    notes: list[str] = []
    check = Check("x.agent", "agent", target, "p", "snmp", options, 10, 5, "centre")
    tree = device(target, (check,), notes)
    assert notes == []
    plan = options.plan
    for oid in plan.oids:
        assert tree.get(parse_oid(oid), 1.0)[0] < 0x80, oid  # no exception stands in its place
    for table in plan.tables:
        for name, column in table.columns.items():
            assert column.oid in tree, name
    for name, metric in plan.scalars.items():
        if metric.ok and name != "ups_on_battery":
            assert tree.get(parse_oid(metric.oid), 1.0)[-1] in metric.ok, name
