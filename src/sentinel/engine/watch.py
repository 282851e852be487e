"""One check as the pipeline watches it: its rules' windows, its state, its retrieval episode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sentinel.domain.baseline import NOTHING_USUAL, CheckBaseline, covers
from sentinel.domain.failure import Failure
from sentinel.domain.incident import Subject
from sentinel.domain.judge import Window, breaks
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.retrieval import Retrieval
from sentinel.domain.rule import Down, RetrievalLimit, Rule, Threshold
from sentinel.domain.target import Check
from sentinel.engine.ports import Status
from sentinel.engine.runner import NO_VANTAGE
from sentinel.engine.snapshot import CheckView


@dataclass(slots=True)
class Watch:
    """``confirmed`` is the last state written (``up``, ``down``, ``unknown``, ``unobserved``, empty before the first).

    ``marked_at`` is that state's beginning (UTC epoch seconds).
    ``fresh_after``: results of probes that started earlier (UTC epoch seconds) are shown and not judged; ``anew``:
    none that started later was judged yet.
    ``baseline`` is what is usual of the check, ``learned`` the values of it that are kept by the hour.
    ``answered_at`` is the start of the last probe that was answered (UTC epoch seconds), ``seen`` when the last
    result came (monotonic seconds).
    """

    check: Check
    view: CheckView
    judged: tuple[tuple[Rule, Window], ...]
    retrieval_rule: Rule | None
    others: tuple[Rule, ...]
    confirmed: str = ""
    marked_at: float = 0.0
    answered_at: float = 0.0
    seen: float = 0.0
    fresh_after: float = 0.0
    anew: bool = False
    episode: Retrieval | None = None
    calm: bool = False
    baseline: CheckBaseline = field(default_factory=dict)
    learned: frozenset[str] = frozenset()
    thresholds: tuple[Threshold, ...] = ()
    _subjects: dict[str, Subject] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        check: Check,
        rules: Iterable[Rule],
        baseline: CheckBaseline = NOTHING_USUAL,
        learned: frozenset[str] = frozenset(),
    ) -> Watch:
        """Watch a check under the rules that apply to it; one that compares has to know what is usual."""
        rules = tuple(rule for rule in rules if comparable(rule, baseline))
        judged = tuple((rule, Window()) for rule in rules if isinstance(rule.predicate, Down | Threshold))
        retrieval = next((rule for rule in rules if isinstance(rule.predicate, RetrievalLimit)), None)
        view = CheckView(check, state="pending" if check.vantage is not None else "unobserved")
        marks = tuple(rule.predicate for rule in rules if isinstance(rule.predicate, Threshold))
        return cls(check, view, judged, retrieval, rules, baseline=baseline, learned=learned, thresholds=marks)

    def take_over(self, before: Watch, *, keep_memory: bool) -> None:
        """Go on where the watch of an older configuration was.

        A check that was changed keeps what was confirmed of it and its open windows, and proves itself anew.
        """
        self.view = before.view
        self.view.check = self.check
        if (self.check.vantage is None) != (before.check.vantage is None):
            self.view.state = "pending" if self.check.vantage is not None else "unobserved"
            self.view.observation = None
        self.confirmed, self.marked_at, self.answered_at = before.confirmed, before.marked_at, before.answered_at
        self.fresh_after, self.anew = before.fresh_after, before.anew
        self.episode = before.episode
        windows = {rule.id: (rule, window) for rule, window in before.judged}
        kept = []
        for rule, window in self.judged:
            old_rule, old = windows.get(rule.id, (None, None))
            kept.append((rule, old if keep_memory and old is not None and old_rule == rule else window))
        self.judged = tuple(kept)

    def unmoved(self, observation: Observation) -> bool:
        """Whether all was well before this result and is with it, as with most: then nothing follows from it."""
        if not self.calm or observation.failure is not None:
            return False
        return not any(breaks(threshold, observation) for threshold in self.thresholds)

    @property
    def is_reachability(self) -> bool:
        """Whether this check says if its target answers at all."""
        return self.check.target.reachability == self.check.id

    @property
    def retry_interval(self) -> float | None:
        """Seconds between attempts while a question is open: the shortest that a rule asks for."""
        return min((rule.retry_interval for rule in self.others), default=None)

    @property
    def confirmation(self) -> float:
        """Seconds within which a failure of this check is confirmed or refuted, once it is asked."""
        failures = max(
            (rule.predicate.failures for rule, _ in self.judged if isinstance(rule.predicate, Down)), default=1
        )
        return failures * (max(self.retry_interval or 0.0, self.check.timeout) + 0.5)

    def has(self, rule: str) -> bool:
        """Whether the rule applies to this check."""
        return self.rule(rule) is not None

    def rule(self, rule: str) -> Rule | None:
        """The rule with this id, if it applies."""
        return next((one for one in self.others if one.id == rule), None)

    def subject(self, rule: Rule) -> Subject:
        """Whom an incident of the rule with this check is about; the labels are its identity."""
        subject = self._subjects.get(rule.id)
        if subject is None:
            subject = self._subjects[rule.id] = _subject(rule, self.check)
        return subject

    def note(self, observation: Observation, seen: float) -> None:
        """Count a result and show it."""
        view = self.view
        view.observation = _merged(view.observation, observation) if observation.passive else observation
        view.counts[observation.outcome] += 1
        if observation.failure is None:
            self.answered_at = observation.started_at
        else:
            view.failures[observation.failure.stage, observation.failure.code] += 1
        self.seen = seen

    def lesson(self, observation: Observation) -> Mapping[str, float]:
        """Of a result that was judged, what a baseline may be learned from: nothing while anything is wrong."""
        if observation.failure is not None or observation.passive or self.episode is not None:
            return {}
        if any(window.bits or window.firing for _, window in self.judged):
            return {}
        return {key: value for key, value in observation.values.items() if key.partition(":")[0] in self.learned}

    def move(self, observation: Observation) -> Status | None:
        """Advance the state; the status to write where the confirmed state changed."""
        state, since = self._state(observation)
        if state != self.view.state:
            self.view.state, self.view.since = state, since
        self.calm = state == "up" and self._forgetful
        if state in {"failing", self.confirmed}:
            return None
        if since < self.marked_at:  # a fault from before a stop or a time in which we could not measure: known from now
            since = observation.started_at
        return self._mark(since, state)

    def unobserved(self, at: float) -> Status | None:
        """Nobody looks from ``at`` on; the status to write where that is news."""
        if self.confirmed in {"", "unobserved"}:
            return None
        return self._mark(at, "unobserved")

    def _mark(self, at: float, state: str) -> Status:
        # Never before the one before, whatever the clock says: the order of the marks is what happened.
        self.confirmed, self.marked_at = state, max(at, self.marked_at)
        return Status(self.check.id, self.marked_at, state)

    def shift(self, seconds: float) -> None:
        """The wall clock was set by so much.  Marks are labels on the disk already, and stay."""
        self.answered_at += seconds
        self.fresh_after += seconds
        self.view.since += seconds
        for _, window in self.judged:
            window.since += seconds
            window.good_since += seconds
        if self.episode is not None:
            self.episode = replace(self.episode, started_at=self.episode.started_at + seconds)

    def forget(self, at: float) -> None:
        """Must fail anew, in probes that start after ``at``, before anything is said of it."""
        self.fresh_after, self.anew = at, True
        for _, window in self.judged:
            window.forget()
        self.calm = False

    def _state(self, observation: Observation) -> tuple[str, float]:
        if observation.outcome is Outcome.UNKNOWN:
            return "unknown", observation.started_at
        windows = [window for rule, window in self.judged if isinstance(rule.predicate, Down)]
        firing = [window for window in windows if window.firing]
        if firing:
            return "down", firing[0].since
        failed = observation.outcome is Outcome.FAILED
        if failed and not windows:
            return "down", observation.started_at
        if failed or any(window.bits for window in windows):
            return "failing", observation.started_at
        return "up", observation.started_at

    @property
    def _forgetful(self) -> bool:
        """A good result within its limits would change nothing: nothing broken is remembered, no picture counted."""
        return self.retrieval_rule is None and all(_settled(rule, window) for rule, window in self.judged)


def _settled(rule: Rule, window: Window) -> bool:
    predicate = rule.predicate
    if not window.quiet:
        return False
    # A limit must have been kept once: an incident may be open that only this ends.
    return isinstance(predicate, Down) or (
        isinstance(predicate, Threshold) and predicate.deviates is None and window.good > 0
    )


def comparable(rule: Rule, baseline: CheckBaseline) -> bool:
    """Whether a rule can say anything of a check with this baseline."""
    predicate = rule.predicate
    return not isinstance(predicate, Threshold) or predicate.deviates is None or covers(baseline, predicate.value)


def _subject(rule: Rule, check: Check) -> Subject:
    target = check.target
    labels = {
        "alertname": rule.id,
        "check": check.id,
        "target": target.id,
        "probe": check.probe,
        "kind": target.kind,
        "zone": target.zone,
    }
    for name in ("venue", "room", "system"):
        value = getattr(target, name)
        if value:
            labels[name] = value
    return Subject(f"{rule.id}/{check.id}", rule.id, check.id, target.id, target.name, labels)


def _merged(before: Observation | None, report: Observation) -> Observation:
    """What is shown after a report: the last probe's timings, and what it measured where both say that all is well."""
    if before is None:
        return report
    values, facts = report.values, report.facts
    if before.failure is None is report.failure:
        values, facts = {**before.values, **values}, {**before.facts, **facts}
    return replace(report, took=before.took, stages=before.stages, values=values, facts=facts)


def unseen(check: Check, at: float) -> Observation:
    """What is known of a check that no vantage reaches, as of ``at`` (UTC epoch seconds): that nobody looked."""
    failure = Failure("vantage", "no_vantage", f"no vantage reaches the zone {check.target.zone}")
    return Observation(check.id, at, at, 0.0, NO_VANTAGE, Outcome.UNKNOWN, failure)
