"""A fact: what one probe saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sentinel.domain.evidence import Evidence
from sentinel.domain.failure import Failure

NOTHING: Mapping[str, float] = MappingProxyType({})
NO_FACTS: Mapping[str, str] = MappingProxyType({})


class Outcome(StrEnum):
    """OK: measured and answered.  FAILED: the target's doing.  UNKNOWN: we could not measure."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Measurement:
    """What a probe hands to the runner: seconds for ``took`` and for each stage, numbers by declared value name.

    A value's key is its declared name, or ``name:item`` where the value exists once for each item (an interface,
    a sensor).  ``facts`` are short texts (a version, a subject) that are shown and never judged.
    """

    took: float
    failure: Failure | None = None
    stages: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    values: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    facts: Mapping[str, str] = field(default_factory=lambda: NO_FACTS)
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """One probe's result.

    ``scheduled_at`` and ``started_at`` are UTC epoch seconds (labels for people); ``took`` is seconds on the
    monotonic clock.  ``failure`` is None exactly where the outcome is OK.  ``passive``: nobody asked, the target (or
    somebody about it) reported; ``took`` then measures nothing.
    """

    check: str
    scheduled_at: float
    started_at: float
    took: float
    vantage: str
    outcome: Outcome
    failure: Failure | None = None
    stages: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    values: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    facts: Mapping[str, str] = field(default_factory=lambda: NO_FACTS)
    evidence: tuple[Evidence, ...] = ()
    passive: bool = False

    @property
    def ended_at(self) -> float:
        """When the result was there, UTC epoch seconds."""
        return self.started_at + self.took
