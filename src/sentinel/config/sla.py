"""``sla.yaml``: what is promised, of what, and how bad it is where it does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from sentinel.config.document import Node
from sentinel.config.fleet import Fleet
from sentinel.config.inventory import Section, Text
from sentinel.config.problems import Position, Problems, did_you_mean
from sentinel.config.quantities import Duration, Percent, Quantity, Slug
from sentinel.config.validate import salvage
from sentinel.domain.failure import STAGES
from sentinel.domain.rule import (
    Availability,
    ConferenceRate,
    Down,
    Predicate,
    RetrievalLimit,
    Rule,
    Selector,
    Severity,
    Threshold,
)
from sentinel.domain.target import Check


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
]
"""One shell pattern or several."""


class SelectorEntry(Section):
    """Which checks: every field that is given must match, within a field one pattern is enough (`hall-*`)."""

    check: Patterns = Field(default=(), description="Ids of checks, `<target>.<check name>`.")
    target: Patterns = Field(default=(), description="Ids of targets.")
    kind: Patterns = Field(default=(), description="Kinds of targets.")
    probe: Patterns = Field(default=(), description="Names of probes.")
    protocol: Patterns = Field(default=(), description="Names of protocols.")
    zone: Patterns = Field(default=(), description="Ids of zones.")
    venue: Patterns = Field(default=(), description="Ids of venues.")
    room: Patterns = Field(default=(), description="Ids of rooms.")
    system: Patterns = Field(default=(), description="Ids of systems.")
    labels: dict[str, str] = Field(default_factory=dict, description="Patterns of labels by name.")

    def selector(self) -> Selector:
        """The domain's."""
        return Selector(**{name: getattr(self, name) for name in type(self).model_fields})


class DownEntry(Section):
    """The check failed `failures` times among its last `of` results."""

    failures: int = Field(default=2, ge=1, le=100, description="How many of the last results failed.")
    of: int = Field(default=3, ge=1, le=100, description="Out of how many.")
    recover: int = Field(default=1, ge=1, le=100, description="Good results in a row that end it.")

    @model_validator(mode="after")
    def _possible(self) -> DownEntry:
        _m_of_n(self.failures, self.of)
        return self


class LimitEntry(Section):
    """One more limit, with a severity of its own."""

    limit: Quantity = Field(description="The limit.")
    severity: Severity = Field(description="The severity beyond it.")


class ThresholdEntry(Section):
    """A measured value is beyond a limit."""

    value: str = Field(description="A value of the protocol, `took` (the whole probe) or `stage:<name>`.")
    above: Quantity | None = Field(default=None, description="Broken where the value is above this.")
    below: Quantity | None = Field(default=None, description="Broken where the value is below this.")
    deviates: float | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=(
            "Broken where the value is more than so many spreads, up or down, from what baselines.yaml has as usual at "
            "that hour. `clear` and `severity_at` are then spreads as well. Without a baseline nothing is said."
        ),
    )
    floor: Quantity | None = Field(
        default=None,
        gt=0,
        description="With `deviates`: a smaller spread counts as this, so that what hardly ever changes may.",
    )
    clear: Quantity | None = Field(default=None, description="Over only when back beyond this. Default: the limit.")
    failures: int = Field(default=1, ge=1, le=100, description="How many of the last results are beyond it.")
    of: int = Field(default=1, ge=1, le=100, description="Out of how many.")
    severity_at: tuple[LimitEntry, ...] = Field(default=(), description="Further limits; the worst that holds counts.")

    @model_validator(mode="after")
    def _possible(self) -> ThresholdEntry:
        limits = [limit for limit in (self.above, self.below, self.deviates) if limit is not None]
        if len(limits) != 1:
            raise ValueError("exactly one of `above`, `below` and `deviates` is needed")
        if (self.floor is None) != (self.deviates is None):
            raise ValueError("`deviates` needs a `floor`, and nothing else has one")
        _m_of_n(self.failures, self.of)
        sign = -1.0 if self.below is not None else 1.0
        first = limits[0]
        if self.clear is not None and sign * self.clear > sign * first:
            raise ValueError("`clear` lies on the broken side of the limit")
        if any(sign * entry.limit < sign * first for entry in self.severity_at):
            raise ValueError("a limit of `severity_at` lies on the good side of the first limit")
        return self


class WarningEntry(Section):
    """A warning before the limit."""

    at: Percent = Field(description="Share of the limit that has passed.")
    severity: Severity = Field(description="The severity from then on.")


class RetrievalEntry(Section):
    """A picture is shown within a time from the first attempt."""

    limit: Duration = Field(default=300.0, ge=10.0, description="The longest time; at least 10 s.")
    warnings: tuple[WarningEntry, ...] = Field(
        default=(
            WarningEntry.model_validate({"at": "60%", "severity": "warning"}),
            WarningEntry.model_validate({"at": "80%", "severity": "major"}),
        ),
        description="Warnings before it, rising.",
        json_schema_extra={"default": [{"at": "60%", "severity": "warning"}, {"at": "80%", "severity": "major"}]},
    )

    @model_validator(mode="after")
    def _possible(self) -> RetrievalEntry:
        shares = [entry.at for entry in self.warnings]
        if shares != sorted(set(shares)):
            raise ValueError("the warnings must rise")
        return self


class AvailabilityEntry(Section):
    """Of the observed time in a window, at least a share was up."""

    at_least: Percent = Field(description="The least share.")
    window: Duration = Field(default=30 * 86_400.0, ge=3600, le=730 * 86_400, description="The window, up to now.")


class ConferenceRateEntry(Section):
    """At most a share of a month's conferences had an incident."""

    at_most: Percent = Field(default=0.05, description="The largest share.")
    tolerance: Duration = Field(
        default=60.0, ge=0, le=86_400, description="A fault on a required check counts where it lasts longer than this."
    )


_KINDS = ("down", "threshold", "retrieval", "availability", "conference_rate")


class RuleEntry(Section):
    """One promise or alarm: exactly one of the five kinds."""

    id: Slug = Field(description="Id.")
    name: Text = Field(description="Name on screens and in messages.")
    select: SelectorEntry = Field(default_factory=SelectorEntry, description="The checks that it is for. Default: all.")
    severity: Severity = Field(description="How bad it is.")
    retry_interval: Duration = Field(
        default=5.0, ge=0.5, le=3600, description="After a first failure the check runs this often until it is settled."
    )
    contractual: bool = Field(default=False, description="The contract names the figure; otherwise it is our own.")
    down: DownEntry | None = Field(default=None, description="Checks that fail.")
    threshold: ThresholdEntry | None = Field(default=None, description="A value beyond a limit.")
    retrieval: RetrievalEntry | None = Field(default=None, description="The time to a picture.")
    availability: AvailabilityEntry | None = Field(default=None, description="The share of time that targets are up.")
    conference_rate: ConferenceRateEntry | None = Field(
        default=None, description="The share of conferences with an incident."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> RuleEntry:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            said = " and ".join(f"`{kind}`" for kind in given) or "none"
            raise ValueError(f"exactly one of {', '.join(f'`{kind}`' for kind in _KINDS)} is needed, here is {said}")
        return self

    def predicate(self) -> Predicate:
        """The domain's."""
        if self.down is not None:
            return Down(self.down.failures, self.down.of, self.down.recover)
        if self.threshold is not None:
            limits = tuple((entry.limit, entry.severity) for entry in self.threshold.severity_at)
            fields = self.threshold.model_dump(exclude={"severity_at", "floor"})
            return Threshold(**fields, floor=self.threshold.floor or 0.0, severity_at=limits)
        if self.retrieval is not None:
            warnings = tuple((entry.at, entry.severity) for entry in self.retrieval.warnings)
            return RetrievalLimit(self.retrieval.limit, warnings)
        if self.availability is not None:
            return Availability(self.availability.at_least, self.availability.window)
        if self.conference_rate is not None:
            return ConferenceRate(self.conference_rate.at_most, self.conference_rate.tolerance)
        raise AssertionError("the validator has seen that there is one")


class SlaFile(Section):
    """What is promised."""

    rules: list[RuleEntry] = Field(description="Rules, in the order in which they are shown.")


def _m_of_n(failures: int, of: int) -> None:
    if failures > of:
        raise ValueError(f"`failures: {failures}` among the last {of} results cannot be")


def read_rules(node: Node, fleet: Fleet | None, problems: Problems) -> tuple[Rule, ...]:
    """The rules; where the fleet is known, what they select and judge is looked up in it."""
    file, node, _ = salvage(SlaFile, node, problems)
    rules: dict[str, Rule] = {}
    for index, entry in enumerate(file.rules if file else ()):
        here = node.at("rules", index)
        if entry.id in rules:
            problems.error(here.at("id").position, f"the rule `{entry.id}` is here twice")
            continue
        rule = Rule(
            id=entry.id,
            name=entry.name,
            selector=entry.select.selector(),
            predicate=entry.predicate(),
            severity=entry.severity,
            retry_interval=entry.retry_interval,
            contractual=entry.contractual,
        )
        rules[rule.id] = rule
        if fleet is not None:
            look_up(here.child("select"), fleet, problems)
            _judge(rule, here, fleet, problems)
    return tuple(rules.values())


def look_up(node: Node | None, fleet: Fleet, problems: Problems) -> None:
    """Names in a selector that are no pattern must exist."""
    known: Mapping[str, Iterable[str]] = {
        "zone": fleet.zones,
        "venue": fleet.venues,
        "room": fleet.rooms,
        "system": fleet.systems,
        "probe": fleet.probes,
    }
    for name, words in known.items():
        field = node.child(name) if node else None
        if field is None:
            continue
        for scalar in field.scalars():
            word = str(scalar.value)
            if not any(sign in word for sign in "*?[") and word not in words and not fleet.was_removed(word):
                problems.error(scalar.position, f"unknown {name} `{word[:80]}`{did_you_mean(word, words)}")


def _judge(rule: Rule, node: Node, fleet: Fleet, problems: Problems) -> None:
    selected = [check for check in fleet.checks.values() if rule.selector.matches(check)]
    if not selected:
        place = node.child("select")
        problems.warning(place.position if place else node.position, f"the rule `{rule.id}` selects no check")
        return
    if isinstance(rule.predicate, Threshold):
        written = node.at("threshold", "value").position
        if rule.predicate.deviates is not None and rule.predicate.value.partition(":")[0] in ("took", "stage"):
            problems.error(written, "a baseline is learned of what a probe measures, not of how long it took")
            return
        _measured(rule.predicate.value, selected, written, fleet, problems)
    if isinstance(rule.predicate, RetrievalLimit) and not any(check.retrieves_picture for check in selected):
        problems.error(node.key("retrieval"), f"no check that the rule `{rule.id}` selects retrieves a picture")


def _measured(value: str, selected: Iterable[Check], place: Position, fleet: Fleet, problems: Problems) -> None:
    kind, _, stage = value.partition(":")
    if value == "took":
        return
    if kind == "stage":
        if stage not in STAGES:
            problems.error(place, f"unknown stage `{stage[:80]}`{did_you_mean(stage, STAGES)}")
        return
    seen: set[int] = set()
    names: set[str] = set()
    for check in selected:
        if id(check.options) not in seen:
            seen.add(id(check.options))
            names |= {each.name for each in fleet.probes[check.probe].protocol.declared(check.options)}
    if value not in names:
        hint = did_you_mean(value, names | {"took"})
        problems.error(place, f"no selected check measures `{value[:80]}`{hint}")
