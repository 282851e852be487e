"""What one check was told, and what follows from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.snmp_trap.message import Notification, Raw
from sentinel.protocols.snmp_trap.options import TrapOptions
from sentinel.protocols.snmp_trap.profile import Mapped
from sentinel.wire.device_text import text
from sentinel.wire.mib_names import standard

MOST_PROBLEMS: Final = 64
"""Of one check; a switch that loses all its ports is broken enough."""
_SHOWN: Final = 5
_KEY_LENGTH: Final = 64


@dataclass(slots=True)
class Problem:
    """Something that was reported and is not over; ``until`` is on the monotonic clock, None where a trap ends it."""

    text: str
    until: float | None = None


@dataclass(slots=True)
class Watch:
    """One check's state.  Times are seconds on the monotonic clock."""

    options: TrapOptions
    problems: OrderedDict[str, Problem] = field(default_factory=OrderedDict)
    count: int = 0
    last: float | None = None
    facts: dict[str, str] = field(default_factory=dict)

    def take(self, notification: Notification, now: float) -> Mapped | None:
        """Take in a notification; what the profile says of it, None where it says nothing."""
        self.count += 1
        self.last = now
        shown = standard().shown(notification.trap)
        name, mapped = _mapped(self.options, notification)
        self.facts = {"trap": text(shown if mapped is None else f"{name} ({shown})")}
        if mapped is None:
            return None
        told = _told(mapped, notification.variables)
        if told:
            self.facts["text"] = told
        if mapped.problem is None:
            return mapped
        key = _key(mapped, notification.variables)
        if mapped.state == "ok":
            # Word without the key (ifIndex) ends all of the kind: it can't be told which is meant.
            for known in [each for each in self.problems if each == key or (key == mapped.problem and _of(each, key))]:
                del self.problems[known]
        else:
            until = None if mapped.expires is None else now + mapped.expires
            self.problems[key] = Problem(told or key, until)
            self.problems.move_to_end(key)
            if len(self.problems) > MOST_PROBLEMS:
                self.problems.popitem(last=False)
        return mapped

    def measurement(self, now: float) -> Measurement:
        """The check's state as a result; failed as long as a problem is open."""
        for key in [
            key for key, problem in self.problems.items() if problem.until is not None and problem.until <= now
        ]:
            del self.problems[key]
        values = {"traps": float(self.count), "problems": float(len(self.problems))}
        if self.last is not None:
            values["last_trap_age_seconds"] = now - self.last
        failure = None
        if self.problems:
            told = [problem.text for problem in reversed(self.problems.values())]
            more = f"; … ({len(told)})" if len(told) > _SHOWN else ""
            failure = Failure("trap", "reported", ("; ".join(told[:_SHOWN]) + more)[:500])
        return Measurement(0.0, failure, values=values, facts=dict(self.facts))

    def memory(self) -> dict[str, float]:
        """What is kept over a restart: the problems that only a trap ends."""
        return {key: 1.0 for key, problem in self.problems.items() if problem.until is None}

    def remember(self, memory: Mapping[str, float]) -> None:
        """Take up what was kept, of those kinds that the profile still has."""
        kinds = {mapped.problem for mapped in self.options.mapping.traps.values()}
        for key in list(memory)[:MOST_PROBLEMS]:
            if key.partition(" ")[0] in kinds:
                self.problems.setdefault(key, Problem(key))


def _mapped(options: TrapOptions, notification: Notification) -> tuple[str, Mapped | None]:
    for name, mapped in options.mapping.traps.items():
        if _below(notification.trap, mapped.oid) and all(
            any(
                _below(oid, each.oid) and each.matches.found_in(_shown(raw))
                for oid, raw in notification.variables.items()
            )
            for each in mapped.when
        ):
            return name, mapped
    return "", None


def _told(mapped: Mapped, variables: Mapping[str, Raw]) -> str:
    told = mapped.text
    for place, oid in enumerate(mapped.texts):
        told = told.replace(f"{{{place}}}", _shown(_value(oid, variables))[:60])
    return text(told)


def _key(mapped: Mapped, variables: Mapping[str, Raw]) -> str:
    """The kind of a problem, and which of its kind where the variables say that."""
    which = _shown(_value(mapped.key, variables))[:_KEY_LENGTH] if mapped.key else ""
    return f"{mapped.problem} {which}" if which else str(mapped.problem)


def _of(key: str, kind: str) -> bool:
    return key.startswith(f"{kind} ")


def _value(column: str, variables: Mapping[str, Raw]) -> Raw:
    return next((raw for oid, raw in variables.items() if _below(oid, column)), None)


def _shown(raw: Raw) -> str:
    return text(raw)


def _below(oid: str, above: str) -> bool:
    return oid == above or oid.startswith(f"{above}.")
