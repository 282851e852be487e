"""Who is told, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentinel.config.configuration import ChannelConfig, Configuration, Route
from sentinel.domain.incident import Incident, Telling, Transition, Verdict, close
from sentinel.domain.notice import Event
from sentinel.domain.rule import Selector, Severity
from sentinel.engine.announce import Announcer
from sentinel.sdk.channel import ChannelOptions
from tests.support.fleet import NOW, FixedClock, configuration, incident

FLEET = configuration()
HALL = FLEET.checks["hall-02.tcp"]
SWITCH = FLEET.checks["hall-switch.icmp"]


def route(
    *channels: str, proceed: bool = False, severities: Sequence[Severity] = tuple(Severity), **selector: Any
) -> Route:
    return Route(Selector(**selector), frozenset(severities), channels, proceed)


class Desk:
    """An announcer with these routes; the channel ``public`` leaves the house."""

    def __init__(self, *routes: Route, fleet: Configuration = FLEET) -> None:
        channels = {
            name: ChannelConfig(name, "webhook", ChannelOptions(), public=name == "public")
            for name in ("duty", "experts", "public")
        }
        self.configuration = replace(fleet, routes=routes, channels=channels)
        self.announcer = Announcer(lambda: self.configuration, FixedClock())

    def told(self, one: Incident, event: Event = Event.OPENED) -> tuple[str, ...]:
        told, notices = self.announcer(one, transition(one, event))
        assert [notice.channel for notice in notices] == list(told.channels)
        return told.channels

    def text(self, one: Incident, channel: str, event: Event = Event.OPENED) -> str:
        _, notices = self.announcer(one, transition(one, event))
        (message,) = (notice.message for notice in notices if notice.channel == channel)
        return f"{message.title}\n{message.text}\n{message.annotations}\n{message.labels}"


def transition(one: Incident, event: Event = Event.OPENED) -> Transition:
    old, new = ("warning", "major") if event is Event.CHANGED else ("", "told")
    return Transition(one.id, 1, NOW, old, new, one.severity, "confirmed", event, verdict=one.verdict)


def test_the_first_route_that_matches_is_the_last() -> None:
    desk = Desk(route("duty", kind=("terminal",)), route("experts"))
    assert desk.told(incident(HALL)) == ("duty",)
    assert desk.told(incident(SWITCH)) == ("experts",)


def test_unless_it_says_proceed() -> None:
    desk = Desk(route("duty", proceed=True), route("duty", "experts"), route("public"))
    assert desk.told(incident(HALL)) == ("duty", "experts")


def test_routes_are_for_severities() -> None:
    desk = Desk(route("experts", severities=[Severity.CRITICAL]), route("duty"))
    assert desk.told(incident(HALL, severity=Severity.MAJOR)) == ("duty",)
    assert desk.told(incident(HALL, severity=Severity.CRITICAL)) == ("experts",)


def test_nobody_is_told_where_no_route_matches() -> None:
    assert Desk(route("duty", kind=("camera",))).told(incident(HALL)) == ()


def test_what_concerns_all_goes_wherever_something_goes() -> None:
    desk = Desk(route("duty", kind=("terminal",)), route("experts", kind=("camera",)))
    blind = replace(incident(HALL), rule="blind", subject="vantage/centre/icmp/no_privilege", target="")
    assert desk.told(blind) == ("duty", "experts")
    assert "监测自身受阻" in desk.text(blind, "duty")


def test_the_end_goes_to_those_who_know_whatever_the_routes_say_by_then() -> None:
    desk = Desk(route("duty"))
    told, _ = desk.announcer(incident(HALL), transition(incident(HALL)))
    desk.configuration = replace(desk.configuration, routes=(route("experts"),), channels={})
    ended, resolved = close(told, NOW + 60, "recovered")
    after, notices = desk.announcer(ended, resolved)
    assert after.channels == ("duty",)
    assert [notice.channel for notice in notices] == ["duty"]
    assert notices[0].message.event is Event.RESOLVED


def test_who_hears_of_a_change_hears_of_the_end() -> None:
    desk = Desk(route("experts", severities=[Severity.CRITICAL]), route("duty"))
    told, _ = desk.announcer(incident(HALL), transition(incident(HALL)))
    worse = replace(told, severity=Severity.CRITICAL)
    told, notices = desk.announcer(worse, transition(worse, Event.CHANGED))
    assert told.channels == ("duty", "experts")  # the first are not left with the milder news
    assert [notice.channel for notice in notices] == ["duty", "experts"]


def test_a_notice_is_due_at_once_and_has_the_identity_of_its_transition() -> None:
    one = incident(HALL)
    _, (notice,) = Desk(route("duty")).announcer(one, transition(one))
    assert (notice.incident, notice.seq, notice.created_at, notice.next_at) == (one.id, 1, NOW, NOW)
    assert notice.message.id == f"{one.id}-1"
    assert notice.message.labels == one.labels


def test_a_public_channel_learns_no_address_and_no_network() -> None:
    desk = Desk(route("duty", "public"))
    one = replace(incident(HALL), verdict=replace(_verdict(incident(HALL)), detail="from 198.18.1.2"))
    assert HALL.target.address in desk.text(one, "duty")
    public = desk.text(one, "public")
    assert "198.18." not in public
    assert FLEET.zones[HALL.target.zone].name not in public
    assert HALL.target.name in public


def _verdict(one: Incident) -> Verdict:
    assert one.verdict is not None
    return one.verdict


def test_a_message_says_where_since_when_and_what_hangs_on_it() -> None:
    desk = Desk(route("duty"))
    target = replace(SWITCH.target, reachability=SWITCH.id)
    desk.configuration = replace(desk.configuration, targets={**FLEET.targets, target.id: target})
    desk.announcer.dependents = lambda _target: ["hall-01", "hall-02"]
    held = replace(incident(HALL, telling=Telling.SUPPRESSED), cause=target.id)
    desk.announcer.untold = lambda: [held, held, incident(HALL, telling=Telling.HELD, cause=target.id)]
    text = desk.text(incident(SWITCH), "duty")
    assert "应急指挥大厅终端01" in text
    assert "另有 2 条" in text  # what is only held is not suppressed
    other = desk.text(incident(FLEET.checks["hall-switch.snmp"]), "duty")
    assert "终端01" not in other  # its SNMP may be silent, and all behind it work


def test_the_place_and_the_owner_are_named() -> None:
    desk = Desk(route("duty"))
    assert "应急指挥大厅" in desk.text(incident(HALL), "duty")
    camera = FLEET.checks["image-01-camera-1.rtsp"]
    text = desk.text(incident(camera), "duty")
    assert "市消防局图像系统" in text
    assert "占位" in text


def test_a_target_that_is_gone_is_told_of_all_the_same() -> None:
    desk = Desk(route("duty"), fleet=replace(FLEET, targets={}, checks={}))
    one = replace(incident(HALL), channels=("duty",))
    assert HALL.target.name in desk.text(one, "duty", Event.RESOLVED)


@pytest.mark.parametrize(("base", "page"), [("", ""), ("https://sentinel.example/", "https://sentinel.example/#")])
def test_a_link_to_the_wall_where_there_is_one(base: str, page: str, tmp_path: Path) -> None:
    daemon = replace(FLEET.daemon, external_url=base)
    desk = Desk(route("duty"), fleet=replace(FLEET, daemon=daemon))
    text = desk.text(incident(HALL), "duty")
    assert (page + incident(HALL).id in text) if base else ("http" not in text)


def test_by_itself_it_knows_of_no_dependents() -> None:
    announcer = Announcer(lambda: FLEET, FixedClock())
    assert list(announcer.dependents("core-switch")) == []
    assert list(announcer.untold()) == []
