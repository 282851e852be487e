"""Templates, groups and ranges become targets and checks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config import ConfigRefused
from sentinel.config.numbering import address, identifier, number
from sentinel.config.parents import cycles
from tests.unit.config.conftest import Estate

ZONES = "zones:\n  internal: {name: 内网, vantage: centre}\n  dark: {name: 暗网}\n"
REST = "venues: [{id: centre, name: 中心}]\nrooms: [{id: hall, name: 大厅, venue: centre}, {id: duty, name: 值守区}]\n"
SYSTEMS = (
    'systems: [{id: "s-{n}", name: "系统{n}", kind: image, count: 3, placeholder: true, owner: 某局, contact: 待填}]\n'
)


@pytest.fixture
def inventory(estate: Estate) -> Estate:
    """An estate whose other files refer to nothing of the inventory."""
    estate.write("sla", "rules: []\n")
    estate.write("conferences", "conferences: []\n")
    return estate


def test_a_range_counts_in_id_name_and_address(estate: Estate) -> None:
    target = estate.load().targets["hall-02"]
    assert (target.name, target.address, target.kind, target.zone) == ("终端2", "198.18.0.2", "terminal", "internal")
    assert (target.room, target.venue, target.parents) == ("hall", "centre", ("switch",))


def test_places_keep_their_order_and_their_owners(inventory: Estate) -> None:
    inventory.write("inventory", ZONES + REST + SYSTEMS)
    found = inventory.load()
    assert list(found.systems) == ["s-1", "s-2", "s-3"]
    system = found.systems["s-2"]
    assert (system.name, system.kind, system.owner, system.contact) == ("系统2", "image", "某局", "待填")
    assert system.placeholder
    assert (found.rooms["hall"].kind, found.rooms["hall"].venue, found.rooms["duty"].venue) == ("room", "centre", None)
    assert found.zones["dark"].vantage is None


def test_layers_add_up_and_the_last_word_counts(inventory: Estate) -> None:
    inventory.write(
        "inventory",
        ZONES
        + REST
        + """
templates:
  terminal:
    kind: terminal
    zone: internal
    labels: {maker: a, floor: "1"}
    checks:
      port: {probe: port, interval: 10s, timeout: 2s, options: {port: 1, mode: tls}}
      ping: {probe: ping, interval: 10s}
groups:
  - name: outer
    defaults: {template: terminal, room: hall, labels: {floor: "2"}, checks: {port: {interval: 20s}}}
    groups:
      - defaults: {room: duty, checks: {port: {options: {port: 2}}}}
        targets:
          - id: a
            name: 甲
            address: 198.18.0.1
            venue: centre
            labels: {maker: b}
            checks:
              ping: {enabled: false}
              port: {required: true}
    targets:
      - {id: b, name: 乙, address: 198.18.0.2}
""",
    )
    found = inventory.load()
    first, second = found.targets["a"], found.targets["b"]
    assert list(found.checks) == ["b.port", "b.ping", "a.port"]  # a group's own targets, then those of its groups
    assert (first.room, first.venue, first.labels) == ("duty", "centre", {"maker": "b", "floor": "2"})
    assert (second.room, second.venue) == ("hall", "centre")
    check = found.checks["a.port"]
    assert (check.interval, check.timeout, check.required) == (20.0, 2.0, True)
    assert (check.options.port, check.options.mode) == (2, "tls")
    assert found.checks["b.port"].options.port == 1
    assert not found.checks["b.port"].required


def test_groups_count_as_well(inventory: Estate) -> None:
    inventory.write(
        "inventory",
        ZONES
        + SYSTEMS
        + """
groups:
  - count: 2
    start: 2
    defaults: {zone: internal, system: "s-{g}"}
    targets:
      - {id: "s-{g}", name: "系统{g}", address: "198.18.{g+40}.1", kind: system}
      - id: s-{g}-cam-{n:02}
        name: 摄像机{n}
        address: 2001:db8::{g}:{n+14:x}
        kind: camera
        count: 3
        parents: ["s-{g}"]
        labels: {place: "{g}/{n}"}
""",
    )
    found = inventory.load()
    assert list(found.targets) == [
        *("s-2", "s-2-cam-01", "s-2-cam-02", "s-2-cam-03"),
        *("s-3", "s-3-cam-01", "s-3-cam-02", "s-3-cam-03"),
    ]
    camera = found.targets["s-3-cam-02"]
    assert (camera.address, camera.parents, camera.system) == ("2001:db8::3:10", ("s-3",), "s-3")
    assert camera.labels == {"place": "3/2"}
    assert found.targets["s-2"].address == "198.18.42.1"
    assert camera.placeholder  # its system is one


TARGET = "targets:\n  - id: a\n    name: 甲\n    address: 198.18.0.1\n    kind: host\n    zone: internal\n"


@pytest.mark.parametrize(
    ("checks", "reachability"),
    [
        (
            "{web: {probe: picture, interval: 9s}, port: {probe: ssh, interval: 9s}, up: {probe: ping, interval: 9s}}",
            "up",
        ),
        ("{web: {probe: picture, interval: 9s}, port: {probe: ssh, interval: 9s}}", "port"),
        ("{web: {probe: picture, interval: 9s}}", "web"),
        ("{up: {probe: ping, interval: 9s}, port: {probe: ssh, interval: 9s}}\n    reachability: port", "port"),
        ("{}", None),
    ],
)
def test_which_check_says_whether_it_answers(inventory: Estate, checks: str, reachability: str | None) -> None:
    inventory.write("inventory", f"{ZONES}{TARGET}    checks: {checks}\n")
    found = inventory.load().targets["a"].reachability
    assert found == (None if reachability is None else f"a.{reachability}")


def test_the_vantage_of_a_check_is_its_zones(inventory: Estate) -> None:
    check = "    checks: {up: {probe: ping, interval: 3s}}\n"
    inventory.write("inventory", ZONES + TARGET + check)
    found = inventory.load().checks["a.up"]
    assert (found.vantage, found.timeout) == ("centre", 3.0)  # the default timeout is 5 s, but never over the interval
    inventory.write("inventory", ZONES + TARGET.replace("internal", "dark") + check)
    assert inventory.load().checks["a.up"].vantage is None


def test_checks_that_are_alike_share_their_options(estate: Estate) -> None:
    found = estate.load().checks
    assert found["hall-01.port"].options is found["hall-03.port"].options


def test_the_lab_moves_addresses_and_ports_and_nothing_else(estate: Estate) -> None:
    from sentinel.config import load

    def readdress(address: str, port: int | None) -> tuple[str, int | None]:
        return address.replace("198.18.", "127.18."), port + 20_000 if port and port < 1024 else port

    estate.change("inventory", "probe: picture,", "probe: ssh,")
    estate.write("sla", "rules: []\n")
    plain, moved = estate.load(), load(estate.config, catalog=estate.catalog, readdress=readdress)
    assert moved.targets["hall-01"].address == "127.18.0.1"
    assert moved.checks["hall-01.port"].target is moved.targets["hall-01"]
    assert moved.checks["hall-01.port"].options.port == 3389
    assert moved.checks["camera.picture"].options.port == 20_022
    assert plain.checks["camera.picture"].options.port == 22
    assert moved.targets.keys() == plain.targets.keys()


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a-{n}", "a-7"),
        ("{n:02}", "07"),
        ("{n+100}", "107"),
        ("{n-7}", "0"),
        ("{n+9:x}", "10"),
        ("{n:04x}", "0007"),
        ("x", "x"),
    ],
)
def test_numbering(text: str, result: str) -> None:
    assert number(text, {"n": 7}) == result


@pytest.mark.parametrize("text", ["{m}", "{}", "{n", "n}", "{n:9999}", "{n.__class__}", "{n!r}", "{n-8}", "{{n}}"])
def test_numbering_that_is_not_understood(text: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|partner|below zero"):
        number(text, {"n": 7})


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("198.18.0.1", "198.18.0.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("camera-3.example.org", "camera-3.example.org"),
    ],
)
def test_addresses(text: str, result: str) -> None:
    assert address(text) == result


@pytest.mark.parametrize(
    "text", ["198.18.0.256", "198.18.1", "1.2.3.4.5", "2001:db8:::1", "a b", "http://a/", "-a", "", "a:80"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        address(text)


def test_ids() -> None:
    assert identifier("a-1") == "a-1"
    for text in ("", "A", "a_b", "-a", "a" * 64, "a.b", "a\n"):
        with pytest.raises(ValueError, match="no id"):
            identifier(text)


def test_a_fleet_has_an_end(inventory: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel.config.fleet.MAX_TARGETS", 5)
    entry = '  - {id: "a-{n}", name: a, address: 198.18.0.1, kind: host, zone: internal, count: 9}\n'
    inventory.write("inventory", ZONES + "targets:\n" + entry)
    with pytest.raises(ConfigRefused, match="more than 5 targets"):
        inventory.load()


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3)))
def test_every_cycle_is_one_and_none_is_overlooked(parents: dict[str, list[str]]) -> None:
    found = list(cycles(parents))
    for cycle in found:
        for here, there in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert there in parents[here]

    def climbs_to(start: str, wanted: str) -> bool:
        seen: set[str] = set()
        rest = list(parents.get(start, []))
        while rest:
            here = rest.pop()
            if here == wanted:
                return True
            if here not in seen:
                seen.add(here)
                rest += parents.get(here, [])
        return False

    assert bool(found) == any(climbs_to(each, each) for each in parents)
