"""What hangs on what: whether a fault is the target's own or that of something it hangs on.

A target's ``parents`` are alternatives, as Nagios has them: the way is cut only when all are.  A check that is not
its target's reachability check hangs on that one as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sentinel.domain.incident import CLEAR, Dependency, Standing
from sentinel.domain.target import Check, Target


@dataclass(frozen=True, slots=True)
class Reach:
    """A target's reachability as last seen.

    ``state`` is ``up``, ``failing``, ``down`` or ``unknown`` (not measured, or nothing measures it);
    ``answered_at`` is the start of the last probe that was answered, UTC epoch seconds.
    """

    state: str
    answered_at: float = 0.0


def dependency(check: Check, since: float, targets: Mapping[str, Target], reach: Callable[[str], Reach]) -> Dependency:
    """How what the check hangs on stands, for a fault that began at ``since``.

    CLEAR only where it answered a probe that started after the fault began; WAIT while that is being asked.
    """
    target = check.target
    if target.reachability not in (None, check.id):
        own = _standing_of(target, since, targets, reach, frozenset())
        if own.standing is not Standing.CLEAR:
            return own
        if reach(target.id).state == "up":
            return CLEAR  # the target itself answers, so its parents carry
    return _through_parents(target, since, targets, reach, frozenset({target.id}))


def _through_parents(
    target: Target,
    since: float,
    targets: Mapping[str, Target],
    reach: Callable[[str], Reach],
    seen: frozenset[str],
) -> Dependency:
    standings = [
        _standing_of(targets[parent], since, targets, reach, seen)
        for parent in target.parents
        if parent in targets and parent not in seen
    ]
    if not standings or any(one.standing is Standing.CLEAR for one in standings):
        return CLEAR
    waiting = [one for one in standings if one.standing is Standing.WAIT]
    return waiting[0] if waiting else standings[0]


def _standing_of(
    target: Target,
    since: float,
    targets: Mapping[str, Target],
    reach: Callable[[str], Reach],
    seen: frozenset[str],
) -> Dependency:
    seen = seen | {target.id}
    seen_now = reach(target.id)
    if seen_now.state == "up" and seen_now.answered_at >= since:
        return CLEAR
    above = _through_parents(target, since, targets, reach, seen)
    if above.standing is Standing.BLOCKED:
        return above  # the cause is named as far up as it goes
    if seen_now.state == "down":
        return Dependency(Standing.BLOCKED, target.id)  # a cause further up is named once it is confirmed
    if seen_now.state == "unknown":
        return above
    return Dependency(Standing.WAIT, target.id)
