"""The estate's lines: targets by name, open incidents, and the promises as they stand."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from sentinel.domain.incident import Incident, State, Telling
from sentinel.domain.rule import Severity
from sentinel.domain.target import Target
from sentinel.engine.snapshot import SlaFigure
from sentinel.metrics.family import Family, labels, number

TARGET = Family(
    "sentinel_target_info", "info", "A target's name and place: join on target to put names beside the ids."
)
INCIDENTS = Family(
    "sentinel_incidents_open", "gauge", "Open incidents of which people were or will be told, by severity."
)
SUPPRESSED = Family(
    "sentinel_incidents_suppressed", "gauge", "Open incidents not told since what they hang on is down, by severity."
)
KEPT = Family("sentinel_sla_kept", "gauge", "Whether the promise is kept (1) or broken (0).")
_MEASURED = {
    ("observed", "ratio"): Family("sentinel_sla_observed_ratio", "gauge", "The promise's figure, 0 to 1.", "ratio"),
    ("limit", "ratio"): Family("sentinel_sla_limit_ratio", "gauge", "What was promised, 0 to 1.", "ratio"),
    ("observed", "seconds"): Family("sentinel_sla_observed_seconds", "gauge", "The promise's figure.", "seconds"),
    ("limit", "seconds"): Family("sentinel_sla_limit_seconds", "gauge", "What was promised.", "seconds"),
}
_COUNTS = {
    "conferences": "Conferences of the period that have begun.",
    "current": "Conferences that are going on.",
    "planned": "Conferences planned in the period.",
    "incidents": "Conferences of the period that had an incident.",
    "allowed": "Whole conference incidents that the promise allows in the period.",
    "left": "Whole conference incidents that may still happen; negative once the promise is broken.",
    "retrievals": "Picture retrievals in the period.",
    "open": "Picture retrievals that go on without a picture so far.",
    "open_since_timestamp_seconds": "When the oldest of the open picture retrievals began.",
    "breaches": "Times in the period that the promise was broken.",
}

Written = list[tuple[Family, list[bytes]]]


def targets(known: Iterable[Target]) -> tuple[Family, list[bytes]]:
    """One line a target: it changes only with the configuration."""
    lines = []
    for target in known:
        text = labels(
            {
                "target": target.id,
                "name": target.name,
                "kind": target.kind,
                "zone": target.zone,
                "venue": target.venue,
                "room": target.room,
                "system": target.system,
            }
        )
        lines.append(f"{TARGET.name}{{{text}}} 1\n".encode("utf-8", "replace"))
    return TARGET, lines


def incidents(known: Iterable[Incident]) -> Written:
    """Open ones by severity, a zero included: an alert on them must see them go."""
    told: Counter[Severity] = Counter()
    silent: Counter[Severity] = Counter()
    for incident in known:
        if incident.state is State.OPEN:
            (silent if incident.telling is Telling.SUPPRESSED else told)[incident.severity] += 1
    return [
        (family, [f'{family.name}{{severity="{severity}"}} {counts[severity]}\n'.encode() for severity in Severity])
        for family, counts in ((INCIDENTS, told), (SUPPRESSED, silent))
    ]


def figures(known: Iterable[SlaFigure]) -> Written:
    """Each figure's value, limit, verdict, and the counts behind it as ``sentinel_sla_<count>``."""
    written: defaultdict[Family, list[bytes]] = defaultdict(list)
    for figure in known:
        base = labels(
            {
                "rule": figure.rule,
                "sla": figure.kind,
                "subject": figure.subject,
                "contractual": "true" if figure.contractual else "false",
            }
        )
        samples: list[tuple[Family, float]] = [(KEPT, float(figure.kept))]
        for part, value in (("observed", figure.observed), ("limit", figure.limit)):
            family = _MEASURED.get((part, figure.unit))
            if family is not None and value is not None:
                samples.append((family, value))
        samples += [(_count(name), value) for name, value in figure.counts.items()]
        for family, value in samples:
            written[family].append(f"{family.name}{{{base}}} {number(value)}\n".encode("utf-8", "replace"))
    return list(written.items())


def _count(name: str) -> Family:
    clean = re.sub(r"[^a-z0-9_]", "_", name.lower())
    unit = clean.rpartition("_")[2]
    help_ = _COUNTS.get(clean, f"A figure behind a promise: {clean.replace('_', ' ')}.")
    return Family(f"sentinel_sla_{clean}", "gauge", help_, unit if unit in {"seconds", "ratio"} else "")
