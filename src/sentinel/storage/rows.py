"""Rows of the database and the domain's objects, both ways."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from sentinel.domain.incident import Incident, Level, State, Telling, Transition, Verdict
from sentinel.domain.notice import Event, Message, Notice, NoticeStatus
from sentinel.domain.retrieval import Retrieval
from sentinel.domain.rule import Severity
from sentinel.engine.ports import ChannelState, Exhibit, QuickRetrievals, RollUp, Status

Row = tuple[Any, ...]

INCIDENT: Final = (
    "id, key, rule, subject, target, title, labels, severity, state, telling, began_at, opened_at, resolved_at, "
    "verdict, cause, channels, version"
)
TRANSITION: Final = "incident, seq, at, old, new, severity, reason, event, cause, actor, verdict"
NOTICE: Final = "incident, seq, channel, message, created_at, status, attempts, next_at, error, settled_at"
STATUS: Final = "check_id, at, state"
RETRIEVAL: Final = "id, check_id, started_at, ended_at, shown, attempts, stage, code"
EXHIBIT: Final = "incident, number, at, kind, media_type, size"
EVIDENCE: Final = f"{EXHIBIT}, data"
MEMORY: Final = "check_id, at, memory"
QUICK: Final = "check_id, count, seconds, slowest, last_at, last_seconds"


def clean(text: str) -> str:
    """Text that UTF-8 can hold: what a hostile peer said may have lone surrogates in it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(value: Any) -> str:
    """JSON that SQLite takes for valid; a lone surrogate becomes the escape that reads back as itself."""
    return clean(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def incident_row(incident: Incident) -> Row:
    """In the order of ``INCIDENT``."""
    return (
        incident.id,
        clean(incident.key),
        incident.rule,
        clean(incident.subject),
        incident.target,
        clean(incident.title),
        to_json(dict(incident.labels)),
        incident.severity.value,
        incident.state.value,
        incident.telling.value,
        incident.began_at,
        incident.opened_at,
        incident.resolved_at,
        _verdict_json(incident.verdict),
        clean(incident.cause),
        to_json(list(incident.channels)),
        incident.version,
    )


def incident_of(row: Row) -> Incident:
    """From the order of ``INCIDENT``."""
    return Incident(
        id=row[0],
        key=row[1],
        rule=row[2],
        subject=row[3],
        target=row[4],
        title=row[5],
        labels=json.loads(row[6]),
        severity=Severity(row[7]),
        state=State(row[8]),
        telling=Telling(row[9]),
        began_at=row[10],
        opened_at=row[11],
        resolved_at=row[12],
        verdict=_verdict_of(row[13]),
        cause=row[14],
        channels=tuple(json.loads(row[15])),
        version=row[16],
    )


def transition_row(transition: Transition) -> Row:
    """In the order of ``TRANSITION``."""
    return (
        transition.incident,
        transition.seq,
        transition.at,
        str(transition.old),
        str(transition.new),
        transition.severity.value,
        transition.reason,
        None if transition.event is None else transition.event.value,
        clean(transition.cause),
        clean(transition.actor),
        _verdict_json(transition.verdict),
    )


def transition_of(row: Row) -> Transition:
    """From the order of ``TRANSITION``."""
    return Transition(
        incident=row[0],
        seq=row[1],
        at=row[2],
        old=row[3],
        new=row[4],
        severity=Severity(row[5]),
        reason=row[6],
        event=None if row[7] is None else Event(row[7]),
        cause=row[8],
        actor=row[9],
        verdict=_verdict_of(row[10]),
    )


def notice_row(notice: Notice) -> Row:
    """In the order of ``NOTICE``."""
    return (
        notice.incident,
        notice.seq,
        notice.channel,
        _message_json(notice.message),
        notice.created_at,
        notice.status.value,
        notice.attempts,
        notice.next_at,
        clean(notice.error),
        notice.settled_at,
    )


def notice_of(row: Row) -> Notice:
    """From the order of ``NOTICE``."""
    return Notice(
        incident=row[0],
        seq=row[1],
        channel=row[2],
        message=message_of(row[3]),
        created_at=row[4],
        status=NoticeStatus(row[5]),
        attempts=row[6],
        next_at=row[7],
        error=row[8],
        settled_at=row[9],
    )


def status_row(status: Status) -> Row:
    """In the order of ``STATUS``."""
    return (status.check, status.at, status.state)


def status_of(row: Row) -> Status:
    """From the order of ``STATUS``."""
    return Status(check=row[0], at=row[1], state=row[2])


def retrieval_row(retrieval: Retrieval) -> Row:
    """In the order of ``RETRIEVAL``."""
    return (
        retrieval.id,
        retrieval.check,
        retrieval.started_at,
        retrieval.ended_at,
        int(retrieval.shown),
        retrieval.attempts,
        retrieval.stage,
        retrieval.code,
    )


def retrieval_of(row: Row) -> Retrieval:
    """From the order of ``RETRIEVAL``."""
    return Retrieval(
        id=row[0],
        check=row[1],
        started_at=row[2],
        ended_at=row[3],
        shown=bool(row[4]),
        attempts=row[5],
        stage=row[6],
        code=row[7],
    )


def quick_of(row: Row) -> QuickRetrievals:
    """From the order of ``QUICK``."""
    return QuickRetrievals(row[0], int(row[1]), float(row[2]), float(row[3]), float(row[4]), float(row[5]))


def exhibit_of(row: Row) -> Exhibit:
    """From the order of ``EXHIBIT``."""
    return Exhibit(*row[:6])


def memory_of(row: Row) -> tuple[str, Mapping[str, float]]:
    """A check's id and what is remembered of it, from the order of ``MEMORY``."""
    return row[0], {str(name): float(value) for name, value in json.loads(row[2]).items()}


def rollup_of(row: Row) -> RollUp:
    """In the order of the columns that ``rollups.read`` asks for."""
    return RollUp(row[0], float(row[1]), *row[2:])


def channel_state_of(row: Row) -> ChannelState:
    """From (channel, sent, broken_until)."""
    return ChannelState(channel=row[0], sent=tuple(json.loads(row[1])), broken_until=row[2])


def insert(table: str, columns: str) -> str:
    """An INSERT with one question mark a column."""
    marks = ", ".join("?" * len(columns.split(",")))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - both are constants of this package


def upsert(table: str, columns: str) -> str:
    """An INSERT that replaces every column where the id, the first column, is there already."""
    key, *others = (column.strip() for column in columns.split(","))
    changes = ", ".join(f"{column} = excluded.{column}" for column in others)
    return f"{insert(table, columns)} ON CONFLICT ({key}) DO UPDATE SET {changes}"


def _verdict_json(verdict: Verdict | None) -> str | None:
    if verdict is None:
        return None
    return to_json(
        {
            "level": verdict.level.value,
            "severity": verdict.severity.value,
            "at": verdict.at,
            "since": verdict.since,
            "stage": verdict.stage,
            "code": verdict.code,
            "detail": verdict.detail,
            "value": verdict.value,
            "observed": _finite(verdict.observed),
            "limit": _finite(verdict.limit),
        }
        | ({} if verdict.usual is None else {"usual": [_finite(border) for border in verdict.usual]})
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None  # JSON has no infinity


def _verdict_of(text: str | None) -> Verdict | None:
    if text is None:
        return None
    data = json.loads(text)
    borders = data.get("usual")
    return Verdict(
        **data
        | {"level": Level(data["level"]), "severity": Severity(data["severity"])}
        | {"usual": None if borders is None else (float(borders[0]), float(borders[1]))}
    )


def _message_json(message: Message) -> str:
    return to_json(
        {
            "id": message.id,
            "incident": message.incident,
            "event": message.event.value,
            "severity": str(message.severity),
            "title": message.title,
            "text": message.text,
            "labels": dict(message.labels),
            "annotations": dict(message.annotations),
            "started_at": message.started_at,
            "ended_at": message.ended_at,
            "locale": message.locale,
        }
    )


def message_of(text: str) -> Message:
    """From the column ``message``."""
    data: Mapping[str, Any] = json.loads(text)
    return Message(**{**data, "event": Event(data["event"])})
