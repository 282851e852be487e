"""The promises over a period: availability, retrieval, conference incident rate.

Computed once a minute from what the store holds (transitions are the truth), shown in the snapshot, and handed to
the pipeline as verdicts.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog

from sentinel.domain.availability import Change, Tally, spells, tally
from sentinel.domain.conference import Conference, ConferenceFigure, Fault, conference_figure
from sentinel.domain.incident import Level, Subject, Verdict
from sentinel.domain.retrieval import Retrieval
from sentinel.domain.rule import Availability, ConferenceRate, RetrievalLimit, Rule
from sentinel.domain.target import Check
from sentinel.engine.ports import Clock, QuickRetrievals, Store, StoreFailed
from sentinel.engine.snapshot import SlaFigure

log = structlog.get_logger(__name__)

ESTATE = "estate"
"""The subject of a figure about everything that its rule selects."""

PERIOD = 60.0
"""Seconds between two computations."""

LOOK = 5.0
"""Seconds between two looks whether a picture retrieval began or ended that takes its time."""

LOCAL = ZoneInfo("Asia/Shanghai")
"""Months are the centre's months."""


class Promised(Protocol):
    """What the promises need of a configuration."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """By id."""
        ...

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order of the file."""
        ...

    @property
    def conferences(self) -> tuple[Conference, ...]:
        """All that are planned or past."""
        ...


@dataclass(frozen=True, slots=True)
class Records:
    """What the store holds of the periods in question."""

    changes: Mapping[str, Sequence[Change]]
    retrievals: Sequence[Retrieval]
    quick: Sequence[QuickRetrievals]


class Promises:
    """Keeps the figures current.  ``publish`` takes the figures, ``settle`` a verdict."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        plan: Callable[[], Promised],
        *,
        publish: Callable[[Sequence[SlaFigure]], None],
        settle: Callable[[Subject, Verdict], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._plan = plan
        self._publish = publish
        self._settle = settle
        self._due = asyncio.Event()

    def hurry(self) -> None:
        """Compute now: the configuration changed."""
        self._due.set()

    async def run(self) -> None:
        """Compute once a minute until cancelled."""
        while True:
            self._due.clear()
            known = await self._open()  # before the reading: what begins during it is noticed below
            try:
                await self.compute()
            except StoreFailed as error:  # the figures stay as they were; the store's own trouble is told elsewhere
                log.warning("promises.unread", error=str(error))
            try:
                async with asyncio.timeout(PERIOD):
                    await self._wait(known)
            except TimeoutError:
                continue
            await asyncio.sleep(2.0)  # what hurries us comes in bursts

    async def _wait(self, known: frozenset[str]) -> None:
        """Return when somebody hurries, or when other retrievals are open than the known ones."""
        while not self._due.is_set() and await self._open() == known:
            try:
                async with asyncio.timeout(LOOK):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def _open(self) -> frozenset[str]:
        try:
            return await self._store.open_retrievals()
        except StoreFailed:  # compute says so
            return frozenset()

    async def compute(self) -> None:
        """Read, compute beside the loop, publish, settle."""
        plan, now = self._plan(), self._clock.now()
        since = min((_since(rule, now) for rule in plan.rules), default=now)
        statuses = await self._store.statuses(since, now)
        begin = month(now)[0]
        retrievals = await self._store.retrievals(begin, now)
        quick = await self._store.quick_retrievals(begin, now)
        changes = defaultdict[str, list[Change]](list)
        for status in statuses:
            changes[status.check].append(Change(status.at, status.state))
        found = await asyncio.to_thread(_figures, plan, Records(changes, retrievals, quick), now)
        self._publish([figure for figure, _ in found])
        for figure, rule in found:
            if isinstance(rule.predicate, Availability | ConferenceRate) and figure.subject == ESTATE:
                self._settle(_subject(rule), _verdict(rule, figure, now))


def month(now: float) -> tuple[float, float]:
    """Start and end of the local calendar month that holds ``now``, UTC epoch seconds."""
    start = datetime.fromtimestamp(now, LOCAL).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start.timestamp(), (start + timedelta(days=32)).replace(day=1).timestamp()


def _since(rule: Rule, now: float) -> float:
    return now - rule.predicate.window if isinstance(rule.predicate, Availability) else month(now)[0]


def _figures(plan: Promised, records: Records, now: float) -> list[tuple[SlaFigure, Rule]]:
    found: list[tuple[SlaFigure, Rule]] = []
    for rule in plan.rules:
        selected = [check for check in plan.checks.values() if rule.applies(check)]
        if isinstance(rule.predicate, Availability):
            figures = _availability(rule, rule.predicate, selected, records, now)
        elif isinstance(rule.predicate, RetrievalLimit):
            figures = [_retrieval(rule, rule.predicate, selected, records, now)]
        elif isinstance(rule.predicate, ConferenceRate):
            figures = [_conferences(rule, rule.predicate, selected, records, plan.conferences, now)]
        else:
            figures = []
        found.extend((figure, rule) for figure in figures)
    return found


def _availability(
    rule: Rule, promise: Availability, selected: Iterable[Check], records: Records, now: float
) -> list[SlaFigure]:
    total = Tally()
    figures: list[SlaFigure] = []
    for check in selected:
        if check.target.reachability != check.id or check.id not in records.changes:
            continue
        one = tally(records.changes[check.id], now - promise.window, now)
        total += one
        figures.append(_available(rule, promise, check.id, one, 1))
    return [_available(rule, promise, ESTATE, total, len(figures)), *figures]


def _available(rule: Rule, promise: Availability, subject: str, time: Tally, targets: int) -> SlaFigure:
    budget = (1.0 - promise.at_least) * promise.window * targets
    return SlaFigure(
        rule=rule.id,
        name=rule.name,
        kind="availability",
        subject=subject,
        observed=time.ratio,
        limit=promise.at_least,
        unit="ratio",
        # By the budget of the whole window: a minute's fault in the first hour is no broken promise of thirty days.
        kept=time.down <= budget,
        contractual=rule.contractual,
        counts={
            "budget_seconds": budget,
            "budget_left_seconds": budget - time.down,
            "up_seconds": time.up,
            "down_seconds": time.down,
            "unknown_seconds": time.unknown,
            "unobserved_seconds": time.unobserved,
        },
    )


def _retrieval(
    rule: Rule, promise: RetrievalLimit, selected: Iterable[Check], records: Records, now: float
) -> SlaFigure:
    checks = {check.id for check in selected}
    mine = [one for one in records.retrievals if one.check in checks]
    quick = [one for one in records.quick if one.check in checks]  # QUICK is no longer than any limit: none is a breach
    ended = [one for one in mine if one.ended_at is not None]
    waiting = [one.started_at for one in mine if one.ended_at is None]
    breaches = [one for one in mine if one.elapsed(now) > promise.limit]
    slowest = max([*(one.elapsed(now) for one in mine), *(one.slowest for one in quick)], default=None)
    counts = {
        "retrievals": float(len(ended) + sum(one.count for one in quick)),
        "open": float(len(waiting)),
        "breaches": float(len(breaches)),
    }
    if waiting:
        counts["open_since_timestamp_seconds"] = min(waiting)
    shown = [one for one in ended if one.shown]
    times = [(one.ended_at or 0.0, one.elapsed(now)) for one in shown] + [
        (one.last_at, one.last_seconds) for one in quick
    ]
    if times:
        counts["last_seconds"] = max(times)[1]
        total = sum(one.elapsed(now) for one in shown) + sum(one.seconds for one in quick)
        counts["mean_seconds"] = total / (len(shown) + sum(one.count for one in quick))
    return SlaFigure(
        rule=rule.id,
        name=rule.name,
        kind="retrieval",
        subject=ESTATE,
        observed=slowest,
        limit=promise.limit,
        unit="seconds",
        kept=not breaches,
        contractual=rule.contractual,
        counts=counts,
    )


def _conferences(
    rule: Rule,
    promise: ConferenceRate,
    selected: Iterable[Check],
    records: Records,
    conferences: Iterable[Conference],
    now: float,
) -> SlaFigure:
    begin, end = month(now)
    faults = [
        Fault(check.id, check.target.venue, start, stop)
        for check in selected
        if check.required and check.target.venue
        for start, stop in spells(records.changes.get(check.id, ()), "down")
    ]
    known = tuple(conferences)
    planned = [conference for conference in known if begin <= conference.start < end]
    figure: ConferenceFigure = conference_figure(
        planned, faults, at_most=promise.at_most, tolerance=promise.tolerance, now=now
    )
    return SlaFigure(
        rule=rule.id,
        name=rule.name,
        kind="conference_rate",
        subject=ESTATE,
        observed=figure.rate,
        limit=promise.at_most,
        unit="ratio",
        kept=figure.left >= 0,
        contractual=rule.contractual,
        counts={
            "conferences": float(figure.supported),
            "current": float(sum(conference.start <= now < conference.end for conference in known)),
            "planned": float(figure.planned),
            "incidents": float(len(figure.hit)),
            "allowed": float(figure.allowed),
            "left": float(figure.left),
        },
    )


def _subject(rule: Rule) -> Subject:
    return Subject(f"{rule.id}/{ESTATE}", rule.id, ESTATE, "", rule.name, {"alertname": rule.id})


def _verdict(rule: Rule, figure: SlaFigure, now: float) -> Verdict:
    level = Level.UNKNOWN if figure.observed is None else (Level.OK if figure.kept else Level.FIRING)
    return Verdict(level, rule.severity, now, now, value=figure.kind, observed=figure.observed, limit=figure.limit)
