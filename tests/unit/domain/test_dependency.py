"""What hangs on what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.dependency import Reach, dependency
from sentinel.domain.incident import CLEAR, Dependency, Standing
from sentinel.domain.target import Check, Target

SINCE = 100.0

UP = Reach("up", SINCE + 1)
OLD = Reach("up", SINCE - 1)  # answered, but before the fault began
FAILING = Reach("failing")
DOWN = Reach("down")
UNKNOWN = Reach("unknown")


class Estate:
    """Targets as ``name=parent,parent``; whatever is not said answers."""

    def __init__(self, *shape: str, **reach: Reach) -> None:
        self.reach = reach
        self.targets = {}
        for one in shape:
            name, _, parents = one.partition("=")
            self.targets[name] = Target(
                name,
                name,
                "192.0.2.1",
                "switch",
                "internal",
                parents=tuple(parents.split(",")) if parents else (),
                reachability=f"{name}.ping",
            )

    def of(self, target: str, check: str = "ping") -> Dependency:
        of = self.targets.get(target) or Target(target, target, "", "", "")
        asked = Check(f"{target}.{check}", check, of, "p", "p", None, 10, 2, "centre")
        return dependency(asked, SINCE, self.targets, lambda name: self.reach.get(name, UP))


def blocked(cause: str) -> Dependency:
    return Dependency(Standing.BLOCKED, cause)


def wait(cause: str) -> Dependency:
    return Dependency(Standing.WAIT, cause)


CHAIN = ("core", "sw=core", "hall=sw")


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        ({}, CLEAR),
        ({"sw": OLD}, wait("sw")),  # an answer from before the fault says nothing of now
        ({"sw": FAILING}, wait("sw")),
        ({"sw": DOWN}, blocked("sw")),
        ({"sw": DOWN, "core": DOWN}, blocked("core")),  # as far up as it goes
        ({"sw": FAILING, "core": DOWN}, blocked("core")),
        ({"sw": DOWN, "core": FAILING}, blocked("sw")),
        ({"sw": UNKNOWN}, CLEAR),  # nothing measures it: it is looked through
        ({"sw": UNKNOWN, "core": DOWN}, blocked("core")),
        ({"sw": UNKNOWN, "core": FAILING}, wait("core")),
        ({"sw": UNKNOWN, "core": UNKNOWN}, CLEAR),
        ({"core": DOWN}, CLEAR),  # the switch answers, whatever is said of what it hangs on
    ],
)
def test_a_chain(reach: dict[str, Reach], expected: Dependency) -> None:
    assert Estate(*CHAIN, **reach).of("hall") == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (UP, DOWN, CLEAR),
        (DOWN, UP, CLEAR),
        (DOWN, DOWN, blocked("a")),
        (DOWN, FAILING, wait("b")),  # the other way may yet carry
        (FAILING, DOWN, wait("a")),
        (FAILING, FAILING, wait("a")),
        (DOWN, UNKNOWN, CLEAR),
    ],
)
def test_parents_are_alternatives(a: Reach, b: Reach, expected: Dependency) -> None:
    assert Estate("a", "b", "hall=a,b", a=a, b=b).of("hall") == expected


def test_two_ways_to_one_cause() -> None:
    assert Estate("core", "a=core", "b=core", "hall=a,b", a=DOWN, b=DOWN, core=DOWN).of("hall") == blocked("core")


@pytest.mark.parametrize(
    ("own", "parent", "expected"),
    [
        (UP, DOWN, CLEAR),  # the target itself answers, so its way is there
        (OLD, UP, wait("server")),
        (FAILING, UP, wait("server")),
        (DOWN, UP, blocked("server")),
        (DOWN, DOWN, blocked("sw")),
        (UNKNOWN, DOWN, blocked("sw")),
        (UNKNOWN, FAILING, wait("sw")),
        (UNKNOWN, UP, CLEAR),
    ],
)
def test_a_check_hangs_on_its_own_targets_reachability(own: Reach, parent: Reach, expected: Dependency) -> None:
    assert Estate("sw", "server=sw", server=own, sw=parent).of("server", "web") == expected


def test_the_reachability_check_itself_hangs_on_the_parents_only() -> None:
    assert Estate("sw", "server=sw", server=DOWN).of("server") == CLEAR


def test_no_parents_and_unknown_parents() -> None:
    assert Estate("lonely").of("lonely") == CLEAR
    assert Estate("hall=gone").of("hall") == CLEAR
    assert Estate("sw", "hall=gone,sw", sw=DOWN).of("hall") == blocked("sw")


def test_a_target_without_reachability_check_hangs_on_its_parents() -> None:
    sw = Target("sw", "sw", "", "", "", reachability="sw.ping")
    bare = Target("bare", "bare", "", "", "", parents=("sw",))
    asked = Check("bare.web", "web", bare, "p", "p", None, 10, 2, "centre")
    targets = {"sw": sw, "bare": bare}
    assert dependency(asked, SINCE, targets, {"sw": DOWN, "bare": UNKNOWN}.__getitem__) == blocked("sw")


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6),
    st.lists(st.sampled_from([UP, OLD, FAILING, DOWN, UNKNOWN]), min_size=6, max_size=6),
)
def test_any_graph_is_answered_cycles_and_all(parents: list[list[int]], reach: list[Reach]) -> None:
    shape = [f"t{n}=" + ",".join(f"t{one}" for one in of) for n, of in enumerate(parents)]
    estate = Estate(*shape, **{f"t{n}": one for n, one in enumerate(reach)})
    for n, of in enumerate(parents):
        for check in ("ping", "web"):
            found = estate.of(f"t{n}", check)
            assert (found.standing is Standing.CLEAR) == (found == CLEAR)
            if found.standing is Standing.BLOCKED:
                assert estate.reach[found.cause] is DOWN
            if found.standing is Standing.WAIT:
                assert estate.reach[found.cause] in (OLD, FAILING)
            if any(reach[one] is UP and one != n and one < len(parents) for one in of) and check == "ping":
                assert found == CLEAR
