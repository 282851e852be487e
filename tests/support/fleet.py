"""A fleet as large as the shipped one, made without a file, and a snapshot of it in any state.

For tests of what is shown: the wall page, the API and the exposition.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import Field, SecretStr

from sentinel.config.configuration import Configuration, DaemonSettings, Limits, Place, Retention, Zone
from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.conference import Conference
from sentinel.domain.evidence import Evidence
from sentinel.domain.failure import Failure
from sentinel.domain.incident import Incident, Level, State, Telling, Transition, Verdict
from sentinel.domain.notice import Event, Message, Notice, NoticeStatus
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Availability, ConferenceRate, Down, RetrievalLimit, Rule, Selector, Severity
from sentinel.domain.target import Check, Target
from sentinel.engine.ports import History
from sentinel.engine.scheduler import LATENESS_BUCKETS
from sentinel.engine.snapshot import CheckView, SlaFigure, Snapshot
from sentinel.sdk.protocol import Options, Protocol, Run, Value

NOW = 1_793_000_000.0
"""2026-10-26 in Beijing: any moment will do."""


class FleetOptions(Options):
    """Options of the fleet's one protocol."""

    port: int = Field(80, description="Port.")
    password: SecretStr = Field(SecretStr("hunter2-hunter2"), description="A secret that must not be seen anywhere.")


async def _probe(target: Target, options: FleetOptions, run: Run) -> None:
    raise AssertionError


PROTOCOLS: Mapping[str, Protocol] = {
    name: Protocol(
        name,
        FleetOptions,
        _probe,
        values=(
            Value("rtt_seconds", "s", 'Round trip; a "quoted" word, a \\ and\na line.'),
            Value("loss_ratio", "ratio", "Echo requests without a reply."),
            Value("in_octets_total", "bytes", "Octets received.", items=True),
        ),
    )
    for name in ("icmp", "http", "rtsp", "snmp", "tcp")
}

_VENUES = (
    ("command-centre", "应急指挥中心及相关指挥室", 16),
    ("room-209", "209会议室", 1),
    ("room-305", "305会议室", 1),
    ("room-335", "335会议室", 1),
    ("room-520", "520会议室", 1),
    ("room-637", "637会议室", 1),
    ("room-715", "715会议室", 1),
    ("work-safety", "安全生产视频会议系统", 17),
    ("emergency", "应急视频会议系统", 6),
    ("liuliqiao", "六里桥办公区", 1),
    ("huixinli", "惠新里办公区", 1),
    ("forest-fire", "森防总队办公区", 2),
)
_ROOMS = (
    ("hall", "应急指挥大厅", 60),
    ("duty-area", "值守区", 16),
    ("command-room-1", "1号指挥室", 6),
    ("command-room-2", "2号指挥室", 4),
    ("command-room-3", "3号指挥室", 5),
    ("command-room-4", "4号指挥室", 6),
    ("command-room-5", "5号指挥室", 3),
    ("meeting-room-335", "335会议室", 3),
)
_IMAGE_NAMES = ("市消防局图像系统", "市住建委图像系统", "市文旅局图像系统")
_BUSINESS_NAMES = ("市交通委业务系统", "市公园管理中心业务系统")
_AV = (("control", "中控主机"), ("matrix", "矩阵"), ("mixer", "调音台"), ("display", "显示屏"), ("amplifier", "功放"))


def configuration(*, token: str | None = None, locale: str = "zh-CN", directory: Path = Path()) -> Configuration:
    """The whole fleet: 12 venues, 103 terminals, 59 systems, control and AV of each room, switches."""
    rooms = {room: Place(room, name, "room", "") for room, name, _ in _ROOMS}
    systems = {
        "police-image": Place("police-image", "公安高清图像平台", "platform", "占位"),
        "surveillance": Place("surveillance", "应急管理视频监控系统", "platform", "占位"),
    }
    for n in range(1, 13):
        name = _IMAGE_NAMES[n - 1] if n <= 3 else f"其他图像系统{n:02}(占位)"
        systems[f"image-{n:02}"] = Place(f"image-{n:02}", name, "image", "占位", placeholder=n > 3)
    for n in range(1, 46):
        name = _BUSINESS_NAMES[n - 1] if n <= 2 else f"业务系统{n:02}(占位)"
        systems[f"business-{n:02}"] = Place(f"business-{n:02}", name, "business", "占位", placeholder=n > 2)
    targets = {target.id: target for target in _targets(systems)}
    checks = {check.id: check for target in targets.values() for check in _checks(target)}
    return Configuration(
        targets=targets,
        checks=checks,
        zones={
            "internal": Zone("internal", "内网", "centre"),
            "external": Zone("external", "外网", "centre"),
            "police-image": Zone("police-image", "公安图像网", "centre"),
            "unassigned": Zone("unassigned", "未分配", None),
        },
        venues={venue: Place(venue, name, "venue", "") for venue, name, _ in _VENUES},
        rooms=rooms,
        systems=systems,
        rules=(
            Rule("down", "无应答", Selector(), Down(), Severity.MAJOR),
            Rule("retrieval", "图像调取", Selector(), RetrievalLimit(), Severity.CRITICAL, contractual=True),
            Rule("availability", "7x24可用率", Selector(), Availability(0.999), Severity.WARNING),
            Rule("conferences", "会议事故率", Selector(), ConferenceRate(), Severity.CRITICAL, contractual=True),
        ),
        conferences=(Conference("c1", "例会", ("room-335",), NOW - 600, NOW + 3000),),
        channels={},
        routes=(),
        daemon=DaemonSettings(
            vantage="centre",
            host="127.0.0.1",
            port=0,
            tls_cert=None,
            tls_key=None,
            token=SecretStr(token) if token else None,
            external_url="",
            locale="en" if locale == "en" else "zh-CN",
            store=directory / "store.db",
            socket=directory / "control.sock",
            limits=Limits(),
            retention=Retention(),
            site_protocols=False,
        ),
        fingerprints={check: f"{n:08x}" for n, check in enumerate(checks)} | {"down": "feedbeef"},
    )


def _targets(systems: Mapping[str, Place]) -> Iterable[Target]:
    yield Target("core-switch", "核心交换机", "198.18.0.1", "switch", "internal")
    for room, name, _ in _ROOMS:
        yield Target(
            f"{room}-switch", f"{name}接入交换机", "198.18.0.2", "switch", "internal", parents=("core-switch",)
        )
    for venue, name, count in _VENUES:
        for n in range(1, count + 1):
            yield Target(
                f"{venue}-set-{n:02}", f"{name}终端{n:02}", "198.18.2.1", "conference-terminal", "internal", venue=venue
            )
    for room, name, count in _ROOMS:
        for n in range(1, count + 1):
            zone = ("internal", "external")[n % 2] if room != "hall" else ("internal" if n <= 50 else "unassigned")
            yield Target(
                f"{room}-{n:02}",
                f"{name}终端{n:02}",
                f"198.18.1.{n}",
                "terminal",
                zone,
                room=room,
                parents=(f"{room}-switch",),
            )
        for kind, title in _AV:
            yield Target(
                f"{room}-{kind}",
                f"{name}{title}",
                "198.18.3.1",
                kind,
                "internal",
                room=room,
                parents=(f"{room}-switch",),
            )
    for system in systems.values():
        zone = "police-image" if system.kind != "business" else "external"
        yield Target(f"{system.id}-web", system.name, "198.18.4.1", "server", zone, system=system.id)
        if system.kind != "business":
            for n in range(1, 4):
                yield Target(
                    f"{system.id}-camera-{n}", f"{system.name}摄像机{n}", "198.18.5.1", "camera", zone, system=system.id
                )


def _checks(target: Target) -> Iterable[Check]:
    vantage = None if target.zone == "unassigned" else "centre"
    names = {"switch": ("snmp", "icmp"), "camera": ("rtsp",), "server": ("http",)}.get(target.kind, ("tcp",))
    for name in names:
        yield Check(
            f"{target.id}.{name}",
            name,
            target,
            f"{name}-probe",
            name,
            FleetOptions(),
            10.0,
            3.0,
            vantage,
            name == "tcp",
            retrieves_picture=name == "rtsp",
        )


def observation(check: Check, *, failure: Failure | None = None, took: float = 0.0123) -> Observation:
    """A result of a check, good unless a failure is given; a local failure is UNKNOWN."""
    outcome = Outcome.OK if failure is None else (Outcome.UNKNOWN if failure.local else Outcome.FAILED)
    values = {"rtt_seconds": took, "loss_ratio": 0.0} if outcome is Outcome.OK else {}
    if check.protocol == "snmp" and outcome is Outcome.OK:
        values |= {"in_octets_total:ge-0/0/1": 12345.0, 'in_octets_total:a"b\\c\nd': 1.0}
    return Observation(
        check.id, NOW, NOW, took, "centre", outcome, failure, {"connect": took / 3, "exchange": took / 2}, values
    )


def view(check: Check, state: str = "up", failure: Failure | None = None) -> CheckView:
    """A check as it stands: with the result that fits its state."""
    shown = CheckView(check, state, NOW - 3600.0)
    if state in {"pending", "unobserved"}:
        return shown
    if state in {"down", "failing"}:
        failure = failure or Failure("connect", "timed_out", "no answer")
    if state == "unknown":
        failure = failure or Failure("prepare", "no_privilege")
    shown.observation = observation(check, failure=failure)
    shown.counts[Outcome.OK] = 100
    if failure:
        shown.counts[shown.observation.outcome] += 1
        shown.failures[failure.stage, failure.code] += 3
    return shown


def snapshot(config: Configuration, states: Mapping[str, str] | None = None) -> Snapshot:
    """Everything is up but what has no vantage, and the checks whose state is given."""
    states = states or {}
    shown = Snapshot()
    for check in config.checks.values():
        shown.checks[check.id] = view(check, states.get(check.id, "up" if check.vantage else "unobserved"))
    shown.sla = figures()
    return shown


def figures(*, breaches: int = 0, incidents: int = 0) -> Sequence[SlaFigure]:
    """The promises, kept unless breaches or conference incidents are given."""
    return (
        SlaFigure(
            "retrieval",
            "图像调取",
            "retrieval",
            "estate",
            214.0 if breaches == 0 else 412.0,
            300.0,
            "seconds",
            breaches == 0,
            contractual=True,
            counts={"retrievals": 86, "open": 0, "breaches": breaches, "last_seconds": 1.84, "mean_seconds": 3.2},
        ),
        SlaFigure(
            "conferences",
            "会议事故率",
            "conference_rate",
            "estate",
            incidents / 23,
            0.05,
            "ratio",
            incidents <= 1,
            contractual=True,
            counts={"conferences": 23, "planned": 31, "incidents": incidents, "allowed": 1, "left": 1 - incidents},
        ),
        SlaFigure(
            "availability",
            "7x24可用率",
            "availability",
            "estate",
            0.99962,
            0.999,
            "ratio",
            kept=True,
            contractual=False,
            counts={"up_seconds": 2.59e6, "down_seconds": 984, "unknown_seconds": 60, "unobserved_seconds": 0},
        ),
    )


def incident(
    check: Check,
    *,
    severity: Severity = Severity.MAJOR,
    telling: Telling = Telling.TOLD,
    age: float = 600.0,
    cause: str = "",
) -> Incident:
    """An open incident of the rule ``down`` about a check."""
    verdict = Verdict(Level.FIRING, severity, NOW - age, NOW - age - 20, "connect", "timed_out", "no answer")
    return Incident(
        id=f"i-{check.id}".replace(".", "-"),
        key=f"down/{check.id}",
        rule="down",
        subject=check.id,
        target=check.target.id,
        title=check.target.name,
        labels={"alertname": "down", "check": check.id, "target": check.target.id},
        severity=severity,
        state=State.OPEN,
        telling=telling,
        began_at=NOW - age - 20,
        opened_at=NOW - age,
        verdict=verdict,
        cause=cause,
        version=1,
    )


def ended(one: Incident) -> Incident:
    """The same incident, resolved a moment ago."""
    return replace(one, state=State.RESOLVED, resolved_at=NOW - 5.0, version=one.version + 1)


def history(one: Incident) -> History:
    """An incident with its opening, and one notice that was accepted and one that was not."""
    message = Message(
        f"{one.id}-1", one.id, Event.OPENED, one.severity, one.title, "", one.labels, {}, one.began_at, None
    )
    suppressed = one.telling is Telling.SUPPRESSED
    transition = Transition(
        one.id,
        1,
        one.opened_at,
        "",
        one.telling,
        one.severity,
        "parent_down" if suppressed else "confirmed",
        None if suppressed else Event.OPENED,
        one.cause,
        verdict=one.verdict,
    )
    notices = (
        ()
        if suppressed
        else (
            Notice(one.id, 1, "desk", message, one.opened_at, NoticeStatus.SENT, 1, settled_at=one.opened_at + 1),
            Notice(one.id, 1, "pager", message, one.opened_at, NoticeStatus.QUEUED, 3, one.opened_at + 60, "HTTP 500"),
        )
    )
    return History(one, (transition,), notices)


@dataclass(slots=True)
class FixedClock:
    """A clock that the test sets."""

    time: float = NOW
    steady: float = 1000.0

    def now(self) -> float:
        """UTC epoch seconds."""
        return self.time

    def monotonic(self) -> float:
        """Seconds."""
        return self.steady


@dataclass(slots=True)
class Timing:
    """What a scheduler counts."""

    lateness_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENESS_BUCKETS) + 1))
    lateness_sum: float = 0.0
    started: int = 0
    missed: int = 0

    def start(self, lateness: float) -> None:
        """A check was started so late, in seconds."""
        self.lateness_counts[bisect_left(LATENESS_BUCKETS, lateness)] += 1
        self.lateness_sum += lateness
        self.started += 1


@dataclass(slots=True)
class Histories:
    """The part of a store that the web reads, in memory."""

    kept: dict[str, History] = field(default_factory=dict)
    evidence: dict[tuple[str, int], Evidence] = field(default_factory=dict)
    undelivered_by_channel: dict[str, int] = field(default_factory=dict)
    failing: str | None = None

    async def incidents(self, *, open_only: bool = False, since: float = 0.0, limit: int = 500) -> Sequence[Incident]:
        """Newest first."""
        found = [one.incident for one in self.kept.values() if one.incident.opened_at >= since]
        if open_only:
            found = [one for one in found if one.state is State.OPEN]
        return sorted(found, key=lambda one: -one.opened_at)[:limit]

    async def history(self, incident: str) -> History | None:
        """One incident's."""
        return self.kept.get(incident)

    async def exhibit(self, incident: str, number: int) -> Evidence | None:
        """One piece."""
        return self.evidence.get((incident, number))

    async def usual(self, check: str, since: float, until: float) -> CheckBaseline:
        """Nothing was learned of it."""
        del check, since, until
        return {}

    async def undelivered(self) -> Mapping[str, int]:
        """By channel."""
        return self.undelivered_by_channel
