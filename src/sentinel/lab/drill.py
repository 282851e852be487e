"""What is broken in the lab, and what follows from it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sentinel.config.problems import did_you_mean
from sentinel.domain.target import Target
from sentinel.lab.faults import DOWN, PARENT, SWITCH_DOWN, fitting
from sentinel.lab.servers import FAULTS

NOTHING: frozenset[str] = frozenset()


class Refused(Exception):
    """An order that makes no sense; the text says why, and what would."""


@dataclass(slots=True)
class Drill:
    """Which target has which faults.

    ``abilities`` are what each target can do (see ``faults``); ``faults`` are what was ordered, never what follows.
    """

    targets: Mapping[str, Target]
    abilities: Mapping[str, frozenset[str]]
    faults: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def over(cls, targets: Mapping[str, Target], abilities: Mapping[str, frozenset[str]]) -> Drill:
        """A drill with nothing broken; that a target has children is found here."""
        parents = {parent for target in targets.values() for parent in target.parents}
        able = {id_: abilities.get(id_, NOTHING) | ({PARENT} if id_ in parents else NOTHING) for id_ in targets}
        return cls(targets, able)

    def break_(self, target: str, fault: str) -> None:
        """Add a fault to a target; that it has it already is no error.

        Raises:
            Refused: no such target, no such fault, or one that does not fit.
        """
        self._known(target)
        if fault not in FAULTS:
            raise Refused(f"no fault `{fault[:80]}`{did_you_mean(fault, FAULTS)}")
        fits = fitting(self.abilities[target], FAULTS)
        if fault not in fits:
            instead = f"what fits: {', '.join(fits)}" if fits else "nothing does: the lab simulates none of its checks"
            raise Refused(f"`{fault}` does not fit {target}; {instead}")
        self.faults[target] = self.faults.get(target, NOTHING) | {fault}

    def heal(self, target: str) -> frozenset[str]:
        """Take all faults from a target; the faults that it had.

        Raises:
            Refused: no such target, or one that is only down because of another.
        """
        self._known(target)
        had = self.faults.pop(target, NOTHING)
        if not had and (causes := self.causes(target)):
            raise Refused(f"{target} itself is well; it is cut off by {', '.join(causes)}: heal that")
        return had

    def effective(self, target: str) -> frozenset[str]:
        """The faults of a target, those that follow from what it hangs on among them."""
        own = self.faults.get(target, NOTHING)
        return own | {DOWN} if self._cut(target, {}) else own

    def all_effective(self) -> dict[str, frozenset[str]]:
        """Every target that is not well."""
        cut: dict[str, bool] = {}
        found = {
            id_: self.faults.get(id_, NOTHING) | ({DOWN} if self._cut(id_, cut) else NOTHING) for id_ in self.targets
        }
        return {id_: faults for id_, faults in found.items() if faults}

    def causes(self, target: str) -> tuple[str, ...]:
        """The targets whose ``switch-down`` cuts this one off, nearest first; empty where it is not cut off."""
        if not self._cut(target, {}):
            return ()
        found: dict[str, None] = {}
        ahead = [target]
        while ahead:
            each = ahead.pop(0)
            if SWITCH_DOWN in self.faults.get(each, NOTHING):
                found[each] = None
            else:
                ahead += self.targets[each].parents
        return tuple(found)

    def spared(self, target: str) -> tuple[str, ...]:
        """What hangs on a target that is switched off, and still has another way."""
        return tuple(id_ for id_, each in self.targets.items() if target in each.parents and not self._cut(id_, {}))

    def _cut(self, target: str, known: dict[str, bool]) -> bool:
        # Parents are alternatives: the way is cut only where all of them are.  The configuration has no cycles.
        if target not in known:
            parents = self.targets[target].parents
            known[target] = SWITCH_DOWN in self.faults.get(target, NOTHING) or (
                bool(parents) and all(self._cut(parent, known) for parent in parents)
            )
        return known[target]

    def _known(self, target: str) -> None:
        if target not in self.targets:
            raise Refused(f"no target `{target[:80]}`{did_you_mean(target, self.targets)}")
