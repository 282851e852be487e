"""What the log says of the pipeline's work: one line a change, none a result."""

from __future__ import annotations

import structlog

from sentinel.domain.observation import Observation
from sentinel.engine.draft import Draft
from sentinel.engine.ports import StoreFailed

log = structlog.get_logger("sentinel.engine.pipeline")


def note_state(observation: Observation, old: str, new: str) -> None:
    """A check's state changed."""
    failure = observation.failure
    (log.debug if _passing(old, new) else log.info)(
        "check.state",
        check=observation.check,
        old=old,
        new=new,
        failure=failure and f"{failure.stage}/{failure.code}",
    )


def note_incidents(draft: Draft) -> None:
    """Incidents changed."""
    for transition in draft.transitions:
        incident = draft.incidents[transition.incident]
        log.info(
            "incident",
            incident=transition.incident,
            rule=incident.rule,
            subject=incident.subject,
            old=transition.old,
            new=transition.new,
            severity=transition.severity,
            reason=transition.reason,
            cause=transition.cause,
        )


def note_failed(draft: Draft, error: StoreFailed) -> None:
    """The store did not take a change now."""
    log.critical("store.failed", error=str(error), transitions=len(draft.transitions))


def _passing(old: str, new: str) -> bool:
    """Whether a change of state is no news of its own.

    A question that is being settled; a first good result; that we could not measure: told of the vantage, once.
    """
    return bool({"failing", "unknown"} & {old, new}) or (old, new) == ("pending", "up")
