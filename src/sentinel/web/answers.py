"""From the domain to the API's models: the one place that knows both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from sentinel.domain.evidence import KINDS
from sentinel.domain.failure import Failure
from sentinel.domain.incident import REASONS, Incident, Transition, Verdict
from sentinel.domain.notice import Notice
from sentinel.domain.observation import Observation
from sentinel.domain.target import Target
from sentinel.engine.ports import Exhibit, History
from sentinel.engine.snapshot import CheckView, SlaFigure
from sentinel.web import models


def check_item(view: CheckView) -> models.CheckItem:
    """One check as it stands."""
    return models.CheckItem(**_check(view))


def check_detail(view: CheckView, incidents: Iterable[Incident], fingerprint: str) -> models.CheckDetail:
    """One check in full."""
    options = view.check.options
    return models.CheckDetail(
        **_check(view),
        options=options.model_dump(mode="json") if isinstance(options, BaseModel) else {},
        counts={outcome.value: count for outcome, count in view.counts.items()},
        failures=[
            models.FailureCount(stage=stage, code=code, count=count)
            for (stage, code), count in view.failures.most_common()
        ],
        incidents=[incident_item(one) for one in incidents],
        fingerprint=fingerprint,
    )


def _check(view: CheckView) -> dict[str, Any]:
    check = view.check
    return {
        "id": check.id,
        "name": check.name,
        "target": _target(check.target),
        "probe": check.probe,
        "protocol": check.protocol,
        "interval": check.interval,
        "timeout": check.timeout,
        "vantage": check.vantage,
        "required": check.required,
        "state": view.state,
        "since": view.since,
        "result": None if view.observation is None else _result(view.observation),
    }


def _target(target: Target) -> models.TargetItem:
    return models.TargetItem(
        id=target.id,
        name=target.name,
        address=target.address,
        kind=target.kind,
        zone=target.zone,
        venue=target.venue,
        room=target.room,
        system=target.system,
        parents=list(target.parents),
        placeholder=target.placeholder,
    )


def _result(result: Observation) -> models.ResultItem:
    return models.ResultItem(
        at=result.started_at,
        took=result.took,
        outcome=result.outcome.value,
        failure=None if result.failure is None else _failure(result.failure),
        stages=dict(result.stages),
        # JSON has no word for infinity.
        values={_text(name): value for name, value in result.values.items() if math.isfinite(value)},
        facts={_text(name): _text(fact) for name, fact in result.facts.items()},
    )


def _failure(failure: Failure) -> models.FailureItem:
    return models.FailureItem(stage=failure.stage, code=failure.code, detail=_text(failure.detail))


def incident_item(one: Incident) -> models.IncidentItem:
    """One incident."""
    return models.IncidentItem(
        id=one.id,
        key=one.key,
        rule=one.rule,
        subject=one.subject,
        target=one.target,
        title=_text(one.title),
        labels={name: _text(value) for name, value in one.labels.items()},
        severity=one.severity.value,
        state=one.state.value,
        telling=one.telling.value,
        cause=one.cause,
        began_at=one.began_at,
        opened_at=one.opened_at,
        resolved_at=one.resolved_at,
        channels=list(one.channels),
        version=one.version,
        verdict=_verdict(one.verdict),
    )


def _verdict(verdict: Verdict | None) -> models.VerdictItem | None:
    if verdict is None:
        return None
    return models.VerdictItem(
        level=verdict.level.value,
        severity=verdict.severity.value,
        at=verdict.at,
        since=verdict.since,
        stage=verdict.stage,
        code=verdict.code,
        detail=_text(verdict.detail),
        value=verdict.value,
        observed=_finite(verdict.observed),
        limit=_finite(verdict.limit),
        usual=verdict.usual if verdict.usual is not None and all(map(math.isfinite, verdict.usual)) else None,
    )


def history(found: History) -> models.IncidentHistory:
    """Why it opened, who was told, and what was kept quiet and why."""
    return models.IncidentHistory(
        incident=incident_item(found.incident),
        transitions=[_transition(one) for one in found.transitions],
        notices=[_notice(one) for one in found.notices],
        silences=[
            models.SilenceItem(
                seq=one.seq, at=one.at, reason=one.reason, meaning=REASONS.get(one.reason, ""), cause=one.cause
            )
            for one in found.transitions
            if one.event is None
        ],
        evidence=[exhibit(one) for one in found.exhibits],
    )


def exhibit(one: Exhibit) -> models.ExhibitItem:
    """A piece of evidence without its content."""
    return models.ExhibitItem(
        number=one.number,
        at=one.at,
        kind=one.kind,
        meaning=KINDS.get(one.kind, ""),
        media_type=one.media_type,
        size=one.size,
        url=f"/api/v1/incidents/{quote(one.incident, safe='')}/evidence/{one.number}",
    )


def _transition(one: Transition) -> models.TransitionItem:
    return models.TransitionItem(
        seq=one.seq,
        at=one.at,
        old=one.old,
        new=one.new,
        severity=one.severity.value,
        reason=one.reason,
        meaning=REASONS.get(one.reason, ""),
        event=None if one.event is None else one.event.value,
        cause=one.cause,
        actor=one.actor,
        verdict=_verdict(one.verdict),
    )


def _notice(one: Notice) -> models.NoticeItem:
    return models.NoticeItem(
        id=one.message.id,
        seq=one.seq,
        channel=one.channel,
        event=one.message.event.value,
        status=one.status.value,
        attempts=one.attempts,
        created_at=one.created_at,
        next_at=one.next_at,
        settled_at=one.settled_at,
        error=_text(one.error),
    )


def sla_item(figure: SlaFigure) -> models.SlaItem:
    """One promise."""
    return models.SlaItem(
        rule=figure.rule,
        name=figure.name,
        kind=figure.kind,
        subject=figure.subject,
        observed=_finite(figure.observed),
        limit=figure.limit,
        unit=figure.unit,
        kept=figure.kept,
        contractual=figure.contractual,
        counts={name: value for name, value in figure.counts.items() if math.isfinite(value)},
    )


def states(found: Mapping[str, int]) -> dict[models.CheckState, int]:
    """Counts of all states."""
    names: tuple[models.CheckState, ...] = ("up", "down", "failing", "unknown", "pending", "unobserved")
    return {name: found.get(name, 0) for name in names}


def severities(found: Mapping[str, int]) -> dict[models.Severity, int]:
    """Counts of all four severities."""
    names: tuple[models.Severity, ...] = ("info", "warning", "major", "critical")
    return {name: found.get(name, 0) for name in names}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _text(text: str) -> str:
    # A lone surrogate out of a device's answer has no UTF-8; everything else is the reader's to escape.
    return text.encode("utf-8", "replace").decode()
