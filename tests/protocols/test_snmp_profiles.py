"""The shipped SNMP profiles against Net-SNMP's agent, with the objects of a UPS, a printer, a codec and an MCU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sentinel.protocols.snmp import PROTOCOL
from tests.support import snmpd as support
from tests.support.probing import measure, target
from tests.unit.protocols.snmp import ber

UPS, PRINTER, HR_PRINTER = "1.3.6.1.2.1.33.1", "1.3.6.1.2.1.43", "1.3.6.1.2.1.25.3.5.1"
POLY, MCU = "1.3.6.1.4.1.13885.101.1", "1.3.6.1.4.1.32473.10"
IF, IFX, UPTIME = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1", "1.3.6.1.2.1.1.3.0"

OBJECTS: dict[str, int | str] = {
    f"{UPS}.1.2.0": "UPS 3000",
    f"{UPS}.2.1.0": 3,
    f"{UPS}.2.2.0": 90,
    f"{UPS}.2.3.0": 12,
    f"{UPS}.2.4.0": 63,
    f"{UPS}.2.5.0": 541,
    f"{UPS}.2.7.0": 31,
    f"{UPS}.3.3.1.2.1": 499,
    f"{UPS}.3.3.1.3.1": 0,
    f"{UPS}.4.1.0": 5,
    f"{UPS}.4.4.1.2.1": 229,
    f"{UPS}.4.4.1.4.1": 880,
    f"{UPS}.4.4.1.5.1": 44,
    f"{UPS}.6.1.0": 2,
    f"{UPS}.7.3.0": 1,
    f"{HR_PRINTER}.1.1": 4,
    f"{HR_PRINTER}.2.1": "D",  # 0x44: no paper (bit 1), jammed (bit 5)
    f"{PRINTER}.11.1.1.4.1.1": 3,
    f"{PRINTER}.11.1.1.4.1.2": 4,
    f"{PRINTER}.11.1.1.4.1.3": 3,
    f"{PRINTER}.11.1.1.6.1.1": "Black Toner",
    f"{PRINTER}.11.1.1.6.1.2": "Waste Box",
    f"{PRINTER}.11.1.1.6.1.3": "Drum",
    f"{PRINTER}.11.1.1.8.1.1": 2000,
    f"{PRINTER}.11.1.1.8.1.2": 100,
    f"{PRINTER}.11.1.1.8.1.3": -2,
    f"{PRINTER}.11.1.1.9.1.1": 500,
    f"{PRINTER}.11.1.1.9.1.2": 30,
    f"{PRINTER}.11.1.1.9.1.3": 50,
    f"{PRINTER}.8.2.1.13.1.1": "Tray 1",
    f"{PRINTER}.8.2.1.9.1.1": 500,
    f"{PRINTER}.8.2.1.10.1.1": 100,
    f"{POLY}.1.4.0": "Group 500",
    f"{POLY}.3.1.0": 3,
    f"{POLY}.2.7.2.0": 2,
    f"{POLY}.2.8.1.0": 1,
    f"{POLY}.3.6.1.0": 3,
    f"{POLY}.3.5.1.0": 2,
    f"{POLY}.5.1.0": 1,
    f"{POLY}.4.1.1.58.1": "MCU",
    f"{POLY}.4.1.1.16.1": 4,
    f"{POLY}.4.1.1.17.1": 0,
    f"{POLY}.4.1.1.20.1": 35,
    f"{MCU}.1.0": 2,
    f"{MCU}.2.0": 1,
    f"{MCU}.3.0": 17,
    f"{MCU}.4.0": 18,
    f"{MCU}.5.0": 40,
    f"{MCU}.20.1.2.7": "Daily",
    f"{MCU}.20.1.3.7": 15,
    f"{MCU}.20.1.4.7": 20,
}
"""What the devices say: on battery, out of paper, a camera broken, a conference that is not full."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Snmpd]:
    lines = [
        f'override {oid} octet_str "{value}"' if isinstance(value, str) else f"override {oid} integer {value}"
        for oid, value in OBJECTS.items()
    ]
    with support.serve(tmp_path_factory.mktemp("profiles"), "\n".join(lines)) as running:
        yield running


async def read(agent: support.Snmpd, profile: str) -> tuple[Mapping[str, float], Mapping[str, str]]:
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "profile": profile})
    assert seen.failure is None
    return seen.values, seen.facts


async def test_a_ups_that_lives_on_its_battery(agent: support.Snmpd) -> None:
    values, facts = await read(agent, "ups")
    assert values["ups_on_battery"] == 1
    assert values["ups_output_ok"] == 0
    assert values["ups_battery_ok"] == 0
    assert values["ups_remaining_seconds"] == 720
    assert values["ups_charge_ratio"] == pytest.approx(0.63)
    assert values["ups_battery_voltage_volts"] == pytest.approx(54.1)
    assert values["ups_battery_celsius"] == 31
    assert values["ups_input_voltage_volts:1"] == 0
    assert values["ups_input_frequency_hertz:1"] == pytest.approx(49.9)
    assert values["ups_output_load_ratio:1"] == pytest.approx(0.44)
    assert values["ups_alarms"] == 2
    assert values["ups_test_ok"] == 1
    assert facts["ups_on_battery"] == "电池"
    assert facts["ups_battery_ok"] == "电量低"
    assert facts["ups_model"] == "UPS 3000"


async def test_a_printer_without_paper(agent: support.Snmpd) -> None:
    values, _ = await read(agent, "printer")
    assert values["printer_ok:1"] == 1
    assert values["printer_paper_problems:1"] == 1
    assert values["printer_toner_problems:1"] == 0
    assert values["printer_blocked:1"] == 1
    supplies = {key: value for key, value in values.items() if key.startswith(("supply", "receptacle", "paper"))}
    assert supplies == {  # nobody knows what the drum could hold: no figure
        "supply_left_ratio:Black Toner": 0.25,
        "receptacle_free_ratio:Waste Box": 0.3,
        "paper_left_ratio:Tray 1": 0.2,
    }


async def test_a_codec_whose_camera_is_broken(agent: support.Snmpd) -> None:
    values, facts = await read(agent, "codec-poly")
    assert values["codec_hardware_ok"] == values["codec_camera_ok"] == 0
    assert values["codec_microphone_ok"] == values["codec_gatekeeper_ok"] == values["codec_sip_ok"] == 1
    assert values["call_received_loss_ratio:MCU"] == pytest.approx(0.04)
    assert values["call_received_jitter_seconds:MCU"] == pytest.approx(0.035)
    assert facts["codec_camera_ok"] == "故障"


async def test_a_conference_that_is_not_full(agent: support.Snmpd) -> None:
    values, _ = await read(agent, "mcu-example")
    assert values["mcu_state_ok"] == 0
    assert values["mcu_ports_used_ratio"] == pytest.approx(0.45)
    assert values["conference_full_ratio:Daily"] == pytest.approx(0.75)


def port(speed_mbit: int, octets: int, mark: int, alias: str, *, wide: bool = True) -> dict[str, bytes]:
    """One interface: ``wide`` with ifXTable, else with 32-bit counters alone."""
    cells = {f"{IF}.{column}.1": ber.counter32(0) for column in (10, 13, 14, 16, 19, 20)}
    cells |= {f"{IF}.2.1": ber.octets(b"ge1"), f"{IF}.5.1": ber.integer(speed_mbit * 1_000_000, 0x42)}
    cells |= {f"{IF}.7.1": ber.integer(1), f"{IF}.8.1": ber.integer(1), f"{IF}.10.1": ber.counter32(octets % 2**32)}
    if wide:
        cells |= {f"{IFX}.1.1": ber.octets(b"ge1"), f"{IFX}.15.1": ber.integer(speed_mbit, 0x42)}
        cells |= {f"{IFX}.{column}.1": ber.counter64(octets) for column in (6, 10)}
        cells |= {f"{IFX}.18.1": ber.octets(alias.encode()), f"{IFX}.19.1": ber.ticks(mark)}
    return cells


async def rounds(*states: dict[str, bytes], **options: Any) -> list[Mapping[str, float]]:
    memory: dict[str, Any] = {}
    values: dict[str, bytes] = {}
    seen = []
    async with ber.agent(ber.view(values)) as device:
        for number, state in enumerate(states, 1):
            values.clear()
            values.update(state | {UPTIME: ber.ticks(100_000 + number)})
            found = await measure(
                PROTOCOL, target(), {"port": device.port, "profile": "interfaces", **options}, memory=memory
            )
            assert found.failure is None
            seen.append(found.values)
    return seen


@pytest.mark.parametrize("wide", [True, False], ids=["64-bit", "32-bit"])
async def test_a_rate_and_its_share_of_the_speed(*, wide: bool) -> None:
    _, values = await rounds(*(port(1000, octets, 0, "", wide=wide) for octets in (2**40, 2**40 + 5000)))
    bits = values["if_in_bits_per_second:ge1"]
    assert bits > 0
    assert values["if_in_utilisation_ratio:ge1"] == pytest.approx(bits / 1e9)


async def test_there_is_no_rate_over_a_discontinuity() -> None:
    seen = await rounds(*(port(1000, octets, mark, "") for octets, mark in ((10, 0), (9_000_000, 77), (9_000_008, 77))))
    assert ["if_in_bits_per_second:ge1" in values for values in seen] == [False, False, True]


async def test_a_port_without_speed_has_a_rate_and_no_share() -> None:
    _, values = await rounds(port(0, 10, 0, ""), port(0, 5000, 0, ""))
    assert values["if_in_bits_per_second:ge1"] > 0
    assert "if_in_utilisation_ratio:ge1" not in values


@pytest.mark.parametrize(("items", "found"), [("^ge", True), ("上联", True), ("^uplink", False)])
async def test_items_are_found_by_name_and_by_what_people_wrote_beside_it(items: str, *, found: bool) -> None:
    (values,) = await rounds(port(1000, 10, 0, "至核心上联"), items=items)
    assert ("if_up:ge1" in values) is found
