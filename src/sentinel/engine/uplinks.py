"""What hangs on what now: the targets' parents, with what their reachability checks last saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sentinel.domain.dependency import Reach, dependency
from sentinel.domain.incident import Dependency
from sentinel.domain.target import Check, Target
from sentinel.engine.watch import Watch


class Uplinks:
    """Targets by id and watches by check id, both as the configuration in force has them."""

    def __init__(self, targets: Mapping[str, Target], watches: Mapping[str, Watch]) -> None:
        self._targets = targets
        self._watches = watches
        self._children = _children(targets.values())
        self._on: dict[str, list[Watch]] = {}
        for watch in watches.values():
            self._on.setdefault(watch.check.target.id, []).append(watch)

    def dependency(self, check: Check, since: float) -> Dependency:
        """How what the check hangs on stands, for a fault that began at ``since`` (UTC epoch seconds)."""
        return dependency(check, since, self._targets, self._reach)

    def patience(self, check: Check) -> float:
        """Seconds that the targets above may take to settle their own question: what the slowest needs, and one."""
        above = [self._watches[one] for one in self.above(check) if one in self._watches]
        return 1.0 + max((watch.confirmation for watch in above), default=0.0)

    def above(self, check: Check) -> Iterator[str]:
        """The reachability checks of the target itself and of its parents, all the way up."""
        seen, queue = set[str](), [check.target.id]
        while queue:
            target = self._targets.get(queue.pop())
            if target is None or target.id in seen:
                continue
            seen.add(target.id)
            if target.reachability and target.reachability != check.id:
                yield target.reachability
            queue.extend(target.parents)

    def dependents(self, target: str) -> list[str]:
        """Ids of all targets that hang on this one, directly or through others."""
        found, queue = dict[str, None](), [target]
        while queue:
            for child in self._children.get(queue.pop(), ()):
                if child not in found and child != target:
                    found[child] = None
                    queue.append(child)
        return list(found)

    def below(self, target: str) -> Iterator[Watch]:
        """All checks of the target and of what hangs on it, but for its own reachability check."""
        for one in (target, *self.dependents(target)):
            for watch in self._on.get(one, ()):
                if one != target or not watch.is_reachability:
                    yield watch

    def _reach(self, target: str) -> Reach:
        found = self._targets.get(target)
        watch = self._watches.get(found.reachability) if found and found.reachability else None
        if watch is None:
            return Reach("unknown")
        state = watch.view.state
        if state == "failing" and watch.confirmed == "down":
            state = "down"  # it answered once or is being confirmed anew: down until that is settled
        if state == "pending":
            state = "failing"  # not asked yet since the start: an answer is on its way
        return Reach("unknown" if state == "unobserved" else state, watch.answered_at)


def _children(targets: Iterable[Target]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for target in targets:
        for parent in target.parents:
            children.setdefault(parent, []).append(target.id)
    return children
