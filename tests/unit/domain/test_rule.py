"""Selectors and severities."""

from dataclasses import fields, replace

import pytest

from sentinel.domain.rule import Down, RetrievalLimit, Rule, Selector, Severity
from sentinel.domain.target import Check, Target

TARGET = Target(
    "hall-07",
    "大厅终端07",
    "192.0.2.7",
    "terminal",
    "internal",
    venue="command-centre",
    room="hall",
    system="police-image",
    labels={"owner": "desk", "floor": "2"},
)
CHECK = Check("hall-07.ping", "ping", TARGET, "icmp-fast", "icmp", None, 10, 2, "centre")
BARE = Check("x.ping", "ping", Target("x", "x", "", "", "external"), "p", "tcp", None, 10, 2, "centre")


def test_severities_are_ordered() -> None:
    assert [severity.rank for severity in Severity] == [0, 1, 2, 3]
    assert max(Severity, key=lambda one: one.rank) is Severity.CRITICAL


def test_an_empty_selector_is_for_all() -> None:
    assert Selector().matches(CHECK)
    assert Selector().matches(BARE)


@pytest.mark.parametrize(
    ("field", "pattern"),
    [
        ("check", "hall-*.ping"),
        ("target", "hall-0?"),
        ("kind", "terminal"),
        ("probe", "icmp-*"),
        ("protocol", "icmp"),
        ("zone", "int*"),
        ("venue", "command-*"),
        ("room", "hall"),
        ("system", "police*"),
    ],
)
def test_each_field(field: str, pattern: str) -> None:
    def selects(check: Check, *patterns: str) -> bool:
        return replace(Selector(), **{field: patterns}).matches(check)  # type: ignore[arg-type]  # one of its tuples

    assert selects(CHECK, pattern)
    assert selects(CHECK, "nothing", pattern)  # one pattern is enough
    assert not selects(CHECK, "nothing")
    assert not selects(BARE, pattern)  # where the target has no such place, none matches
    assert not selects(CHECK, pattern.upper())  # case counts on every platform


def test_every_field_that_is_given_must_match() -> None:
    assert Selector(kind=("terminal",), zone=("internal",)).matches(CHECK)
    assert not Selector(kind=("terminal",), zone=("external",)).matches(CHECK)


def test_labels() -> None:
    assert Selector(labels={"owner": "d*", "floor": "2"}).matches(CHECK)
    assert not Selector(labels={"owner": "d*", "floor": "3"}).matches(CHECK)
    assert not Selector(labels={"absent": "?*"}).matches(CHECK)
    assert Selector(labels={"absent": ""}).matches(CHECK)


def test_no_field_is_left_out() -> None:
    tested = {"check", "target", "kind", "probe", "protocol", "zone", "venue", "room", "system", "labels"}
    assert {field.name for field in fields(Selector)} == tested


@pytest.mark.parametrize("retrieves", [True, False])
@pytest.mark.parametrize("selected", [True, False])
def test_a_time_to_a_picture_is_promised_where_one_is_retrieved(*, retrieves: bool, selected: bool) -> None:
    check = replace(CHECK, retrieves_picture=retrieves)
    selector = Selector(target=("hall-07" if selected else "other",))
    assert Rule("r", "r", selector, RetrievalLimit(), Severity.INFO).applies(check) == (retrieves and selected)
    assert Rule("r", "r", selector, Down(), Severity.INFO).applies(check) == selected
