"""What is shipped: the whole fleet of the contract, right as it is, and easy to make one's own."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sentinel.catalog import Catalog
from sentinel.config import Configuration, load, open_catalog
from sentinel.config.document import read
from sentinel.config.reference import markdown
from sentinel.config.schema import FILES, schemas
from sentinel.domain.rule import Availability, ConferenceRate, Down, RetrievalLimit, Threshold

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
YAML_FILES = sorted((*CONFIG.glob("*.yaml"), *(ROOT / "probes").glob("*.yaml")))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return open_catalog(CONFIG)


@pytest.fixture(scope="module")
def shipped(catalog: Catalog) -> Configuration:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name not in ("PATH", "HOME"):
                patch.delenv(name)
        return load(CONFIG, catalog=catalog)


def test_it_is_right_without_any_secret_and_nothing_is_odd(shipped: Configuration) -> None:
    assert shipped.warnings == ()


def test_twelve_venues_with_forty_three_sets(shipped: Configuration) -> None:
    assert len(shipped.venues) == 12
    sets = [each for each in shipped.targets.values() if each.kind == "conference-set" and not each.placeholder]
    assert Counter(each.venue for each in sets) == {
        "command-centre": 16,
        "mr-209": 1,
        "mr-305": 1,
        "mr-335": 1,
        "mr-520": 1,
        "mr-637": 1,
        "mr-715": 1,
        "work-safety": 17,
        "liuliqiao": 1,
        "huixinli": 1,
        "forest-fire": 2,
    }
    assert len(sets) == 43
    assert any(each.venue == "emergency" and each.placeholder for each in shipped.targets.values())


def test_a_hundred_and_three_terminals_by_room_and_network(shipped: Configuration) -> None:
    found = Counter(
        (each.room, each.labels.get("network", "")) for each in shipped.targets.values() if each.kind == "terminal"
    )
    table = {
        "room-1": {"police-image": 1, "multimedia": 1, "internal": 2, "external": 2},
        "room-2": {"multimedia": 1, "internal": 1, "external": 2},
        "room-3": {"police-image": 1, "multimedia": 1, "internal": 1, "external": 2},
        "room-4": {"police-image": 1, "multimedia": 1, "internal": 2, "external": 2},
        "room-5": {"multimedia": 1, "internal": 1, "external": 1},
        "mr-335": {"multimedia": 1, "internal": 1, "external": 1},
        "duty": {"internal": 8, "external": 8},
        "hall": {"": 60},
    }
    assert found == {(room, network): count for room, row in table.items() for network, count in row.items()}
    assert found.total() == 103
    zones = {"police-image": "police-image", "internal": "internal", "external": "external"}
    for each in shipped.targets.values():
        if each.kind == "terminal":
            assert each.zone == zones.get(each.labels.get("network", ""), "unassigned")


def test_platforms_and_systems(shipped: Configuration) -> None:
    assert Counter(each.kind for each in shipped.systems.values()) == {"platform": 2, "image": 12, "business": 45}
    observed = Counter(each.system for each in shipped.targets.values())
    assert all(observed[system] for system in shipped.systems)
    cameras = Counter(each.system for each in shipped.targets.values() if each.kind == "camera")
    assert all(cameras[each.id] >= 3 for each in shipped.systems.values() if each.kind == "image")
    named = [each.name for each in shipped.systems.values() if not each.placeholder]
    assert len(named) == 2 + 3 + 2
    assert all("待确认" in each.name for each in shipped.systems.values() if each.placeholder)


def test_every_room_has_its_control_equipment(shipped: Configuration) -> None:
    kinds = {room: {each.kind for each in shipped.targets.values() if each.room == room} for room in shipped.rooms}
    full = {"control-host", "matrix", "mixer", "display", "amplifier"}
    for room in ("hall", "room-1", "room-2", "room-3", "room-4", "room-5", "mr-335"):
        assert full <= kinds[room]
    for room in shipped.rooms:
        assert "control-host" in kinds[room]


def test_one_zone_is_out_of_reach_and_has_three_terminals(shipped: Configuration) -> None:
    assert {zone.id: zone.vantage for zone in shipped.zones.values()} == {
        "internal": "centre",
        "external": "centre",
        "police-image": None,
        "unassigned": "centre",
    }
    assert sum(each.zone == "police-image" for each in shipped.targets.values()) == 3


def test_everything_hangs_on_a_switch_in_the_end(shipped: Configuration) -> None:
    for target in shipped.targets.values():
        here = target
        while here.parents:
            here = shipped.targets[here.parents[0]]
        calls = {check.protocol for check in shipped.checks.values() if check.target.id == target.id} == {"heartbeat"}
        assert here.kind == "switch" or target.zone == "police-image" or calls  # what calls us may do so from anywhere


def test_addresses_are_of_the_documentation_range_and_each_target_has_its_own(shipped: Configuration) -> None:
    network = ipaddress.ip_network("198.18.0.0/16")
    addresses = [ipaddress.ip_address(each.address) for each in shipped.targets.values()]
    assert all(address in network for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_every_target_is_observed_and_knows_its_reachability_check(shipped: Configuration) -> None:
    observed = {check.target.id for check in shipped.checks.values()}
    assert observed == shipped.targets.keys()
    for target in shipped.targets.values():
        assert target.reachability is not None
        # Loopback always answers a ping: what says that a target is down must be able to fail in the lab.
        assert shipped.checks[target.reachability].protocol != "icmp"


def test_every_port_is_written_so_that_the_lab_can_move_it(shipped: Configuration) -> None:
    for check in shipped.checks.values():
        if "port" in type(check.options).model_fields:
            assert isinstance(check.options.port, int), check.id


def test_a_fault_is_confirmed_within_fifteen_seconds(shipped: Configuration) -> None:
    reachability = {target.reachability for target in shipped.targets.values()}
    for rule in shipped.rules:
        if not isinstance(rule.predicate, Down):
            continue
        for check in shipped.checks.values():
            if check.protocol == "heartbeat":
                continue  # when it is late is agreed on in the check itself
            if check.id in reachability and rule.selector.matches(check):
                retries = rule.predicate.failures - 1
                assert check.interval + retries * (rule.retry_interval + check.timeout) + check.timeout <= 15, check.id


def test_every_reachability_check_has_a_rule_that_tells(shipped: Configuration) -> None:
    down = [rule for rule in shipped.rules if isinstance(rule.predicate, Down)]
    for target in shipped.targets.values():
        check = shipped.checks[target.reachability or ""]
        assert any(rule.selector.matches(check) for rule in down), check.id


def test_the_promises_are_there(shipped: Configuration) -> None:
    rules = {rule.id: rule for rule in shipped.rules}
    rate = rules["conference-incident-rate"]
    assert (rate.predicate, rate.contractual) == (ConferenceRate(0.05, 60.0), True)
    retrieval = rules["picture-retrieval"]
    assert (retrieval.predicate, retrieval.contractual) == (RetrievalLimit(), True)
    counted = {check.probe for check in shipped.checks.values() if retrieval.applies(check)}
    assert {"hik-main-stream", "hik-channels", "gb28181-play"} <= counted
    assert [name for name in counted if name.startswith("gb28181")] == ["gb28181-play"]
    availability = rules["availability-7x24"]
    assert isinstance(availability.predicate, Availability)
    assert not availability.contractual  # the contract names no figure
    certificate = rules["certificate-expiring"].predicate
    assert isinstance(certificate, Threshold)
    assert [certificate.below, *(limit for limit, _ in certificate.severity_at)] == [30, 14, 7]


def test_the_examples_in_comments_are_right(tmp_path: Path, catalog: Catalog) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    path = tmp_path / "config" / "alerting.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index("# channels:")
    example = [line[2:] for line in lines[start:] if line.startswith("#")]
    text = re.sub(r"\$\{(credential|file):[^}]*\}", "https://198.51.100.1/", "\n".join(example))
    path.write_text(text, encoding="utf-8")
    found = load(tmp_path / "config", ROOT / "probes", catalog=catalog)
    assert (len(found.channels), len(found.routes)) == (3, 2)
    assert found.warnings == ()


def test_names_are_chinese(shipped: Configuration) -> None:
    chinese = re.compile("[\u4e00-\u9fff]")
    named: list[Any] = [*shipped.targets.values(), *shipped.rules, *shipped.venues.values(), *shipped.systems.values()]
    named += [*shipped.rooms.values(), *shipped.zones.values(), *shipped.conferences]
    assert all(chinese.search(each.name) for each in named)


def test_a_person_can_edit_it() -> None:
    lines = (CONFIG / "inventory.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 700
    assert max(map(len, lines)) <= 125


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_editors_find_the_schema_and_it_agrees(path: Path, catalog: Catalog) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found, f"{path.name} does not name its schema in its first line"
    schema_path = (path.parent / found[1]).resolve()
    name = schema_path.stem
    assert schema_path == CONFIG / "schema" / f"{name}.json"
    assert name == (path.stem if path.parent == CONFIG else "probes")
    jsonschema.validate(read(path).plain(), schemas(catalog)[name])


@pytest.mark.parametrize("name", FILES)
def test_the_schemas_are_those_of_the_models(name: str, catalog: Catalog) -> None:
    written = json.loads((CONFIG / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    assert written == schemas(catalog)[name], "run: sentinel schema --write config/schema"


def test_the_reference_is_that_of_the_models(catalog: Catalog) -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == markdown(catalog), "run: sentinel schema --reference > docs/configuration.md"
