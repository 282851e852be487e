"""The open incidents: each verdict is stepped, recorded and announced here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sentinel.domain.incident import (
    Dependency,
    Incident,
    State,
    Subject,
    Telling,
    Transition,
    Verdict,
    close,
    step,
    undecided,
)
from sentinel.domain.notice import Notice
from sentinel.engine.draft import Draft

Announce = Callable[[Incident, Transition], tuple[Incident, Sequence[Notice]]]
"""Who is told of a transition, and what: the incident with the channels that know of it, and a notice for each."""


class Cases:
    """Open incidents by key (``<rule>/<subject>``)."""

    def __init__(self, announce: Announce, new_id: Callable[[float], str]) -> None:
        self.announce = announce
        self._new_id = new_id
        self._open: dict[str, Incident] = {}
        self._hold_until: dict[str, float] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._open

    def __iter__(self) -> Iterator[Incident]:
        return iter(tuple(self._open.values()))

    def get(self, key: str) -> Incident | None:
        """The open incident with this key."""
        return self._open.get(key)

    def restore(self, incidents: Sequence[Incident], hold_until: float) -> None:
        """Take up what was open when the daemon stopped; what was held then is held until ``hold_until``."""
        for incident in incidents:
            self._open[incident.key] = incident
            if incident.telling is Telling.HELD:
                self._hold_until[incident.key] = hold_until

    @property
    def untold(self) -> list[Incident]:
        """Held or suppressed incidents."""
        return [incident for incident in self._open.values() if incident.telling is not Telling.TOLD]

    @property
    def holding(self) -> bool:
        """Whether any incident waits for its parent's answer."""
        return bool(self._hold_until)

    def settle(
        self, subject: Subject, verdict: Verdict, dependency: Dependency, draft: Draft, *, patience: float = 0.0
    ) -> None:
        """Take a verdict to its incident.  ``patience``: how long it may be held for a parent's answer, seconds."""
        before = self._open.get(subject.key)
        after, transition = step(before, subject, verdict, dependency, new_id=self._new_id(verdict.at))
        if after is None:
            return
        self._record(after, transition, draft)
        if after.telling is Telling.HELD and after.state is State.OPEN:
            self._hold_until.setdefault(after.key, verdict.at + patience)
        else:
            self._hold_until.pop(after.key, None)

    def hold(self, incident: Incident, until: float) -> None:
        """Hold an incident that is held anyway until then (UTC epoch seconds): what it waits for is asked anew."""
        if incident.key in self._hold_until:
            self._hold_until[incident.key] = until

    def shift(self, seconds: float) -> None:
        """The wall clock was set by so much."""
        self._hold_until = {key: until + seconds for key, until in self._hold_until.items()}

    def lapse(self, now: float, draft: Draft) -> None:
        """Tell what was held for too long."""
        for key in [key for key, until in self._hold_until.items() if until <= now]:
            del self._hold_until[key]
            self._record(*undecided(self._open[key], now), draft)

    def end(self, incident: Incident, now: float, reason: str, draft: Draft) -> None:
        """Close an incident whose check or rule is gone."""
        self._hold_until.pop(incident.key, None)
        self._record(*close(incident, now, reason), draft)

    def _record(self, incident: Incident, transition: Transition | None, draft: Draft) -> None:
        if transition is not None:
            notices: Sequence[Notice] = ()
            if transition.event is not None:
                incident, notices = self.announce(incident, transition)
            draft.incidents[incident.id] = incident
            draft.transitions.append(transition)
            draft.notices.extend(notices)
        if incident.state is State.OPEN:
            self._open[incident.key] = incident
        else:
            self._open.pop(incident.key, None)
