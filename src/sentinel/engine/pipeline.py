"""The pipeline: every fact comes in through ``accept`` or ``tick``, and all that follows from it leaves in one commit.

``accept`` judges an observation against its windows, steps the incidents, and where anything changed hands one
transaction to the store; the snapshot shows it once it is on the disk.  State advances at once, so that the next
observation is judged by what this one taught, whatever the disk does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from sentinel.domain.baseline import NOTHING_USUAL
from sentinel.domain.evidence import Evidence
from sentinel.domain.failure import Failure
from sentinel.domain.incident import CLEAR, Incident, Level, State, Subject, Telling, Verdict
from sentinel.domain.judge import judge, judge_retrieval
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.retrieval import Retrieval, abandon, attempt
from sentinel.domain.rule import RetrievalLimit, Rule, Threshold
from sentinel.domain.target import Check, Target
from sentinel.domain.words import INTERNAL_RULES
from sentinel.engine.blindness import Blindness
from sentinel.engine.cases import Announce, Cases
from sentinel.engine.chronicle import note_failed, note_incidents, note_state
from sentinel.engine.draft import Draft
from sentinel.engine.plan import NOTHING, Hasten, Plan
from sentinel.engine.planner import FIRST_RUN
from sentinel.engine.ports import Clock, Piece, Restored, Status, Store, StoreFailed
from sentinel.engine.snapshot import Snapshot
from sentinel.engine.uplinks import Uplinks
from sentinel.engine.watch import Watch, unseen

log = structlog.get_logger(__name__)

NONE: Final = frozenset[str]()

ESTATE = "estate"
"""The subject of rules about everything at once."""

ENDED_FOR = 3600.0
"""Seconds for which an ended incident stays in the snapshot."""

CLOCK_STEP = 1.0
"""Seconds by which the wall clock may wander from the monotonic one between two results; more means that it was set."""


class Pipeline:
    """Facts in, judgement, one commit, the snapshot."""

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        clock: Clock,
        *,
        announce: Announce,
        hasten: Hasten,
        new_id: Callable[[float], str],
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._clock = clock
        self._hasten = hasten
        self._new_id = new_id
        self._started = clock.monotonic()
        self._offset = clock.now() - self._started
        self._plan: Plan = NOTHING
        self._restored: dict[str, Status] = {}
        self._episodes: dict[str, Retrieval] = {}
        self._gap_since: float | None = None
        self._watches: dict[str, Watch] = {}
        self._uplinks = Uplinks({}, {})
        self._fingerprints: Mapping[str, str] = {}
        self._blindness = Blindness()
        self._recalled = False
        self._ended: list[tuple[float, str]] = []
        self.cases = Cases(announce, new_id)
        self.committed: Callable[[], None] = lambda: None
        self.failed: Callable[[Draft, StoreFailed], None] = note_failed
        self.opened: Callable[[Incident], None] = lambda _incident: None
        self.beats = 0

    # -- configuration and state ------------------------------------------------------------------------------

    def restore(self, restored: Restored) -> None:
        """Take up the state of the last run; call it before ``swap`` and before the first observation."""
        hold_until = self._clock.now() + FIRST_RUN
        self.cases.restore(restored.incidents, hold_until)
        for incident in restored.incidents:
            self._snapshot.incident(incident)
        self._restored = {status.check: status for status in restored.statuses}
        self._episodes = {episode.check: episode for episode in restored.retrievals}
        self._gap_since = restored.alive_at

    def swap(self, plan: Plan) -> None:
        """Judge by this configuration from now on; checks that did not change keep their state."""
        draft, now = Draft(), self._clock.now()
        first = self._plan is NOTHING
        old, self._plan = self._watches, plan
        self._watches = {check.id: self._watch(check, old.get(check.id), draft) for check in plan.checks.values()}
        self._uplinks = Uplinks(plan.targets, self._watches)
        self._fingerprints = dict(plan.fingerprints)
        self._snapshot.checks = {check: watch.view for check, watch in self._watches.items()}
        self._close_orphans(draft, now)
        for watch in old.values():
            if watch.check.id not in self._watches:
                self._retire(watch, now, draft)
        if first:
            self._retire_restored(now, draft)
        self._snapshot.swapped()
        self._finish(draft)

    def _retire(self, watch: Watch, now: float, draft: Draft) -> None:
        """The check is gone: nobody looks any more, and its picture will not be shown."""
        self._blindness.forget(watch.check.id)
        if (status := watch.unobserved(now)) is not None:
            draft.statuses.append(status)
        if watch.episode is not None:
            draft.retrievals[watch.episode.id] = abandon(watch.episode, now)

    def _retire_restored(self, now: float, draft: Draft) -> None:
        """The same for checks that went while the daemon was stopped."""
        for episode in self._episodes.values():
            draft.retrievals[episode.id] = abandon(episode, now)
        for status in self._restored.values():
            if status.state != "unobserved" and self._gap_since is not None:
                draft.statuses.append(Status(status.check, max(status.at, self._gap_since), "unobserved"))
        self._episodes, self._restored = {}, {}

    def _watch(self, check: Check, before: Watch | None, draft: Draft) -> Watch:
        rules = [rule for rule in self._plan.rules if rule.applies(check)]
        plan = self._plan
        watch = Watch.of(check, rules, plan.baselines.get(check.id, NOTHING_USUAL), plan.learned.get(check.id, NONE))
        if before is not None:
            same = self._fingerprints.get(check.id) == self._plan.fingerprints.get(check.id)
            watch.take_over(before, keep_memory=same)
        else:
            watch.episode = self._episodes.pop(check.id, None)
            status = self._restored.pop(check.id, None)
            if status is not None and self._gap_since is not None:
                watch.confirmed, watch.marked_at = status.state, status.at
                if (gap := watch.unobserved(self._gap_since)) is not None:
                    draft.statuses.append(gap)
        now = self._clock.now()
        if check.vantage is None and (blind := watch.unobserved(now)) is not None:
            draft.statuses.append(blind)
        if watch.episode is not None and watch.retrieval_rule is None:
            draft.retrievals[watch.episode.id] = abandon(watch.episode, now)
            watch.episode = None
        for rule, window in watch.judged:
            incident = self.cases.get(f"{rule.id}/{check.id}")
            if incident is not None and not window.firing:
                window.restore(incident.began_at)
        watch.seen = self._clock.monotonic()
        watch.view.since = watch.view.since or now
        if check.vantage is None:
            watch.view.observation = unseen(check, now)
        return watch

    def _close_orphans(self, draft: Draft, now: float) -> None:
        rules = {rule.id for rule in self._plan.rules} | INTERNAL_RULES.keys()
        for incident in self.cases:
            if incident.rule not in rules:
                self.cases.end(incident, now, "rule_removed", draft)
            elif incident.target and incident.subject not in self._watches:
                self.cases.end(incident, now, "check_removed", draft)
            elif incident.target and not self._watches[incident.subject].has(incident.rule):
                self.cases.end(incident, now, "rule_removed", draft)

    # -- facts ------------------------------------------------------------------------------------------------

    def accept(self, observation: Observation) -> None:
        """Take in one result."""
        watch = self._watches.get(observation.check)
        if watch is None:
            return  # removed while it was under way
        mono = self._follow_clock(observation.ended_at)
        if not observation.passive:  # probes come at equal distances: only so is a share of results a share of time
            self._store.roll(observation.check, observation.started_at, observation.outcome, observation.took)
        watch.note(observation, mono)
        self._snapshot.result(watch.view)
        if observation.started_at < watch.fresh_after:
            self._hasten(watch.check.id)  # it began before its parent was back: look again before judging
            return
        if not watch.unmoved(observation) or (self.cases.holding and watch.is_reachability):
            draft = Draft()
            self._judge(watch, observation, draft)
            self._finish(draft)
        if watch.learned and (values := watch.lesson(observation)):
            self._store.sample(observation.check, observation.started_at, values)

    def settle(self, subject: Subject, verdict: Verdict) -> None:
        """Take in a verdict about something that is no check: the estate, a period."""
        draft = Draft()
        self.cases.settle(subject, verdict, CLEAR, draft)
        self._finish(draft)

    def add_evidence(self, incident: str, evidence: Evidence) -> None:
        """Keep what came after an incident had opened; for one that is open or ended within the hour."""
        if incident in self._snapshot.incidents:
            self._finish(Draft(evidence=[Piece(incident, self._clock.now(), evidence)]))

    def tick(self) -> None:
        """Time has passed: call it once a second."""
        draft, now = Draft(), self._clock.now()
        self._follow_clock(now)
        self.beats += 1
        self.cases.lapse(now, draft)
        for watch in self._watches.values():
            if watch.episode is not None:
                self._judge_episode(watch, now, draft)
        for subject, verdict in self._blindness.verdicts(now):
            self.cases.settle(subject, verdict, CLEAR, draft)
        if not self._recalled and self._clock.monotonic() - self._started > FIRST_RUN + 10:
            self._recalled = True
            self._blindness.recall(self.cases)
        if self.beats % 5 == 0:
            self._miss_overdue(now)
            self._forget_ended(now)
        self._finish(draft)

    def _follow_clock(self, now: float) -> float:
        """Monotonic seconds.  Where the wall clock was set, the times that we measure against it move along."""
        mono = self._clock.monotonic()
        offset = now - mono
        step, self._offset = offset - self._offset, offset
        if not -CLOCK_STEP < step < CLOCK_STEP:
            log.warning("clock.set", seconds=round(step, 3))
            self.cases.shift(step)
            for watch in self._watches.values():
                watch.shift(step)
        return mono

    def _miss_overdue(self, now: float) -> None:
        mono = self._clock.monotonic()
        for watch in tuple(self._watches.values()):
            check = watch.check
            if check.vantage is None or mono - watch.seen < 2 * check.interval + check.timeout + FIRST_RUN:
                continue
            late = Failure("schedule", "overdue", f"no result for {mono - watch.seen:.0f} s")
            self.accept(Observation(check.id, now, now, 0.0, check.vantage, Outcome.UNKNOWN, late))

    def _forget_ended(self, now: float) -> None:
        while self._ended and self._ended[0][0] < now - ENDED_FOR:
            self._snapshot.incidents.pop(self._ended.pop(0)[1], None)

    # -- judgement --------------------------------------------------------------------------------------------

    def _judge(self, watch: Watch, observation: Observation, draft: Draft) -> None:
        before = watch.view.state
        self._blindness.note(watch.check, observation)
        verdicts = [
            (rule, verdict)
            for rule, window in watch.judged
            if (verdict := judge(rule, window, observation, watch.baseline)) is not None
        ]
        if (status := watch.move(observation)) is not None:
            draft.statuses.append(status)
        if watch.view.state != before:
            draft.views.append(watch.view)
            note_state(observation, before, watch.view.state)
        failed = observation.outcome is Outcome.FAILED
        if failed and (watch.anew or before not in {"failing", "down"}):
            self._ask_above(watch.check)
        watch.anew = False
        for rule, verdict in verdicts:
            self._settle(watch, rule, verdict, draft, observation.evidence)
        self._note_attempt(watch, observation, draft)
        if any(verdict.level is Level.PENDING for _, verdict in verdicts):
            self._retry(watch, observation)
        if watch.is_reachability:
            if watch.view.state == "up" != before:
                self._ask_below(watch.check.target)
            if self.cases.holding:
                self._reconsider_held(draft)

    def _settle(
        self, watch: Watch, rule: Rule, verdict: Verdict, draft: Draft, evidence: Sequence[Evidence] = ()
    ) -> None:
        key = f"{rule.id}/{watch.check.id}"
        if verdict.level is not Level.FIRING and key not in self.cases:
            return
        depends = CLEAR
        if verdict.level is Level.FIRING and not isinstance(rule.predicate, Threshold):
            depends = self._uplinks.dependency(watch.check, verdict.since)  # a threshold was measured: the way is there
        before = self.cases.get(key)
        self.cases.settle(watch.subject(rule), verdict, depends, draft, patience=self._uplinks.patience(watch.check))
        after = self.cases.get(key)
        if after is not None and (before is None or after.severity.rank > before.severity.rank):
            draft.evidence.extend(Piece(after.id, verdict.at, one) for one in evidence)

    def _note_attempt(self, watch: Watch, observation: Observation, draft: Draft) -> None:
        if watch.retrieval_rule is None or observation.passive:  # who reports has shown nobody a picture
            return
        episode = attempt(watch.episode, observation, new_id=self._new_id(observation.started_at))
        if episode is None:
            return
        fresh = episode is not watch.episode
        watch.episode = episode
        if fresh:
            draft.retrievals[episode.id] = episode
        self._judge_episode(watch, self._clock.now(), draft, observation.evidence)
        if episode.ended_at is not None:
            watch.episode = None
        else:
            self._retry(watch, observation)

    def _judge_episode(self, watch: Watch, now: float, draft: Draft, evidence: Sequence[Evidence] = ()) -> None:
        rule = watch.retrieval_rule
        if rule is None or watch.episode is None or not isinstance(rule.predicate, RetrievalLimit):
            return
        self._settle(watch, rule, judge_retrieval(rule, rule.predicate, watch.episode, now), draft, evidence)

    def _retry(self, watch: Watch, observation: Observation) -> None:
        interval = watch.retry_interval
        if interval is not None:
            self._hasten(watch.check.id, max(0.0, interval - observation.took))

    # -- what hangs on what -----------------------------------------------------------------------------------

    def _ask_above(self, check: Check) -> None:
        for one in self._uplinks.above(check):
            self._hasten(one)

    def _ask_below(self, target: Target) -> None:
        """The target is back: whatever failed meanwhile and was not told must fail anew before it is."""
        now = self._clock.now()
        caused = defaultdict[str, list[Incident]](list)
        for incident in self.cases.untold:
            if incident.cause == target.id:
                caused[incident.subject].append(incident)
        for watch in self._uplinks.below(target.id):
            if watch.check.id in caused:
                for incident in caused[watch.check.id]:
                    self.cases.hold(incident, now + watch.confirmation + self._uplinks.patience(watch.check))
            elif watch.confirmed == "down" or watch.view.state != "failing":
                continue  # told already, or caused by something else; or nothing is wrong with it
            watch.forget(now)
            self._hasten(watch.check.id)

    def _reconsider_held(self, draft: Draft) -> None:
        for incident in self.cases.untold:
            watch = self._watches.get(incident.subject)
            if watch is None or incident.verdict is None or incident.telling is not Telling.HELD:
                continue
            if incident.verdict.at <= watch.fresh_after:
                continue  # it is being asked anew
            rule = watch.rule(incident.rule)
            if rule is not None:
                verdict = replace(incident.verdict, level=Level.FIRING, at=self._clock.now())
                self._settle(watch, rule, verdict, draft)

    def dependents(self, target: str) -> list[str]:
        """Ids of all targets that hang on this one, directly or through others."""
        return self._uplinks.dependents(target)

    # -- commit -----------------------------------------------------------------------------------------------

    def _finish(self, draft: Draft) -> None:
        if draft.empty:
            for view in draft.views:
                self._snapshot.changed(view)
            return
        self._store.commit(draft.commit()).add_done_callback(partial(self._written, draft))

    def _written(self, draft: Draft, written: asyncio.Future[None]) -> None:
        if written.cancelled():
            return
        error = written.exception()
        if isinstance(error, StoreFailed):
            self.failed(draft, error)
        elif error is not None:
            raise error
        for incident in draft.incidents.values():
            self._snapshot.incident(incident)
            if incident.state is State.RESOLVED and incident.resolved_at is not None:
                self._ended.append((incident.resolved_at, incident.id))
        for view in draft.views:
            self._snapshot.changed(view)
        note_incidents(draft)
        if draft.notices:
            self.committed()
        for incident in draft.incidents.values():
            if incident.state is State.OPEN and incident.telling is not Telling.SUPPRESSED:
                self.opened(incident)
