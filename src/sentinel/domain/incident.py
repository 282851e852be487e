"""Incidents: an open problem, told once, resolved once.

``step`` is the whole state machine, pure: (incident or None, verdict, dependency) in, (incident, transition) out.

=============  ==================================================================================
telling        meaning
=============  ==================================================================================
HELD           confirmed, but what the target hangs on is being probed: nothing is said yet
TOLD           people know; the resolution will be told as well
SUPPRESSED     what the target hangs on is down: recorded with that reason, not told
=============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sentinel.domain.notice import Event
from sentinel.domain.rule import Severity


class Level(StrEnum):
    """What a rule says of its subject now.

    PENDING: a failure was seen and is being confirmed (or a recovery is); nothing changes yet.
    UNKNOWN: we could not measure; an open incident stays open, none is opened.
    """

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's judgement of one subject.

    ``since`` is when what it speaks of began (first failure, first good result), ``at`` when it was judged, both
    UTC epoch seconds.  ``observed`` and ``limit`` are the figures where there are any, ``stage`` and ``code`` the
    failure's where there is one, ``detail`` hostile text.  ``usual`` is the lowest and highest figure that is usual at
    that hour, where the rule compares with a baseline; ``limit`` is then the border of it that is meant.
    """

    level: Level
    severity: Severity
    at: float
    since: float
    stage: str = ""
    code: str = ""
    detail: str = ""
    value: str = ""
    observed: float | None = None
    limit: float | None = None
    usual: tuple[float, float] | None = None


class Standing(StrEnum):
    """How what a subject hangs on is doing."""

    CLEAR = "clear"
    WAIT = "wait"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Dependency:
    """The standing and its cause: the id of the target that is down or being asked."""

    standing: Standing
    cause: str = ""


CLEAR = Dependency(Standing.CLEAR)


class State(StrEnum):
    """OPEN until resolved, and then never open again: a new fault is a new incident."""

    OPEN = "open"
    RESOLVED = "resolved"


class Telling(StrEnum):
    """See the module's table."""

    HELD = "held"
    TOLD = "told"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Incident:
    """One open or ended problem of one rule with one subject.

    ``key`` is ``<rule>/<subject>``: at most one open incident has it.  ``subject`` is a check id, or ``estate``,
    or ``vantage/<name>/<code>`` where we ourselves are blind.  ``labels`` are the identity that messages bear,
    ``title`` the subject's display name, both as they were at the opening.  ``began_at`` is the first failure,
    ``opened_at`` the confirmation.  ``channels`` are those that were told, and that will be told of the end.
    """

    id: str
    key: str
    rule: str
    subject: str
    target: str
    title: str
    labels: Mapping[str, str]
    severity: Severity
    state: State
    telling: Telling
    began_at: float
    opened_at: float
    resolved_at: float | None = None
    verdict: Verdict | None = None
    cause: str = ""
    channels: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one incident, kept for ever.

    ``event`` is what people are told, None where they are told nothing; ``reason`` says in one closed word why
    (see ``REASONS``), ``cause`` names the target behind it.
    ``old`` and ``new`` are ``telling`` values (empty before the opening, ``resolved`` at the end); where only the
    severity changed, they are the severities.
    """

    incident: str
    seq: int
    at: float
    old: str
    new: str
    severity: Severity
    reason: str
    event: Event | None = None
    cause: str = ""
    actor: str = "engine"
    verdict: Verdict | None = None


REASONS: dict[str, str] = {
    "confirmed": "the rule is broken and confirmed",
    "waiting_for_parent": "confirmed; what it hangs on is being probed before anything is said",
    "parent_down": "what it hangs on is down: not told",
    "parent_answered": "what it hangs on answers: the fault is its own",
    "parent_undecided": "what it hangs on gave no answer in time: told without it",
    "still_failing": "what it hangs on is back, it was probed again and still fails",
    "severity_changed": "better or worse than it was",
    "recovered": "good again",
    "check_removed": "the check is no longer in the configuration",
    "rule_removed": "the rule is no longer in the configuration",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a new incident would be about."""

    key: str
    rule: str
    subject: str
    target: str
    title: str
    labels: Mapping[str, str] = field(default_factory=dict)


def step(
    incident: Incident | None,
    subject: Subject,
    verdict: Verdict,
    dependency: Dependency,
    *,
    new_id: str,
) -> tuple[Incident | None, Transition | None]:
    """The next state of a subject's incident, and the one transition that led there, if any.

    ``new_id`` is taken where an incident opens.  A resolved incident is returned once, with its transition; the
    caller then drops it.
    """
    if incident is None:
        return _open(subject, verdict, dependency, new_id) if verdict.level is Level.FIRING else (None, None)
    if verdict.level is Level.OK:
        return close(incident, verdict.at, "recovered", verdict)
    if verdict.level is not Level.FIRING:
        return incident, None
    if incident.telling is Telling.TOLD:
        return _change(incident, verdict)
    return _reconsider(incident, verdict, dependency)


def undecided(incident: Incident, at: float) -> tuple[Incident, Transition | None]:
    """A held incident whose parent gave no answer in time is told all the same."""
    if incident.telling is not Telling.HELD:
        return incident, None
    return _moved(incident, Telling.TOLD, at, "parent_undecided", Event.OPENED, verdict=incident.verdict)


def close(incident: Incident, at: float, reason: str, verdict: Verdict | None = None) -> tuple[Incident, Transition]:
    """Resolve; people are told exactly where they were told of the opening."""
    told = incident.telling is Telling.TOLD
    ended_at = max(at, incident.began_at)  # a clock that was put back makes no negative duration
    ended = replace(incident, state=State.RESOLVED, resolved_at=ended_at, version=incident.version + 1)
    return ended, Transition(
        incident.id,
        ended.version,
        at,
        incident.telling,
        State.RESOLVED,
        incident.severity,
        reason,
        Event.RESOLVED if told else None,
        verdict=verdict,
    )


_OPENING: dict[Standing, tuple[Telling, str, Event | None]] = {
    Standing.CLEAR: (Telling.TOLD, "confirmed", Event.OPENED),
    Standing.WAIT: (Telling.HELD, "waiting_for_parent", None),
    Standing.BLOCKED: (Telling.SUPPRESSED, "parent_down", None),
}


def _open(subject: Subject, verdict: Verdict, dependency: Dependency, new_id: str) -> tuple[Incident, Transition]:
    telling, reason, event = _OPENING[dependency.standing]
    incident = Incident(
        id=new_id,
        key=subject.key,
        rule=subject.rule,
        subject=subject.subject,
        target=subject.target,
        title=subject.title,
        labels=subject.labels,
        severity=verdict.severity,
        state=State.OPEN,
        telling=telling,
        began_at=verdict.since,
        opened_at=verdict.at,
        verdict=verdict,
        cause=dependency.cause,
        version=1,
    )
    return incident, Transition(
        new_id, 1, verdict.at, "", telling, verdict.severity, reason, event, dependency.cause, verdict=verdict
    )


def _change(incident: Incident, verdict: Verdict) -> tuple[Incident, Transition | None]:
    if verdict.severity is incident.severity:
        return replace(incident, verdict=verdict), None
    changed = replace(incident, severity=verdict.severity)
    moved, transition = _moved(changed, Telling.TOLD, verdict.at, "severity_changed", Event.CHANGED, verdict=verdict)
    return moved, replace(transition, old=incident.severity.value, new=verdict.severity.value)


def _reconsider(incident: Incident, verdict: Verdict, dependency: Dependency) -> tuple[Incident, Transition | None]:
    incident = replace(incident, severity=verdict.severity, verdict=verdict)
    if dependency.standing is Standing.CLEAR:
        reason = "parent_answered" if incident.telling is Telling.HELD else "still_failing"
        return _moved(incident, Telling.TOLD, verdict.at, reason, Event.OPENED, verdict=verdict)
    news = incident.telling is Telling.HELD or dependency.cause != incident.cause
    if dependency.standing is Standing.BLOCKED and news:
        return _moved(
            incident, Telling.SUPPRESSED, verdict.at, "parent_down", None, cause=dependency.cause, verdict=verdict
        )
    return incident, None


def _moved(
    incident: Incident,
    telling: Telling,
    at: float,
    reason: str,
    event: Event | None,
    *,
    cause: str = "",
    verdict: Verdict | None = None,
) -> tuple[Incident, Transition]:
    moved = replace(incident, telling=telling, cause=cause, version=incident.version + 1)
    return moved, Transition(
        incident.id,
        moved.version,
        at,
        incident.telling,
        telling,
        moved.severity,
        reason,
        event,
        cause,
        verdict=verdict,
    )
