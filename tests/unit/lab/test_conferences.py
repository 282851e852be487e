"""The demo's conferences: a month of them, and none where there is nowhere to hold one."""

from datetime import datetime

from sentinel.engine.promises import LOCAL
from sentinel.lab.conferences import conferences

NOW = datetime(2026, 11, 22, 19, 0, tzinfo=LOCAL).timestamp()


def test_each_venue_has_its_turn_and_one_is_going_on() -> None:
    found = conferences(NOW, ("a", "b"))
    assert len(found) == 30 + 1
    assert {venue for each in found for venue in each.venues} == {"a", "b"}
    assert [each.id for each in found if each.start <= NOW < each.end] == ["demo-now"]
    assert len({each.id for each in found}) == len(found)


def test_an_estate_without_a_venue_has_no_conference() -> None:
    assert conferences(NOW, ()) == ()
