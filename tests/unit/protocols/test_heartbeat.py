"""When word is due and when it is late: intervals, cron over changes of the clocks, restarts, clocks that are set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check, Target
from sentinel.protocols.heartbeat import PROTOCOL, HeartbeatOptions, Listener
from sentinel.sdk.protocol import Call
from tests.support.probing import measure

TOKEN = "unit-01-0123456789abcdef"
TARGET = Target("unit-01", "单兵01", "192.0.2.1", "mobile-unit", "external")


def options(**given: Any) -> HeartbeatOptions:
    return HeartbeatOptions.model_validate({"token": TOKEN, **given})


def check(name: str = "beat", **given: Any) -> Check:
    return Check(f"unit-01.{name}", name, TARGET, "heartbeat", "heartbeat", options(**given), 60.0, 1.0, "centre")


class Desk:
    """An inbox that keeps; ``kept`` outlives a listener as a store does."""

    def __init__(self, *checks: Check, kept: dict[str, Mapping[str, float]] | None = None) -> None:
        self.mine = list(checks)
        self.reports: list[Measurement] = []
        self.hastened: list[str] = []
        self.memory = {} if kept is None else kept

    def checks(self) -> Sequence[Check]:
        return self.mine

    def report(self, _check: str, measurement: Measurement) -> None:
        self.reports.append(measurement)

    def hasten(self, check: str) -> None:
        self.hastened.append(check)

    def kept(self, check: str) -> Mapping[str, float]:
        return self.memory.get(check, {})

    def keep(self, check: str, memory: Mapping[str, float]) -> None:
        self.memory[check] = dict(memory)


class Hands:
    """Both clocks, turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.mono = 1_793_000_000.0, 5_000.0
        monkeypatch.setattr(Listener, "_wall", lambda _self: self.wall)
        monkeypatch.setattr("sentinel.protocols.heartbeat.time", self)

    def monotonic(self) -> float:
        return self.mono

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    made: list[Listener] = []
    yield made
    for one in made:
        one.close()


def listening(listeners: list[Listener], desk: Desk) -> Listener:
    listeners.append(Listener())
    listeners[-1].attach(desk)
    return listeners[-1]


def code(listener: Listener, of: Check) -> str:
    _, failure, _ = listener.look(of)
    return failure.code if failure else ""


def call(listener: Listener, word: str = "", token: str = TOKEN) -> int:
    return listener.take(Call("POST", f"{token}/{word}" if word else token))


async def test_late_is_a_failure_and_word_ends_it(hands: Hands, listeners: list[Listener]) -> None:
    one = check(every="10m", grace="1m")
    desk = Desk(one)
    listener = listening(listeners, desk)
    assert code(listener, one) == ""
    hands.go(659)
    assert code(listener, one) == ""  # never heard, and not late yet
    hands.go(2)
    assert code(listener, one) == "late"
    assert call(listener) == 200
    assert code(listener, one) == ""
    assert desk.reports[-1].failure is None
    hands.go(661)
    assert code(listener, one) == "late"


@pytest.mark.parametrize("word", ["fail", "1", "255"])
async def test_a_reported_failure_lasts_until_a_success(hands: Hands, listeners: list[Listener], word: str) -> None:
    one = check(every="10m")
    desk = Desk(one)
    listener = listening(listeners, desk)
    call(listener)
    hands.go(30)
    assert call(listener, word) == 200
    assert desk.reports[-1].failure is not None
    assert desk.reports[-1].failure.code == code(listener, one) == "reported"
    assert call(listener, "start") == 200
    assert code(listener, one) == "reported"
    assert call(listener, "0") == 200
    assert code(listener, one) == ""


async def test_a_run_is_timed_and_has_the_grace_to_end(hands: Hands, listeners: list[Listener]) -> None:
    one = check(cron="30 2 * * *", grace="1h")
    desk = Desk(one)
    listener = listening(listeners, desk)
    call(listener, "start")
    hands.go(1_234)
    call(listener)
    assert desk.reports[-1].values == {"age_seconds": 0.0, "duration_seconds": 1_234.0}
    call(listener, "start")
    hands.go(3_601)
    assert code(listener, one) == "late"


@pytest.mark.parametrize("path", ["", "nobody-0123456789abcdef", TOKEN[:-1], TOKEN + "x", "\udcff", f"{TOKEN}/finish"])
async def test_what_is_not_known_is_not_found(hands: Hands, listeners: list[Listener], path: str) -> None:
    del hands
    desk = Desk(check(every="10m"))
    listener = listening(listeners, desk)
    assert listener.take(Call("GET", path)) == 404
    assert desk.reports == []


async def test_a_restart_forgets_nothing_and_alarms_nobody_for_it(hands: Hands, listeners: list[Listener]) -> None:
    one = check(every="10m", grace="1m")
    store: dict[str, Mapping[str, float]] = {}
    call(listening(listeners, Desk(one, kept=store)))
    hands.go(300)  # stopped with five minutes to go, for a minute: it is due all the same
    listener = listening(listeners, Desk(one, kept=store))
    hands.go(359)
    assert code(listener, one) == ""
    hands.go(3)
    assert code(listener, one) == "late"
    listener = listening(listeners, Desk(one, kept=store))  # what was late stays late, and as late as it is
    _, failure, _ = listener.look(one)
    assert failure is not None
    assert failure.detail == "last heard 662 s ago, late by 2 s"
    call(listener)
    hands.go(7_200)  # two hours down: what came meanwhile nobody heard
    listener = listening(listeners, Desk(one, kept=store))
    assert code(listener, one) == ""
    hands.go(600)
    listener = listening(listeners, Desk(one, kept=store))  # started again and again: no new date each time
    hands.go(59)
    assert code(listener, one) == ""
    hands.go(700)
    assert code(listener, one) == "late"


async def test_a_reload_excuses_nobody_and_other_dates_count_at_once(hands: Hands, listeners: list[Listener]) -> None:
    one = check(every="10m", grace="5m")
    desk = Desk(one)
    listener = listening(listeners, desk)
    call(listener)
    hands.go(700)  # due, and not late yet
    listener.attach(desk)
    hands.go(201)
    assert code(listener, one) == "late"
    desk.mine = [longer := check(every="1h", grace="5m")]
    listener.attach(desk)
    assert code(listener, longer) == ""
    desk.mine = []
    listener.attach(desk)
    assert call(listener) == 404


@pytest.mark.parametrize("seconds", [-7_200.0, 7_200.0])
@pytest.mark.parametrize("rhythm", [{"every": "10m"}, {"cron": "*/10 * * * *"}])
async def test_a_clock_that_is_set_alarms_nobody(
    hands: Hands, listeners: list[Listener], seconds: float, rhythm: dict[str, str]
) -> None:
    one = check(grace="1m", **rhythm)
    desk = Desk(one)
    listener = listening(listeners, desk)
    call(listener)
    hands.wall += seconds
    hands.go(60)
    assert code(listener, one) == ""
    (age,) = [value for name, value in listener.look(one)[0].values(hands.wall).items() if name == "age_seconds"]
    assert age == pytest.approx(60)
    hands.go(1_300)
    assert code(listener, one) == "late"


@pytest.mark.parametrize(
    ("zone", "cron", "after", "due"),
    [
        ("Asia/Shanghai", "30 2 * * *", "2026-03-08T00:00", ["2026-03-08T02:30", "2026-03-09T02:30"]),
        ("Asia/Shanghai", "*/5 * * * *", "2026-11-22T23:58", ["2026-11-23T00:00", "2026-11-23T00:05"]),
        ("Asia/Shanghai", "0 9 * * 1-5", "2026-11-20T10:00", ["2026-11-23T09:00", "2026-11-24T09:00"]),
        ("Asia/Shanghai", "0 0 29 2 *", "2026-11-20T10:00", ["2028-02-29T00:00"]),
        # The clocks go from 2 to 3: what falls into the missing hour runs right after it, and once.
        ("America/New_York", "30 2 * * *", "2026-03-08T00:00", ["2026-03-08T03:00", "2026-03-09T02:30"]),
        # And from 2 back to 1: half past one comes twice, and runs once.
        ("America/New_York", "30 1 * * *", "2026-11-01T00:00", ["2026-11-01T01:30", "2026-11-02T01:30"]),
    ],
)
def test_cron_times(zone: str, cron: str, after: str, due: list[str]) -> None:
    one = options(cron=cron, timezone=zone)
    at = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp()
    for expected in due:
        at = one.due(at)
        assert datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M") == expected


def test_shanghai_is_eight_hours_ahead_of_utc() -> None:
    due = options(cron="30 2 * * *").due(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(due, UTC) == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "either"),
        ({"every": "1m", "cron": "* * * * *"}, "either"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 31 2 *"}, "cron"),
        ({"cron": "* * *"}, "cron"),
        ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "time zone"),
        ({"cron": "* * * * *", "timezone": "../../etc/passwd"}, "time zone"),
        ({"every": "600"}, "duration"),
        ({"every": "1m", "token": "short"}, "at least 16"),
        ({"every": "1m", "token": "has/a/slash/0123456789"}, "address"),
    ],
)
def test_options_that_cannot_work(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        options(**given)
    assert words in str(refused.value)
    assert "has/a/slash" not in str(refused.value)


async def test_elsewhere_it_is_unknown_and_never_late() -> None:
    found = await measure(PROTOCOL, TARGET, {"token": TOKEN, "every": "1m"})
    assert found.failure is not None
    assert found.failure.local


async def test_the_probe_shows_what_was_heard(listeners: list[Listener]) -> None:
    one = check(every="10m")
    listener = listening(listeners, Desk(one))
    from sentinel.sdk.protocol import ProbeFailed, Run

    run = Run(time.monotonic() + 1, listener)
    await PROTOCOL.probe(TARGET, one.options, run)
    assert (run.values, run.facts) == ({}, {"heard": "never"})
    call(listener)
    run = Run(time.monotonic() + 1, listener)
    await PROTOCOL.probe(TARGET, one.options, run)
    assert 0 <= run.values["age_seconds"] < 1
    call(listener, "fail")
    with pytest.raises(ProbeFailed, match="reported"):
        await PROTOCOL.probe(TARGET, one.options, Run(time.monotonic() + 1, listener))
