"""The incident's state machine: single steps, and what holds along every way through it."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sentinel.domain.incident import (
    CLEAR,
    REASONS,
    Dependency,
    Incident,
    Level,
    Standing,
    State,
    Subject,
    Telling,
    Transition,
    Verdict,
    close,
    step,
    undecided,
)
from sentinel.domain.notice import Event
from sentinel.domain.rule import Severity

SUBJECT = Subject("down/hall.ping", "down", "hall.ping", "hall", "大厅终端", {"check": "hall.ping"})
WAIT = Dependency(Standing.WAIT, "switch")
BLOCKED = Dependency(Standing.BLOCKED, "switch")


def verdict(level: Level = Level.FIRING, at: float = 100.0, severity: Severity = Severity.MAJOR) -> Verdict:
    return Verdict(level, severity, at, at - 10)


def opened(dependency: Dependency = CLEAR) -> Incident:
    incident, _ = step(None, SUBJECT, verdict(), dependency, new_id="i1")
    assert incident is not None
    return incident


def after(incident: Incident, *args: Dependency | Verdict) -> tuple[Incident, Transition | None]:
    told = next((one for one in args if isinstance(one, Verdict)), verdict(at=110.0))
    hangs = next((one for one in args if isinstance(one, Dependency)), CLEAR)
    found, transition = step(incident, SUBJECT, told, hangs, new_id="never")
    assert found is not None
    return found, transition


@pytest.mark.parametrize("level", [Level.OK, Level.PENDING, Level.UNKNOWN])
def test_nothing_opens_before_it_is_confirmed(level: Level) -> None:
    assert step(None, SUBJECT, verdict(level), CLEAR, new_id="i1") == (None, None)


@pytest.mark.parametrize(
    ("dependency", "telling", "reason", "event"),
    [
        (CLEAR, Telling.TOLD, "confirmed", Event.OPENED),
        (WAIT, Telling.HELD, "waiting_for_parent", None),
        (BLOCKED, Telling.SUPPRESSED, "parent_down", None),
    ],
)
def test_opening(dependency: Dependency, telling: Telling, reason: str, event: Event | None) -> None:
    incident, transition = step(None, SUBJECT, verdict(), dependency, new_id="i1")
    assert incident is not None
    assert transition is not None
    assert (incident.id, incident.key, incident.rule, incident.subject) == ("i1", SUBJECT.key, "down", "hall.ping")
    assert (incident.target, incident.title, incident.labels) == ("hall", "大厅终端", SUBJECT.labels)
    assert (incident.state, incident.telling, incident.version) == (State.OPEN, telling, 1)
    assert (incident.began_at, incident.opened_at, incident.resolved_at) == (90.0, 100.0, None)
    assert incident.cause == transition.cause == dependency.cause
    assert (transition.seq, transition.old, transition.new) == (1, "", telling)
    assert (transition.reason, transition.event, transition.at) == (reason, event, 100.0)


@pytest.mark.parametrize("level", [Level.PENDING, Level.UNKNOWN])
@pytest.mark.parametrize("dependency", [CLEAR, WAIT, BLOCKED])
def test_what_is_open_and_undecided_stays_as_it_is(level: Level, dependency: Dependency) -> None:
    incident = opened(dependency)
    assert after(incident, verdict(level)) == (incident, None)


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        (WAIT, CLEAR, "parent_answered"),
        (BLOCKED, CLEAR, "still_failing"),
    ],
)
def test_a_fault_of_its_own_is_told(was: Dependency, now: Dependency, reason: str) -> None:
    incident, transition = after(opened(was), now)
    assert transition is not None
    assert (incident.telling, incident.cause) == (Telling.TOLD, "")
    assert (transition.reason, transition.event, transition.seq) == (reason, Event.OPENED, 2)


def test_what_waits_is_suppressed_once_the_parent_is_down() -> None:
    incident, transition = after(opened(WAIT), BLOCKED)
    assert transition is not None
    assert (incident.telling, incident.cause) == (Telling.SUPPRESSED, "switch")
    assert (transition.old, transition.new, transition.reason, transition.event) == (
        "held",
        "suppressed",
        "parent_down",
        None,
    )


def test_another_cause_is_recorded_and_the_same_is_not() -> None:
    incident = opened(BLOCKED)
    assert after(incident, BLOCKED)[1] is None
    moved, transition = after(incident, Dependency(Standing.BLOCKED, "core"))
    assert transition is not None
    assert (moved.cause, transition.cause, transition.reason) == ("core", "core", "parent_down")


def test_while_the_parent_is_asked_nothing_moves() -> None:
    for incident in (opened(WAIT), opened(BLOCKED)):
        again, transition = after(incident, WAIT)
        assert transition is None
        assert again.telling is incident.telling


def test_an_untold_incident_is_told_with_the_severity_that_it_has_by_then() -> None:
    incident, _ = after(opened(BLOCKED), BLOCKED, verdict(severity=Severity.CRITICAL))
    assert incident.severity is Severity.CRITICAL
    told, transition = after(incident, verdict(severity=Severity.WARNING))
    assert transition is not None
    assert told.severity is transition.severity is Severity.WARNING


def test_once_told_a_parent_changes_nothing() -> None:
    for dependency in (WAIT, BLOCKED):
        incident, transition = after(opened(), dependency)
        assert transition is None
        assert incident.telling is Telling.TOLD


def test_a_changed_severity_is_told_and_the_same_is_not() -> None:
    incident = opened()
    same, nothing = after(incident, verdict(at=110))
    assert nothing is None
    assert same.verdict == verdict(at=110)
    worse, transition = after(incident, verdict(at=120, severity=Severity.CRITICAL))
    assert transition is not None
    assert worse.severity is Severity.CRITICAL
    assert (transition.event, transition.old, transition.new) == (Event.CHANGED, "major", "critical")
    assert transition.reason == "severity_changed"


def test_only_what_is_held_lapses() -> None:
    told, transition = undecided(opened(WAIT), 130.0)
    assert transition is not None
    assert told.telling is Telling.TOLD
    assert (transition.reason, transition.event, transition.at) == ("parent_undecided", Event.OPENED, 130.0)
    for dependency in (CLEAR, BLOCKED):
        incident = opened(dependency)
        assert undecided(incident, 130.0) == (incident, None)


@pytest.mark.parametrize(("dependency", "event"), [(CLEAR, Event.RESOLVED), (WAIT, None), (BLOCKED, None)])
def test_the_end_is_told_exactly_where_the_beginning_was(dependency: Dependency, event: Event | None) -> None:
    good = verdict(Level.OK, at=150.0)
    incident, transition = after(opened(dependency), good)
    assert transition is not None
    assert (incident.state, incident.resolved_at) == (State.RESOLVED, 150.0)
    assert (transition.new, transition.reason, transition.event) == ("resolved", "recovered", event)
    assert transition.verdict is good


def test_an_end_for_another_reason_says_so() -> None:
    ended, transition = close(opened(), 150.0, "check_removed")
    assert ended.state is State.RESOLVED
    assert (transition.reason, transition.event, transition.verdict) == ("check_removed", Event.RESOLVED, None)


def test_no_incident_ends_before_it_began_though_the_clock_was_put_back() -> None:
    ended, transition = close(opened(), 100.0 - 7200.0, "recovered")
    assert ended.resolved_at == ended.began_at
    assert transition.at == 100.0 - 7200.0


class Life(RuleBasedStateMachine):
    """One subject under every order of verdicts, standings, lapses and removals."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.incident: Incident | None = None
        self.ended: list[Incident] = []
        self.log: list[Transition] = []

    @rule(
        level=st.sampled_from(Level),
        severity=st.sampled_from(Severity),
        standing=st.sampled_from(Standing),
        cause=st.sampled_from(["switch", "core"]),
    )
    def judged(self, level: Level, severity: Severity, standing: Standing, cause: str) -> None:
        self.now += 1
        before = self.incident
        hangs = CLEAR if standing is Standing.CLEAR else Dependency(standing, cause)
        told = Verdict(level, severity, self.now, self.now)
        found, transition = step(before, SUBJECT, told, hangs, new_id=f"i{len(self.ended)}")
        if transition is not None and transition.event is Event.OPENED:
            assert level is Level.FIRING
            assert standing is Standing.CLEAR  # never told while its parent is down or asked
        if before is not None and transition is None:
            assert found is not None
            assert found.version == before.version
        if before is not None and level in {Level.PENDING, Level.UNKNOWN}:
            assert found is before
        self.moved(found, transition)

    @precondition(lambda self: self.incident is not None)
    @rule()
    def lapsed(self) -> None:
        self.now += 1
        assert self.incident is not None
        self.moved(*undecided(self.incident, self.now))

    @precondition(lambda self: self.incident is not None)
    @rule(reason=st.sampled_from(["check_removed", "rule_removed"]))
    def removed(self, reason: str) -> None:
        self.now += 1
        assert self.incident is not None
        self.moved(*close(self.incident, self.now, reason))

    def moved(self, incident: Incident | None, transition: Transition | None) -> None:
        if transition is not None:
            self.log.append(transition)
        if incident is not None and incident.state is State.RESOLVED:
            self.ended.append(incident)
            incident = None
        self.incident = incident

    @invariant()
    def holds(self) -> None:
        by_id: dict[str, list[Transition]] = {}
        for transition in self.log:
            by_id.setdefault(transition.incident, []).append(transition)
        for seen in by_id.values():
            events = [one.event for one in seen if one.event is not None]
            assert [one.seq for one in seen] == list(range(1, len(seen) + 1))  # versions rise by one
            assert events.count(Event.OPENED) <= 1
            assert events.count(Event.RESOLVED) <= 1
            assert all(one.new != State.RESOLVED for one in seen[:-1])  # never open again
            assert all(one.reason in REASONS for one in seen)
            if events:
                assert events[0] is Event.OPENED
            if seen[-1].new == State.RESOLVED:
                assert (Event.OPENED in events) == (Event.RESOLVED in events)
                assert not events or events[-1] is Event.RESOLVED
        if self.incident is not None:
            seen = by_id[self.incident.id]
            assert self.incident.version == seen[-1].seq
            told = any(one.event is Event.OPENED for one in seen)
            assert (self.incident.telling is Telling.TOLD) == told
            assert bool(self.incident.cause) == (self.incident.telling is not Telling.TOLD)
        assert len({one.id for one in self.ended}) == len(self.ended)


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase


def test_a_standing_without_cause_is_clear() -> None:
    assert replace(CLEAR) == Dependency(Standing.CLEAR)
