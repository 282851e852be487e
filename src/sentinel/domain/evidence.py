"""Evidence: what was seen when something went wrong, kept beside the incident for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

KINDS: dict[str, str] = {
    "picture": "the frame that was judged",
    "path": "the routers on the way to the target",
}
"""The closed list of kinds, with what each shows."""

MEDIA_TYPES = frozenset({"image/jpeg", "application/json"})
"""What may be kept: nothing that a browser would run."""

MAX_BYTES = 262_144
"""The largest piece of evidence."""

MAX_PIECES = 12
"""The most pieces of one incident: what it opened with, each turn for the worse, and what came late."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece: at most ``MAX_BYTES`` bytes of ``media_type``.  Never logged, never sent to a channel.

    A probe hands it over with its result.  It is dropped unless that result opens an incident or makes it worse.
    """

    kind: str
    media_type: str
    data: bytes

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"unknown kind of evidence {self.kind!r}: add it to the closed list in domain/evidence.py"
            raise ValueError(msg)
        if self.media_type not in MEDIA_TYPES:
            msg = f"evidence may not be {self.media_type!r}"
            raise ValueError(msg)
        if len(self.data) > MAX_BYTES:
            msg = f"evidence of {len(self.data)} bytes; at most {MAX_BYTES} are kept"
            raise ValueError(msg)
