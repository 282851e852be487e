"""When we ourselves cannot measure: one incident on the vantage, never one on each target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sentinel.domain.incident import Incident, Level, Subject, Verdict
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Severity
from sentinel.domain.target import Check

RULE = "blind"

REPEATED = 2
"""UNKNOWN results in a row on one check that make it more than an accident."""

SEVERAL = 3
"""Checks that are UNKNOWN at once for the same reason."""


OF_A_ZONE = frozenset({"no_tunnel"})
"""Codes that tell of the way into a zone, whatever the protocol."""


class Blindness:
    """Which checks are UNKNOWN, by (vantage, protocol, code).

    A bastion that is down blinds whatever protocol: there the zone stands in the protocol's place.
    """

    def __init__(self) -> None:
        self._runs: defaultdict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
        self._where: dict[str, tuple[str, str, str]] = {}
        self._since: dict[tuple[str, str, str], float] = {}
        self._details: dict[tuple[str, str, str], str] = {}

    def note(self, check: Check, observation: Observation) -> None:
        """Remember whether the check could be measured."""
        where = self._where.get(check.id)
        if observation.outcome is not Outcome.UNKNOWN or observation.failure is None:
            if where is not None:
                self.forget(check.id)
            return
        code = observation.failure.code
        now = (observation.vantage, check.target.zone if code in OF_A_ZONE else check.protocol, code)
        if where is not None and where != now:
            self.forget(check.id)
        runs = self._runs[now]
        runs[check.id] = runs.get(check.id, 0) + 1
        self._where[check.id] = now
        self._since.setdefault(now, observation.started_at)
        self._details[now] = observation.failure.detail

    def forget(self, check: str) -> None:
        """The check can be measured again, or is gone."""
        where = self._where.pop(check, None)
        if where is not None:
            self._runs[where].pop(check, None)

    def verdicts(self, now: float) -> Iterator[tuple[Subject, Verdict]]:
        """A verdict for each reason that was ever seen: firing while it is more than an accident."""
        for where in tuple(self._runs):
            vantage, protocol, code = where
            runs = self._runs[where]
            blind = len(runs) >= SEVERAL or any(run >= REPEATED for run in runs.values())
            subject_id = f"vantage/{vantage}/{protocol}/{code}"
            subject = Subject(
                key=f"{RULE}/{subject_id}",
                rule=RULE,
                subject=subject_id,
                target="",
                title=f"{vantage} {protocol}",
                labels={"alertname": RULE, "vantage": vantage, "protocol": protocol, "code": code},
            )
            level = Level.FIRING if blind else (Level.PENDING if runs else Level.OK)
            yield (
                subject,
                Verdict(
                    level,
                    Severity.MAJOR,
                    now,
                    self._since[where],
                    stage="tunnel" if code in OF_A_ZONE else "prepare",
                    code=code,
                    detail=self._details[where],
                    value="checks",
                    observed=float(len(runs)),
                ),
            )
            if not runs:
                del self._runs[where], self._since[where], self._details[where]

    def recall(self, cases: Iterable[Incident]) -> None:
        """Judge what was open at the last stop as well, so that it ends where it was not seen again."""
        for incident in cases:
            if incident.rule == RULE:
                _, vantage, protocol, code = incident.subject.split("/", 3)
                where = (vantage, protocol, code)
                self._runs.setdefault(where, {})
                self._since.setdefault(where, incident.began_at)
                self._details.setdefault(where, "")
