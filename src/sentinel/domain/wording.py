"""What a message says: one line for the eye, a few for the one who has to act, in Chinese or English.

Pure: the names come in a ``Context``, the times in the incident.  A public message (a channel that leaves the house)
carries no address, no network name and nothing that a peer said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from sentinel.domain.incident import Incident, Transition, Verdict
from sentinel.domain.notice import Event, Message
from sentinel.domain.rule import Severity
from sentinel.domain.words import CODES, EVENTS, KINDS, REASONS, SEVERITIES, STAGES, VALUES, Locale, word

BEIJING: Final = timezone(timedelta(hours=8), "Asia/Shanghai")  # no summer time since 1991
NAMED_DEPENDENTS: Final = 5
"""So many of those that hang on a target are named; the rest are counted."""

_PRIVATE_LABELS: Final = frozenset({"zone", "address"})
# Controls, and what turns or hides text (bidi marks and isolates, zero width, line and paragraph separators).
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)
_CLOSED_BY_US: Final = frozenset({"check_removed", "rule_removed"})
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "_days_left": (" 天", " days"),
    "_bytes": (" 字节", " bytes"),
    "_celsius": (" ℃", " °C"),
}


@dataclass(frozen=True, slots=True)
class Context:
    """The display names that go with an incident; empty where there is none.

    ``rule`` is the rule's name, ``dependents`` the names of the targets that hang on this one, ``suppressed`` how
    many incidents are not told because of it.  ``cause`` is the name of the target that ``incident.cause`` means.
    ``previous`` is the severity before a change.  ``address`` and ``zone`` never reach a public message.
    ``url`` is a page about the incident.
    """

    rule: str = ""
    kind: str = ""
    venue: str = ""
    room: str = ""
    system: str = ""
    owner: str = ""
    zone: str = ""
    address: str = ""
    dependents: tuple[str, ...] = ()
    suppressed: int = 0
    cause: str = ""
    previous: Severity | None = None
    url: str = ""


NO_CONTEXT: Final = Context()


def message(
    incident: Incident, transition: Transition, context: Context, locale: Locale, *, public: bool = False
) -> Message:
    """The message of a transition that people are told (``transition.event`` is set).

    Raises:
        ValueError: the transition is not told.
    """
    if transition.event is None:
        raise ValueError(f"transition {transition.seq} of {transition.incident} is told to nobody")
    labels = {name: value for name, value in incident.labels.items() if not (public and name in _PRIVATE_LABELS)}
    title = _title(incident, transition, context, locale)
    text = "\n".join(
        f"{label}：{value}" if locale == "zh-CN" else f"{label}: {value}"
        for label, value in _lines(incident, transition, context, locale, public=public)
    )
    return Message(
        id=f"{incident.id}-{transition.seq}",
        incident=incident.id,
        event=transition.event,
        severity=incident.severity.value,
        title=title,
        text=text,
        labels=labels,
        annotations=_annotations(incident, transition, context, title, text),
        started_at=incident.began_at,
        ended_at=incident.resolved_at,
        locale=locale,
    )


def trial_message(identity: str, at: float, locale: Locale) -> Message:
    """The message that proves that a channel works; ``identity`` is new for each round."""
    zh = locale == "zh-CN"
    return Message(
        id=f"{identity}-1",
        incident=identity,
        event=Event.TEST,
        severity=Severity.INFO.value,
        title="【测试】告警通道测试" if zh else "[Test] alert channel test",
        text=f"{'时间' if zh else 'Time'}{'：' if zh else ': '}{local_time(at)}"
        + ("\n收到本消息说明该通道正常，无需处理。" if zh else "\nThe channel works; nothing has to be done."),
        labels={"alertname": "test"},
        annotations={"summary": "告警通道测试" if zh else "alert channel test"},
        started_at=at,
        ended_at=None,
        locale=locale,
    )


def one_line(text: str, limit: int = 200) -> str:
    """Foreign text as one harmless line: no control, no bidi mark, at most ``limit`` characters."""
    cleaned = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def local_time(at: float) -> str:
    """A moment as a person in Beijing reads it, from UTC epoch seconds."""
    return datetime.fromtimestamp(at, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float, locale: Locale) -> str:
    """A length of time in its two largest units; never negative."""
    left = max(0, round(seconds))
    units = (("天", "d", 86_400), ("小时", "h", 3600), ("分", "min", 60), ("秒", "s", 1))
    parts: list[str] = []
    for zh, en, size in units:
        count, left = divmod(left, size)
        if count or (size == 1 and not parts):
            parts.append(f"{count} {zh if locale == 'zh-CN' else en}")
        elif parts:
            break
    return " ".join(parts[:2])


def figure(value: str, number: float, locale: Locale) -> str:
    """A measured number with the unit that its name ends in."""
    name = value.partition(":")[0] if not value.startswith("stage:") else "stage_seconds"
    zh = locale == "zh-CN"
    if name.endswith("_ratio") or name in {"availability", "conference_rate"}:
        return f"{number * 100:.4g} %"
    if name.endswith("_seconds") or name in {"took", "retrieval"}:
        return duration(number, locale) if number >= 60 else f"{number:.3g} {'秒' if zh else 's'}"
    for suffix, units in _UNITS.items():
        if name.endswith(suffix):
            return f"{number:.4g}{units[0] if zh else units[1]}"
    return f"{number:.6g}"


def value_name(value: str, locale: Locale) -> str:
    """What a rule's ``value`` is called: a declared value, ``name:item``, ``took``, or ``stage:<name>``."""
    name, _, item = value.partition(":")
    if name == "stage":
        return f"{word(STAGES, item, locale)}{'用时' if locale == 'zh-CN' else ', duration'}"
    return word(VALUES, name, locale) + (f" {one_line(item, 60)}" if item else "")


def _title(incident: Incident, transition: Transition, context: Context, locale: Locale) -> str:
    zh = locale == "zh-CN"
    head = _head(incident, transition, context, locale)
    what = one_line(incident.title, 80) or incident.subject
    where = next((place for place in (context.room, context.venue, context.system) if place and place != what), "")
    if transition.event is Event.RESOLVED:
        lasted = duration((incident.resolved_at or transition.at) - incident.began_at, locale)
        tail = f"，历时 {lasted}" if zh else f", after {lasted}"
    else:
        trouble = _trouble(incident, transition.verdict or incident.verdict, context, locale)
        tail = (f"：{trouble}" if zh else f": {trouble}") if trouble else ""
    place = (f"（{one_line(where, 60)}）" if zh else f" ({one_line(where, 60)})") if where else ""
    return f"【{head}】{what}{place}{tail}" if zh else f"[{head}] {what}{place}{tail}"


def _head(incident: Incident, transition: Transition, context: Context, locale: Locale) -> str:
    zh = locale == "zh-CN"
    severity = word(SEVERITIES, incident.severity, locale)
    if transition.event is Event.RESOLVED:
        if transition.reason in _CLOSED_BY_US:  # nobody has seen it work again
            return "关闭" if zh else "Closed"
        return word(EVENTS, Event.RESOLVED, locale)
    if transition.event is Event.CHANGED:
        if context.previous is None or context.previous is incident.severity:
            return f"{word(EVENTS, Event.CHANGED, locale)}·{severity}" if zh else f"Severity now {severity}"
        worse = incident.severity.rank > context.previous.rank
        if zh:
            return f"{'升级' if worse else '降级'}为{severity}"
        return f"{'Escalated' if worse else 'Lowered'} to {severity}"
    return f"{severity}{word(EVENTS, Event.OPENED, locale)}" if zh else f"{severity.capitalize()} fault"


def _trouble(incident: Incident, verdict: Verdict | None, context: Context, locale: Locale) -> str:
    if verdict is None:
        return one_line(context.rule or incident.rule, 80)
    if verdict.code:
        stage, code = word(STAGES, verdict.stage, locale), word(CODES, verdict.code, locale)
        return f"{stage}，{code}" if locale == "zh-CN" else f"{stage}: {code}"
    return _figures(verdict, locale) or one_line(context.rule or incident.rule, 80)


def _figures(verdict: Verdict, locale: Locale) -> str:
    if verdict.observed is None:
        return ""
    shown = f"{value_name(verdict.value, locale)} {figure(verdict.value, verdict.observed, locale)}"
    if verdict.usual is not None:
        low, high = (figure(verdict.value, border, locale) for border in _range(verdict.value, *verdict.usual))
        return (
            f"{shown}（该时段通常 {low} 至 {high}）" if locale == "zh-CN" else f"{shown} (usual then: {low} to {high})"
        )
    if verdict.limit is None:
        return shown
    limit = figure(verdict.value, verdict.limit, locale)
    return f"{shown}（限值 {limit}）" if locale == "zh-CN" else f"{shown} (limit {limit})"


def _range(value: str, low: float, high: float) -> tuple[float, float]:
    # A share is never less than nothing, whatever the arithmetic says.
    return (max(0.0, low), high) if value.partition(":")[0].endswith("_ratio") else (low, high)


def _lines(
    incident: Incident, transition: Transition, context: Context, locale: Locale, *, public: bool
) -> Iterator[tuple[str, str]]:
    zh = locale == "zh-CN"
    yield ("对象" if zh else "What"), _subject(incident, context, locale, public=public)
    where = " / ".join(one_line(place, 60) for place in dict.fromkeys((context.venue, context.room)) if place)
    if where:
        yield ("位置" if zh else "Where"), where
    if context.system:
        owner = f"（责任单位：{context.owner}）" if zh else f" (owner: {context.owner})"
        yield ("系统" if zh else "System"), one_line(context.system + (owner if context.owner else ""))
    if context.zone and not public:
        yield ("网络" if zh else "Network"), one_line(context.zone, 60)
    if context.rule:
        yield ("规则" if zh else "Rule"), one_line(context.rule, 80)
    yield ("级别" if zh else "Severity"), word(SEVERITIES, incident.severity, locale)
    yield from _times(incident, locale)
    yield from _findings(transition.verdict or incident.verdict, locale, public=public)
    yield from _consequences(transition, context, locale)
    if context.url and not public:
        yield ("详情页" if zh else "Page"), context.url
    yield ("编号" if zh else "Id"), incident.id


def _subject(incident: Incident, context: Context, locale: Locale, *, public: bool) -> str:
    about = [word(KINDS, context.kind, locale), incident.subject] if context.kind else [incident.subject]
    if context.address and not public:
        about.append(context.address)
    joined = ("，" if locale == "zh-CN" else ", ").join(about)
    name = one_line(incident.title, 80)
    return f"{name}（{joined}）" if locale == "zh-CN" else f"{name} ({joined})"


def _times(incident: Incident, locale: Locale) -> Iterator[tuple[str, str]]:
    zh = locale == "zh-CN"
    yield ("开始" if zh else "Since"), local_time(incident.began_at) + ("" if zh else " (Beijing time)")
    if incident.resolved_at is not None:
        yield ("结束" if zh else "Until"), local_time(incident.resolved_at) + ("" if zh else " (Beijing time)")
        yield ("历时" if zh else "Lasted"), duration(incident.resolved_at - incident.began_at, locale)


def _findings(verdict: Verdict | None, locale: Locale, *, public: bool) -> Iterator[tuple[str, str]]:
    if verdict is None:
        return
    zh = locale == "zh-CN"
    if verdict.code:
        yield ("阶段" if zh else "Stage"), f"{word(STAGES, verdict.stage, locale)} [{verdict.stage}]"
        yield ("原因" if zh else "Cause"), f"{word(CODES, verdict.code, locale)} [{verdict.code}]"
    figures = _figures(verdict, locale)
    if figures:
        yield ("数值" if zh else "Figure"), figures
    if verdict.detail and not public:
        yield ("细节" if zh else "Detail"), one_line(verdict.detail)


def _consequences(transition: Transition, context: Context, locale: Locale) -> Iterator[tuple[str, str]]:
    zh = locale == "zh-CN"
    dependents = context.dependents
    if dependents and transition.event is not Event.RESOLVED:
        named = ("、" if zh else ", ").join(one_line(name, 40) for name in dependents[:NAMED_DEPENDENTS])
        if len(dependents) > NAMED_DEPENDENTS:
            named += " 等" if zh else " …"
        yield (
            ("影响" if zh else "Affects"),
            (f"下联 {len(dependents)} 个对象：{named}" if zh else f"{len(dependents)} that hang on it: {named}"),
        )
    if context.suppressed and transition.event is not Event.RESOLVED:
        yield (
            ("抑制" if zh else "Suppressed"),
            (
                f"另有 {context.suppressed} 条由此引起的故障不再单独通知"
                if zh
                else f"{context.suppressed} more faults follow from it and are not told one by one"
            ),
        )
    if transition.reason not in {"confirmed", "recovered", "severity_changed"}:
        because = f"（{one_line(context.cause, 60)}）" if zh else f" ({one_line(context.cause, 60)})"
        yield ("说明" if zh else "Note"), word(REASONS, transition.reason, locale) + (because if context.cause else "")


def _annotations(
    incident: Incident, transition: Transition, context: Context, title: str, text: str
) -> Mapping[str, str]:
    """For machines that read the message; every value is text, and none is there twice under another name."""
    verdict = transition.verdict or incident.verdict
    found = {
        "summary": title,
        "description": text,
        "severity": incident.severity.value,
        "reason": transition.reason,
        "since": datetime.fromtimestamp(incident.began_at, BEIJING).isoformat(timespec="seconds"),
    }
    if verdict is not None and verdict.code:
        found |= {"stage": verdict.stage, "code": verdict.code}
    if verdict is not None and verdict.observed is not None:
        found |= {"value": verdict.value, "observed": f"{verdict.observed:.6g}"}
    if verdict is not None and verdict.limit is not None:
        found["limit"] = f"{verdict.limit:.6g}"
    if verdict is not None and verdict.usual is not None:
        low, high = _range(verdict.value, *verdict.usual)
        found |= {"usual_low": f"{low:.6g}", "usual_high": f"{high:.6g}"}
    if context.dependents:
        found["dependents"] = str(len(context.dependents))
    if context.suppressed:
        found["suppressed"] = str(context.suppressed)
    return found
