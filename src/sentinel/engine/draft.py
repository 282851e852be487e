"""What one observation or tick changes, gathered before it is committed as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from sentinel.domain.incident import Incident, Transition
from sentinel.domain.notice import Notice
from sentinel.domain.retrieval import Retrieval
from sentinel.engine.ports import Commit, Piece, Status
from sentinel.engine.snapshot import CheckView


@dataclass(slots=True)
class Draft:
    """A commit in the making, and the views that show it afterwards."""

    incidents: dict[str, Incident] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    retrievals: dict[str, Retrieval] = field(default_factory=dict)
    evidence: list[Piece] = field(default_factory=list)
    views: list[CheckView] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Nothing has to be written."""
        return not (
            self.incidents or self.transitions or self.notices or self.statuses or self.retrievals or self.evidence
        )

    def commit(self) -> Commit:
        """The transaction."""
        return Commit(
            incidents=tuple(self.incidents.values()),
            transitions=tuple(self.transitions),
            notices=tuple(self.notices),
            statuses=tuple(self.statuses),
            retrievals=tuple(self.retrievals.values()),
            evidence=tuple(self.evidence),
        )
