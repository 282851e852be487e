"""What the API answers, as pydantic models: they write the answers and the OpenAPI document alike.

Times are UTC epoch seconds, spans are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CheckState = Literal["up", "down", "failing", "unknown", "pending", "unobserved"]
Severity = Literal["info", "warning", "major", "critical"]
Time = Annotated[float, Field(description="UTC epoch seconds.")]


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid")


class Ready(Answer):
    """Whether the daemon does its work."""

    status: Literal["ready", "not_ready"]
    reasons: list[str] = Field(description="Why not; empty for who bears no token.")


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class TargetItem(Answer):
    """One thing with an address."""

    id: str
    name: str
    address: str
    kind: str
    zone: str
    venue: str | None
    room: str | None
    system: str | None
    parents: list[str] = Field(description="Ids of the targets that it hangs on; any one of them is way enough.")
    placeholder: bool = Field(description="It exists, but its real name is not known yet.")


class FailureItem(Answer):
    """How far a probe came, and what stopped it."""

    stage: str
    code: str
    detail: str


class ResultItem(Answer):
    """One probe's result."""

    at: Time = Field(description="Start of the probe, UTC epoch seconds.")
    took: float = Field(description="Seconds.")
    outcome: Literal["ok", "failed", "unknown"]
    failure: FailureItem | None
    stages: dict[str, float] = Field(description="Seconds by stage.")
    values: dict[str, float] = Field(description="Measured values by name, or `name:item`.")
    facts: dict[str, str] = Field(description="Short texts that are shown and never judged.")


class CheckItem(Answer):
    """One check as it stands."""

    id: str
    name: str
    target: TargetItem
    probe: str
    protocol: str
    interval: float = Field(description="Seconds.")
    timeout: float = Field(description="Seconds.")
    vantage: str | None
    required: bool = Field(description="A conference in the target's venue needs it.")
    state: CheckState
    since: Time = Field(description="Start of the state, UTC epoch seconds; 0 before the first result.")
    result: ResultItem | None = Field(description="The last result.")


class FailureCount(Answer):
    """How often a check failed in one way since the daemon started."""

    stage: str
    code: str
    count: int


class VerdictItem(Answer):
    """A rule's judgement."""

    level: Literal["ok", "pending", "firing", "unknown"]
    severity: Severity
    at: Time
    since: Time
    stage: str
    code: str
    detail: str
    value: str
    observed: float | None
    limit: float | None
    usual: tuple[float, float] | None = Field(
        description="Lowest and highest figure that is usual at that hour, of a rule that compares with a baseline."
    )


class IncidentItem(Answer):
    """One open or ended fault."""

    id: str
    key: str
    rule: str
    subject: str
    target: str
    title: str
    labels: dict[str, str]
    severity: Severity
    state: Literal["open", "resolved"]
    telling: Literal["held", "told", "suppressed"]
    cause: str = Field(description="The target that it hangs on and that is down or being asked; empty without one.")
    began_at: Time = Field(description="First failure, UTC epoch seconds.")
    opened_at: Time = Field(description="Confirmation, UTC epoch seconds.")
    resolved_at: float | None
    channels: list[str] = Field(description="Who was told of it, and will be told of its end.")
    version: int
    verdict: VerdictItem | None


class CheckDetail(CheckItem):
    """One check with its options and what it has seen."""

    options: dict[str, Any] = Field(description="As configured; secrets are stars.")
    counts: dict[str, int] = Field(description="Results since the daemon started, by outcome.")
    failures: list[FailureCount]
    incidents: list[IncidentItem] = Field(description="Open ones, and those that ended within the hour.")
    fingerprint: str = Field(description="Changes when the check's configuration does.")


class CheckPage(Answer):
    """Some checks, in the order of the inventory."""

    items: list[CheckItem]
    total: int = Field(description="Checks that the filters match.")
    limit: int
    offset: int


class IncidentPage(Answer):
    """Some incidents, the newest first."""

    items: list[IncidentItem]
    limit: int


class TransitionItem(Answer):
    """One change of an incident."""

    seq: int
    at: Time
    old: str
    new: str
    severity: Severity
    reason: str = Field(description="One word of a closed list.")
    meaning: str = Field(description="The reason in a sentence.")
    event: Literal["opened", "changed", "resolved", "test"] | None = Field(
        description="What people are told; null: nothing."
    )
    cause: str
    actor: str
    verdict: VerdictItem | None


class NoticeItem(Answer):
    """One message to one channel."""

    id: str = Field(description="The same on every attempt, so that a receiver can drop a duplicate.")
    seq: int = Field(description="The transition that it tells of.")
    channel: str
    event: Literal["opened", "changed", "resolved", "test"]
    status: Literal["queued", "sent", "undelivered"]
    attempts: int
    created_at: Time
    next_at: Time
    settled_at: float | None
    error: str


class SilenceItem(Answer):
    """Why nobody was told of a change."""

    seq: int
    at: Time
    reason: str
    meaning: str
    cause: str


class ExhibitItem(Answer):
    """A piece of evidence."""

    number: int = Field(description="Counts from 1; pieces that were pruned leave gaps.")
    at: Time
    kind: str = Field(description="One word of a closed list.")
    meaning: str = Field(description="The kind in a few words.")
    media_type: str
    size: int = Field(description="Bytes.")
    url: str = Field(description="Where it is, on this server.")


class ExhibitPage(Answer):
    """What is kept of an incident, in the order in which it came."""

    items: list[ExhibitItem]


class IncidentHistory(Answer):
    """Why it opened, who was told, and where nobody was told, why."""

    incident: IncidentItem
    transitions: list[TransitionItem]
    notices: list[NoticeItem]
    silences: list[SilenceItem]
    evidence: list[ExhibitItem] = Field(description="What is kept of what was seen.")


class SlaItem(Answer):
    """A promise as it stands."""

    rule: str
    name: str
    kind: str
    subject: str = Field(description="A check id, or `estate`.")
    observed: float | None
    limit: float
    unit: str
    kept: bool
    contractual: bool = Field(description="The contract names the figure; otherwise it is the centre's own.")
    counts: dict[str, float]


class SlaPage(Answer):
    """All promises."""

    items: list[SlaItem]


class UsualItem(Answer):
    """What is usual at one hour of the day."""

    hour: int = Field(description="Hour of the day in Asia/Shanghai, 0 to 23.")
    centre: float = Field(description="The usual value.")
    spread: float = Field(description="How far it strays: a standard deviation.")
    samples: int = Field(description="Good results that it was learned from.")
    days: int = Field(description="Days that they are from.")


class BaselineItem(Answer):
    """What is usual of one check."""

    check: str
    values: dict[str, list[UsualItem]] = Field(
        description="By value, or `name:item`; empty where nothing was measured yet."
    )


class BaselinePage(Answer):
    """What is usual of some checks, in the order of the inventory."""

    items: list[BaselineItem]
    since: Time = Field(description="Beginning of what was learned from, UTC epoch seconds.")
    until: Time
    total: int = Field(description="Checks that values are kept of and that the filters match.")
    limit: int
    offset: int


class ConfigItem(Answer):
    """What is in force: two that have the same fingerprint are configured alike."""

    checks: dict[str, str] = Field(description="Fingerprint by check id.")
    rules: dict[str, str] = Field(description="Fingerprint by rule id.")
    generation: int = Field(description="Counts the reloads.")


class StatusItem(Answer):
    """The daemon at a glance."""

    version: str
    now: Time
    ready: bool
    reasons: list[str]
    generation: int
    checks: dict[CheckState, int] = Field(description="Checks by state.")
    incidents: dict[Severity, int] = Field(description="Open incidents by severity.")
    suppressed: int = Field(description="Open incidents that are not told since what they hang on is down.")
    undelivered: dict[str, int] = Field(description="Notices that were given up, by channel.")


class Reloaded(Answer):
    """The new configuration is in force."""

    generation: int


class ProblemItem(Answer):
    """Where a configuration is wrong."""

    file: str
    line: int
    column: int
    message: str


class Refused(Answer):
    """An error, as RFC 9457 (problem details) has it."""

    title: str
    status: int
    detail: str
    problems: list[ProblemItem] = Field(default_factory=list, description="Of a configuration that was refused.")
