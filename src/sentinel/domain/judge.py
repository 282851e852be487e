"""Judgement: from observations to a rule's verdict, by windows that forget nothing that matters.

A window belongs to one rule and one check.  It is small, changes only here, and knows no clock: whatever time it
speaks of came in with an observation or a tick.
"""

from __future__ import annotations

from dataclasses import dataclass

from sentinel.domain.baseline import NOTHING_USUAL, CheckBaseline, Usual, hour_of
from sentinel.domain.incident import Level, Verdict
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.retrieval import Retrieval
from sentinel.domain.rule import Down, RetrievalLimit, Rule, Severity, Threshold


@dataclass(slots=True)
class Window:
    """The last results of one check under one rule.

    ``bits`` holds the last ``of`` results, the newest lowest, 1 for broken.  ``good`` counts good results in a row.
    ``since`` is when the first of the broken ones was seen, or, while recovering, the first good one.
    """

    bits: int = 0
    good: int = 0
    firing: bool = False
    since: float = 0.0
    good_since: float = 0.0
    severity: Severity | None = None

    @property
    def quiet(self) -> bool:
        """Nothing broken is remembered: a good result changes nothing."""
        return not self.bits and not self.firing

    def restore(self, since: float) -> None:
        """An incident of this window was open when the daemon stopped."""
        self.firing, self.since = True, since

    def forget(self) -> None:
        """Start from nothing: what hung on a broken parent must fail anew before it is told."""
        self.bits, self.good, self.firing = 0, 0, False


def judge(
    rule: Rule, window: Window, observation: Observation, baseline: CheckBaseline = NOTHING_USUAL
) -> Verdict | None:
    """The rule's verdict after one more observation; None where the rule does not speak of observations.

    ``baseline`` is what is usual of the check.
    """
    predicate = rule.predicate
    if isinstance(predicate, Down):
        return _judge_down(rule, predicate, window, observation)
    if isinstance(predicate, Threshold):
        if predicate.deviates is None:
            return _judge_threshold(rule, predicate, window, observation)
        return _judge_deviation(rule, predicate, window, observation, baseline)
    return None


def _judge_down(rule: Rule, down: Down, window: Window, observation: Observation) -> Verdict:
    at = observation.ended_at
    if observation.outcome is Outcome.UNKNOWN:
        return _verdict(rule, window, Level.UNKNOWN, at, observation)
    broken = observation.outcome is Outcome.FAILED
    level = _advance(window, broken=broken, at=at, failures=down.failures, of=down.of, recover=down.recover)
    return _verdict(rule, window, level, at, observation)


def _judge_threshold(rule: Rule, threshold: Threshold, window: Window, observation: Observation) -> Verdict:
    at = observation.ended_at
    # What a failed probe measured (100 % loss) is no second fault beside the failure: that is a Down rule's.
    observed = worst(threshold, observation) if observation.outcome is Outcome.OK else None
    if observed is None:
        return _verdict(rule, window, Level.UNKNOWN, at, observation)
    key, value = observed
    level, limit = _measured(rule, threshold, window, value, at)
    since = window.good_since if level is Level.OK else window.since
    return Verdict(level, window.severity or rule.severity, at, since, value=key, observed=value, limit=limit)


def _judge_deviation(
    rule: Rule, threshold: Threshold, window: Window, observation: Observation, baseline: CheckBaseline
) -> Verdict:
    at = observation.ended_at
    found = _strangest(threshold, observation, baseline) if observation.outcome is Outcome.OK else None
    if found is None:  # not measured, or nothing is known of this hour: no reason to open anything, nor to end it
        return _verdict(rule, window, Level.UNKNOWN, at, observation)
    strays, key, value, usual = found
    level, limit = _measured(rule, threshold, window, strays, at)
    low, high = usual.around(limit, threshold.floor)
    return Verdict(
        level,
        window.severity or rule.severity,
        at,
        window.good_since if level is Level.OK else window.since,
        value=key,
        observed=value,
        limit=high if value > usual.centre else low,
        usual=usual.around(_limit(threshold), threshold.floor),
    )


def _measured(rule: Rule, threshold: Threshold, window: Window, figure: float, at: float) -> tuple[Level, float]:
    """The level after one more figure, and the limit that it is beyond or would have to be beyond."""
    limit, severity = _breach(rule, threshold, figure)
    clear = threshold.clear
    if limit is None and window.firing and clear is not None and _beyond(threshold, figure, clear):
        # Hysteresis: not broken any more, but not yet beyond the clear mark: as it was.
        limit, severity = clear, window.severity or rule.severity
    level = _advance(window, broken=limit is not None, at=at, failures=threshold.failures, of=threshold.of, recover=1)
    if limit is not None:
        window.severity = severity
    return level, limit if limit is not None else _limit(threshold)


def judge_retrieval(rule: Rule, limit: RetrievalLimit, episode: Retrieval, now: float) -> Verdict:
    """The retrieval promise of an episode, by its age: the worst mark that it has passed."""
    elapsed = episode.elapsed(now)
    passed = [severity for fraction, severity in limit.warnings if elapsed >= fraction * limit.limit]
    severity = rule.severity if elapsed >= limit.limit else (passed[-1] if passed else None)
    if episode.shown or episode.ended_at is not None:
        level = Level.OK
    else:
        level = Level.PENDING if severity is None else Level.FIRING
    return Verdict(
        level,
        severity or rule.severity,
        now,
        episode.started_at,
        stage=episode.stage,
        code=episode.code,
        value="retrieval_seconds",
        observed=elapsed,
        limit=limit.limit,
    )


def worst(threshold: Threshold, observation: Observation) -> tuple[str, float] | None:
    """The value that the threshold speaks of, with its key; of several items the one closest to breaking it."""
    name = threshold.value
    if name == "took":
        return None if observation.passive else (name, observation.took)
    if name.startswith("stage:"):
        seconds = observation.stages.get(name[6:])
        return None if seconds is None else (name, seconds)
    values = observation.values
    if name in values:
        return name, values[name]
    items = [(key, value) for key, value in values.items() if key.partition(":")[0] == name]
    if not items:
        return None
    pick = max if threshold.above is not None else min
    return pick(items, key=lambda item: item[1])


def breaks(threshold: Threshold, observation: Observation) -> bool:
    """Whether a good result is beyond any of the threshold's marks; false where it does not hold the value."""
    observed = worst(threshold, observation)
    return observed is not None and (
        _beyond(threshold, observed[1], _limit(threshold))
        or any(_beyond(threshold, observed[1], limit) for limit, _ in threshold.severity_at)
    )


def _strangest(
    threshold: Threshold, observation: Observation, baseline: CheckBaseline
) -> tuple[float, str, float, Usual] | None:
    """Of the value or its items the one furthest from usual: spreads, key, value, and what is usual at that hour."""
    hour = hour_of(observation.started_at)
    name, values = threshold.value, observation.values
    known: list[tuple[float, str, float, Usual]] = []
    for key, value in ((name, values[name]),) if name in values else values.items():
        day = baseline.get(key) if key.partition(":")[0] == name else None
        usual = day.get(hour) if day is not None else None
        if usual is not None:
            known.append((usual.strays(value, threshold.floor), key, value, usual))
    return max(known, key=lambda one: one[0], default=None)


def _breach(rule: Rule, threshold: Threshold, figure: float) -> tuple[float | None, Severity]:
    marks = [(_limit(threshold), rule.severity), *threshold.severity_at]
    broken = [(limit, severity) for limit, severity in marks if _beyond(threshold, figure, limit)]
    return max(broken, key=lambda mark: mark[1].rank) if broken else (None, rule.severity)


def _limit(threshold: Threshold) -> float:
    limit = threshold.above if threshold.above is not None else threshold.deviates
    return limit if limit is not None else threshold.below or 0.0  # the configuration sees to it that there is one


def _beyond(threshold: Threshold, figure: float, limit: float) -> bool:
    return figure < limit if threshold.below is not None else figure > limit


def _advance(window: Window, *, broken: bool, at: float, failures: int, of: int, recover: int) -> Level:
    if broken and not window.bits and not window.firing:
        window.since = at
    window.bits = (window.bits << 1 | broken) & ((1 << of) - 1)
    if broken:
        window.good = 0
        window.firing = window.firing or window.bits.bit_count() >= failures
        return Level.FIRING if window.firing else Level.PENDING
    if window.good == 0:
        window.good_since = at
    window.good += 1
    if window.firing:
        if window.good < recover:
            return Level.PENDING
        window.bits, window.firing = 0, False
    return Level.PENDING if window.bits else Level.OK


def _verdict(rule: Rule, window: Window, level: Level, at: float, observation: Observation) -> Verdict:
    failure = observation.failure
    since = window.good_since if level is Level.OK else window.since
    if failure is None:
        return Verdict(level, rule.severity, at, since)
    return Verdict(level, rule.severity, at, since, failure.stage, failure.code, failure.detail)
