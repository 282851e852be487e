import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.target import Target
from sentinel.lab.drill import Drill, Refused
from sentinel.lab.faults import ANSWER, CONNECT, DOWN, SWITCH_DOWN, TALK, fitting
from sentinel.lab.servers import FAULTS


def target(name: str, *parents: str) -> Target:
    return Target(name, name, "127.18.0.1", "thing", "internal", parents=parents)


def drill() -> Drill:
    """Two cores; an access switch on both, one on the first alone; what hangs on them."""
    targets = [
        target("core-1"),
        target("core-2"),
        target("both", "core-1", "core-2"),
        target("single", "core-1"),
        target("a", "both"),
        target("b", "single"),
        target("alone"),
    ]
    able = {
        each.id: frozenset({ANSWER, TALK, "snmp"} if "core" in each.id else {CONNECT, TALK, "http"}) for each in targets
    }
    return Drill.over({each.id: each for each in targets}, able)


def test_nothing_is_broken_at_first() -> None:
    assert drill().all_effective() == {}


def test_down_is_of_the_target_alone() -> None:
    one = drill()
    one.break_("core-1", DOWN)
    assert one.all_effective() == {"core-1": {DOWN}}


def test_a_switch_takes_what_has_no_other_way() -> None:
    one = drill()
    one.break_("core-1", SWITCH_DOWN)
    assert {id_ for id_, faults in one.all_effective().items() if DOWN in faults} == {"core-1", "single", "b"}
    assert one.spared("core-1") == ("both",)
    assert one.causes("b") == ("core-1",)
    assert one.causes("a") == ()
    one.break_("core-2", SWITCH_DOWN)
    assert set(one.all_effective()) == {"core-1", "core-2", "both", "single", "a", "b"}
    assert one.causes("a") == ("core-1", "core-2")
    assert one.effective("a") == {DOWN}
    assert one.effective("alone") == frozenset()


def test_heal_gives_back_what_there_was() -> None:
    one = drill()
    one.break_("a", "slow")
    one.break_("a", "http-500")
    assert one.heal("a") == {"slow", "http-500"}
    assert one.heal("a") == frozenset()
    assert one.all_effective() == {}


def test_what_is_only_cut_off_cannot_be_healed() -> None:
    one = drill()
    one.break_("core-1", SWITCH_DOWN)
    with pytest.raises(Refused, match="cut off by core-1"):
        one.heal("b")


@pytest.mark.parametrize(
    ("target", "fault", "why"),
    [
        ("aloe", DOWN, "did you mean `alone`"),
        ("a", "http-50", "did you mean `http-500`"),
        ("core-1", "http-500", "what fits: down, slow, switch-down, snmp-silent"),
        ("a", SWITCH_DOWN, "what fits: down, slow, http-500"),
    ],
)
def test_orders_that_make_no_sense(target: str, fault: str, why: str) -> None:
    one = drill()
    with pytest.raises(Refused, match=why):
        one.break_(target, fault)
    assert one.faults == {}


def test_a_target_that_is_not_simulated_fits_nothing() -> None:
    with pytest.raises(Refused, match="simulates none"):
        Drill.over({"x": target("x")}, {}).break_("x", DOWN)


def test_every_fault_fits_something() -> None:
    every = {ability for fault in FAULTS.values() for ability in fault.needs}
    assert set(fitting(every, FAULTS)) == set(FAULTS)
    assert fitting((), FAULTS) == ()


@given(st.lists(st.sampled_from(["core-1", "core-2", "both", "single"]), unique=True))
def test_breaking_and_healing_in_any_order_leaves_nothing(switches: list[str]) -> None:
    one = drill()
    for each in switches:
        one.break_(each, SWITCH_DOWN)
    down = set(one.all_effective())
    assert set(switches) <= down
    assert ("a" in down) == ("both" in switches or {"core-1", "core-2"} <= set(switches))
    for each in switches:
        one.heal(each)
    assert one.all_effective() == {}
