"""Zones that are reached via a bastion."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from pydantic import Field

from sentinel.config import load
from sentinel.config.fingerprint import fingerprints
from sentinel.domain.target import Target
from sentinel.sdk.protocol import Options, Protocol, Run
from tests.unit.config.conftest import Estate

PIN = "SHA256:" + "A" * 43

INVENTORY = """
zones:
  internal: {name: 内网, vantage: centre}
  police:
    name: 公安图像网
    vantage: centre
    via: {address: 198.18.9.1, username: probe, password: "${env:BASTION}", host_key: "%s"}
targets:
  - {id: near, name: 近, address: 198.18.0.1, kind: server, zone: internal, checks: {port: {probe: port, interval: 10s,
     options: {port: 80}}}}
  - {id: far, name: 远, address: 198.18.0.2, kind: server, zone: police, checks: {port: {probe: port, interval: 10s,
     options: {port: 80}}}}
"""


@pytest.fixture
def inventory(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Estate:
    """An estate with a bastion, whose other files refer to nothing of the inventory."""
    monkeypatch.setenv("BASTION", "correct horse")
    estate.write("inventory", INVENTORY % PIN)
    estate.write("sla", "rules: []\n")
    estate.write("conferences", "conferences: []\n")
    return estate


def test_its_checks_know_the_way(inventory: Estate) -> None:
    found = inventory.load()
    via = found.checks["far.port"].via
    assert via == found.zones["police"].via
    assert (via.host, via.port, via.username, via.host_keys) == ("198.18.9.1", 22, "probe", (PIN,))
    assert via.password.get_secret_value() == "correct horse"
    assert "correct" not in repr(found.checks["far.port"])
    assert found.checks["near.port"].via is None


def test_the_lab_moves_the_bastion_as_well(inventory: Estate) -> None:
    def moved(address: str, port: int | None) -> tuple[str, int | None]:
        return address.replace("198.18", "127.18"), None if port is None else port + 20_000

    via = load(inventory.config, catalog=inventory.catalog, readdress=moved).checks["far.port"].via
    assert (via.host, via.port) == ("127.18.9.1", 20_022)


def test_another_way_is_another_check(inventory: Estate) -> None:
    check = inventory.load().checks["far.port"]
    ways = [check, replace(check, via=None), replace(check, via=replace(check.via, port=2222))]
    assert len({fingerprints([way], ())["far.port"] for way in ways}) == 3


class ChosenOptions(Options):
    port: int = Field(default=5060, description="Port.")
    transport: Literal["udp", "tcp", "tls", "local"] = Field(default="udp", description="How it travels.")


async def _probe(target: Target, options: Options, run: Run) -> None:
    """Never run."""


def test_what_an_option_chooses_counts() -> None:
    sip = Protocol("sip", ChosenOptions, _probe, transport="udp")
    chosen = {
        name: sip.carrier(ChosenOptions.model_validate({"transport": name})) for name in ("udp", "tcp", "tls", "local")
    }
    assert chosen == {"udp": "udp", "tcp": "tcp", "tls": "tcp", "local": "local"}
    assert Protocol("snmp", Options, _probe, transport="udp").carrier(Options()) == "udp"
    assert Protocol("tcp", Options, _probe).carrier(Options()) == "tcp"
