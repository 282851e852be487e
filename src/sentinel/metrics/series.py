"""One check's lines: rendered when it has a new result, kept until the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.target import Check
from sentinel.engine.snapshot import CheckView
from sentinel.metrics.family import Family, escape, labels, number
from sentinel.sdk.protocol import Protocol

UP = Family("sentinel_check_up", "gauge", "Whether the last result of the check was good (1) or not (0).")
UNKNOWN = Family(
    "sentinel_check_unknown",
    "gauge",
    "1 where the check could not be measured: it then has no sentinel_check_up.",
)
DURATION = Family("sentinel_check_duration_seconds", "gauge", "Time that the last probe took.", "seconds")
STAGE = Family("sentinel_check_stage_seconds", "gauge", "Time that each stage of the last probe took.", "seconds")
RESULTS = Family("sentinel_check_results_total", "counter", "Results since the daemon started, by outcome.")
FAILURES = Family(
    "sentinel_check_failures_total",
    "counter",
    "Failed and unknown results since the daemon started, by the stage that was reached and the code of the failure.",
)
FIXED = (UP, UNKNOWN, DURATION, STAGE, RESULTS, FAILURES)

Lines = dict[str, str]
"""Family name to the lines of one check in it, each with its newline."""

_KNOWN: Final = 4096
"""Samples whose beginnings a check remembers: items come and go on some devices."""


class Series:
    """How one check is written: the part of each line before its number is made once."""

    __slots__ = ("_beginnings", "_declared", "_duration", "_labels", "_samples", "_stages", "_unknown", "_up", "check")

    def __init__(self, check: Check, declared: Mapping[str, Exported]) -> None:
        """``declared``: how the values that the check's protocol may measure are exported, by value name."""
        target = check.target
        self.check = check
        self._declared = declared
        self._labels = base = labels(
            {
                "check": check.id,
                "target": target.id,
                "probe": check.probe,
                "kind": target.kind,
                "zone": target.zone,
                "venue": target.venue,
                "system": target.system,
            }
        )
        self._up = (f"{UP.name}{{{base}}} 0\n", f"{UP.name}{{{base}}} 1\n")
        self._unknown = f"{UNKNOWN.name}{{{base}}} 1\n"
        self._duration = f"{DURATION.name}{{{base}}} "
        self._stages: dict[str, str] = {}
        self._samples: dict[str, tuple[str, str, float] | None] = {}
        self._beginnings: set[str] = set()

    def render(self, view: CheckView) -> Lines:
        """The check's lines as it stands; nothing but counters while it has no result."""
        text: Lines = {}
        base = self._labels
        if view.state in {"unknown", "unobserved"}:
            text[UNKNOWN.name] = self._unknown
        elif (observation := view.observation) is not None:
            if observation.outcome is Outcome.UNKNOWN:
                text[UNKNOWN.name] = self._unknown
            else:
                self._observed(observation, text)
        if view.counts:
            text[RESULTS.name] = "".join(
                [
                    f'{RESULTS.name}{{{base},outcome="{outcome.value}"}} {count}\n'
                    for outcome, count in view.counts.items()
                ]
            )
        if view.failures:
            text[FAILURES.name] = "".join(
                [
                    f'{FAILURES.name}{{{base},stage="{stage}",code="{code}"}} {count}\n'
                    for (stage, code), count in view.failures.items()
                ]
            )
        return text

    def _observed(self, observation: Observation, text: Lines) -> None:
        text[UP.name] = self._up[observation.outcome is Outcome.OK]
        text[DURATION.name] = f"{self._duration}{number(observation.took)}\n"
        if observation.stages:
            text[STAGE.name] = "".join(
                [f"{self._stage(stage)}{number(seconds)}\n" for stage, seconds in observation.stages.items()]
            )
        samples = self._samples
        for key, value in observation.values.items():
            sample = samples[key] if key in samples else self._sample(key)
            if sample is not None:
                name, beginning, factor = sample
                line = f"{beginning}{number(value * factor)}\n"
                text[name] = text[name] + line if name in text else line

    def _stage(self, stage: str) -> str:
        beginning = self._stages.get(stage)
        if beginning is None:
            beginning = self._stages[stage] = f'{STAGE.name}{{{self._labels},stage="{stage}"}} '
        return beginning

    def _sample(self, key: str) -> tuple[str, str, float] | None:
        """A value's family, what its line begins with, its factor; None for one that is not exported."""
        if len(self._samples) >= _KNOWN:
            self._samples.clear()
            self._beginnings.clear()
        name, colon, item = key.partition(":")
        declared = self._declared.get(name)
        found = None
        if declared is not None:
            family = declared.family.name
            label = f',item="{escape(item)}"' if colon else ""
            beginning = f"{family}{{{self._labels}{label}}} "
            # Two items that differ only past the limit or in a control character would be one series twice.
            if beginning not in self._beginnings:
                self._beginnings.add(beginning)
                found = family, beginning, declared.factor
        self._samples[key] = found
        return found


@dataclass(frozen=True, slots=True)
class Exported:
    """How a value is exported: its family, and what it is multiplied with to be in the family's unit."""

    family: Family
    factor: float = 1.0


def exported(protocol: Protocol, options: object) -> dict[str, Exported]:
    """The families of a protocol's values by value name: ``sentinel_<protocol>_<value>``.

    Prometheus wants base units: ``certificate_days_left`` is exported as ``…_certificate_seconds_left``, times 86,400.
    """
    found: dict[str, Exported] = {}
    for value in protocol.declared(options):
        words = value.name.split("_")
        factor, remark = 1.0, ""
        for n, word in enumerate(words):
            if word in _BASE:
                words[n], times = _BASE[word]
                factor *= times
                remark = f" (In {words[n]}.)"
        name = "_".join(words)
        kind: Literal["counter", "gauge"] = "counter" if name.endswith("_total") else "gauge"
        unit = name.removesuffix("_total").rpartition("_")[2]
        family = Family(
            f"sentinel_{protocol.name}_{name}".replace("-", "_"),
            kind,
            value.description + remark,
            unit if unit in _UNITS else "",
        )
        found[value.name] = Exported(family, factor)
    return found


_BASE = {
    "days": ("seconds", 86_400.0),
    "hours": ("seconds", 3_600.0),
    "minutes": ("seconds", 60.0),
    "milliseconds": ("seconds", 1e-3),
    "microseconds": ("seconds", 1e-6),
    "kilobytes": ("bytes", 1e3),
    "megabytes": ("bytes", 1e6),
    "bits": ("bytes", 0.125),
    "percent": ("ratio", 0.01),
}
_UNITS = frozenset({"seconds", "bytes", "ratio", "celsius", "volts", "amperes", "watts", "joules", "meters", "grams"})
