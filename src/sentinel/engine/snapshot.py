"""The present, in memory: what the wall page, the API and the metrics show.

The pipeline writes it, after the commit where something had to be committed; everybody else only reads.  Readers
that want changes take a ``feed``: a set into which the ids of changed checks and incidents fall until they are
taken out, so that a slow reader costs memory for each id once and never for each change.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sentinel.domain.incident import Incident
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.target import Check


@dataclass(slots=True)
class CheckView:
    """What is known of a check now.

    ``state``: ``up``, ``down`` (confirmed), ``failing`` (being confirmed), ``unknown`` (we could not measure),
    ``pending`` (no result yet), ``unobserved`` (no vantage).  ``since``: when that state began, UTC epoch seconds.
    ``counts``: results by outcome since the start; ``failures``: by (stage, code).
    """

    check: Check
    state: str = "pending"
    since: float = 0.0
    observation: Observation | None = None
    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class SlaFigure:
    """A promise as it stands.

    ``observed`` and ``limit`` are in ``unit`` (``ratio``, ``seconds``); ``kept`` says whether it holds; ``counts``
    are the figures behind it by name (``conferences``, ``incidents``, ``left``, ``retrievals``, ``breaches`` …).
    ``subject`` is a check id, or ``estate``.
    """

    rule: str
    name: str
    kind: str
    subject: str
    observed: float | None
    limit: float
    unit: str
    kept: bool
    contractual: bool
    counts: Mapping[str, float]


class Feed:
    """Ids that changed since they were last taken; ``wait`` sleeps until there are some."""

    def __init__(self) -> None:
        self._checks: set[str] = set()
        self._incidents: set[str] = set()
        self._event = asyncio.Event()

    def add_check(self, check: str) -> None:
        """A check changed."""
        if not self._checks:  # else it is set already: this is called for each result
            self._event.set()
        self._checks.add(check)

    def add_incident(self, incident: str) -> None:
        """An incident changed."""
        self._incidents.add(incident)
        self._event.set()

    async def wait(self) -> None:
        """Return when something changed since the last ``take``."""
        await self._event.wait()

    def take(self) -> tuple[set[str], set[str]]:
        """The ids of checks and incidents that changed, once."""
        checks, incidents = self._checks, self._incidents
        self._checks, self._incidents = set(), set()
        self._event.clear()
        return checks, incidents


class Snapshot:
    """All views by id.  ``incidents`` holds the open ones and, for an hour, those that ended."""

    def __init__(self) -> None:
        self.checks: dict[str, CheckView] = {}
        self.incidents: dict[str, Incident] = {}
        self.sla: Sequence[SlaFigure] = ()
        self.generation = 0
        self._result_feeds: list[Feed] = []
        self._change_feeds: list[Feed] = []

    def results(self) -> Feed:
        """A feed of every new result (metrics)."""
        feed = Feed()
        self._result_feeds.append(feed)
        return feed

    def changes(self) -> Feed:
        """A feed of changed states and incidents only (wall page)."""
        feed = Feed()
        self._change_feeds.append(feed)
        return feed

    def leave(self, feed: Feed) -> None:
        """The reader is gone."""
        for feeds in (self._result_feeds, self._change_feeds):
            if feed in feeds:
                feeds.remove(feed)

    def result(self, view: CheckView) -> None:
        """A check has a new result."""
        for feed in self._result_feeds:
            feed.add_check(view.check.id)

    def changed(self, view: CheckView) -> None:
        """A check's state changed."""
        for feed in self._change_feeds:
            feed.add_check(view.check.id)

    def incident(self, incident: Incident) -> None:
        """An incident opened, changed or ended."""
        self.incidents[incident.id] = incident
        for feed in self._change_feeds:
            feed.add_incident(incident.id)
        for feed in self._result_feeds:
            feed.add_incident(incident.id)

    def swapped(self) -> None:
        """The configuration was replaced: readers draw everything anew."""
        self.generation += 1
        for feed in (*self._result_feeds, *self._change_feeds):
            for check in self.checks:
                feed.add_check(check)
