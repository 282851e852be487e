"""What is promised: rules, to whom they apply and what breaks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from sentinel.domain.target import Check


class Severity(StrEnum):
    """How bad it is, as ITU-T X.733 orders it."""

    INFO = "info"
    WARNING = "warning"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 3 for critical."""
        return _RANK[self]


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Selector:
    """Which checks a rule is for: every field that is given must match; within a field one pattern is enough.

    Patterns are shell globs (``hall-*``).  An empty selector matches every check.
    """

    check: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()
    zone: tuple[str, ...] = ()
    venue: tuple[str, ...] = ()
    room: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, check: Check) -> bool:
        """Whether the rule is for this check."""
        target = check.target
        return (
            _any(self.check, check.id)
            and _any(self.target, target.id)
            and _any(self.kind, target.kind)
            and _any(self.probe, check.probe)
            and _any(self.protocol, check.protocol)
            and _any(self.zone, target.zone)
            and _any(self.venue, target.venue)
            and _any(self.room, target.room)
            and _any(self.system, target.system)
            and all(fnmatchcase(target.labels.get(name, ""), pattern) for name, pattern in self.labels.items())
        )


def _any(patterns: tuple[str, ...], value: str | None) -> bool:
    return not patterns or (value is not None and any(fnmatchcase(value, pattern) for pattern in patterns))


@dataclass(frozen=True, slots=True)
class Down:
    """The check failed ``failures`` times among its last ``of`` results; over after ``recover`` good ones in a row."""

    failures: int = 2
    of: int = 3
    recover: int = 1


@dataclass(frozen=True, slots=True)
class Threshold:
    """A measured value is beyond a limit in ``failures`` of the last ``of`` results.

    Judged on good results only: a probe that failed is a Down rule's matter.  ``value`` is a declared value's name,
    ``took`` (seconds of the whole probe) or ``stage:<name>`` (seconds of a stage); with items the worst item counts.
    Exactly one of ``above``, ``below`` and ``deviates`` is set.  Once broken, it is
    over only when the value is back beyond ``clear`` (hysteresis; the limit itself where None).
    ``severity_at`` are more limits, each with its own severity; the worst that holds counts.

    ``deviates``: the value is further than so many spreads, up or down, from what the check's baseline has as usual at
    that hour; ``clear`` and ``severity_at`` are then spreads as well, and a spread below ``floor`` (in the value's own
    unit) counts as ``floor``.  Where nothing is known of the check at that hour, nothing is said.
    """

    value: str
    above: float | None = None
    below: float | None = None
    deviates: float | None = None
    floor: float = 0.0
    clear: float | None = None
    failures: int = 1
    of: int = 1
    severity_at: tuple[tuple[float, Severity], ...] = ()


@dataclass(frozen=True, slots=True)
class RetrievalLimit:
    """A picture is shown within ``limit`` seconds of its first attempt; warnings at fractions of the limit.

    ``warnings`` are (fraction, severity), rising.
    """

    limit: float = 300.0
    warnings: tuple[tuple[float, Severity], ...] = ((0.6, Severity.WARNING), (0.8, Severity.MAJOR))


@dataclass(frozen=True, slots=True)
class Availability:
    """Of the last ``window`` seconds, at most ``1 - at_least`` (0 to 1) was down, over all selected targets together.

    That is the budget of downtime of one target times the targets; unknown and unobserved time uses none of it.  It is
    counted on each target's reachability check and judged once a minute, as one promise: a switch that takes sixty
    terminals with it breaks it once, not sixty times.  For a promise of its own, select a target in a rule of its own.
    """

    at_least: float
    window: float = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class ConferenceRate:
    """At most ``at_most`` (0 to 1) of a calendar month's conferences had an incident.

    A conference had one where a fault on a required check of its venue lasted over ``tolerance`` seconds inside it.
    The rule applies to the whole estate; its selector says which checks count.
    """

    at_most: float = 0.05
    tolerance: float = 60.0


Predicate = Down | Threshold | RetrievalLimit | Availability | ConferenceRate


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise or alarm.

    ``retry_interval`` (seconds): after a first failure, and until the question is settled, the check runs this
    often.  ``contractual``: the contract names the figure; otherwise it is the centre's own.  ``name`` is for
    people, in the daemon's locale.
    """

    id: str
    name: str
    selector: Selector
    predicate: Predicate
    severity: Severity
    retry_interval: float = 5.0
    contractual: bool = False

    def applies(self, check: Check) -> bool:
        """Whether it speaks of this check: a time to a picture only of those that retrieve one."""
        return self.selector.matches(check) and (
            check.retrieves_picture or not isinstance(self.predicate, RetrievalLimit)
        )
