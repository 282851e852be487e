"""Picture retrieval: an episode from the first attempt to the first valid picture.

The contract promises a picture within five minutes of the request.  Attempts that fail belong to one episode,
which stays open until a picture is shown or the check is given up, so that one outage is one record and at most
one breach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sentinel.domain.observation import Observation, Outcome

PICTURE_SECONDS: Final = "picture_seconds"
"""The value that tells how many seconds into a run the picture was there; its watching and hanging up come after."""

QUICK: Final = 10.0
"""Seconds within which a picture of the first attempt is no news; no promise is shorter."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One episode.

    ``started_at`` is the start of the first attempt, ``ended_at`` when the picture was there or the episode was
    given up (None while open), UTC epoch seconds.  ``stage`` and ``code`` are the last failure's: the guilty stage.
    """

    id: str
    check: str
    started_at: float
    ended_at: float | None = None
    shown: bool = False
    attempts: int = 0
    stage: str = ""
    code: str = ""

    def elapsed(self, now: float) -> float:
        """Seconds from the first attempt to the picture, or to ``now`` while it is open; never negative."""
        return max(0.0, (now if self.ended_at is None else self.ended_at) - self.started_at)

    @property
    def quick(self) -> bool:
        """Shown at the first attempt within ``QUICK`` seconds: counted, and not remembered one by one."""
        return self.shown and self.attempts == 1 and self.ended_at is not None and self.elapsed(0.0) <= QUICK


def attempt(episode: Retrieval | None, observation: Observation, *, new_id: str) -> Retrieval | None:
    """The episode after one more attempt; a new one where none was open.

    An UNKNOWN observation is no attempt: we did not ask.  A run that samples several channels is one attempt, at their
    platform's pictures: it has shown them where enough did, after the time that it says (the median's).
    """
    if observation.outcome is Outcome.UNKNOWN:
        return episode
    episode = episode or Retrieval(new_id, observation.check, observation.started_at)
    if observation.failure is None:
        taken = min(observation.values.get(PICTURE_SECONDS, observation.took), observation.took)
        shown_at = observation.started_at + taken
        return replace(episode, attempts=episode.attempts + 1, ended_at=shown_at, shown=True)
    failure = observation.failure
    return replace(episode, attempts=episode.attempts + 1, stage=failure.stage, code=failure.code)


def abandon(episode: Retrieval, at: float) -> Retrieval:
    """Given up without a picture: the check was removed."""
    return replace(episode, ended_at=at)
