"""What an agent's refusals mean."""

from __future__ import annotations

from sentinel.protocols.snmp.datagram import Reply

NOT_IN_TIME_WINDOW, UNKNOWN_ENGINE = 2, 4

# usmStats of RFC 3414 section 5, by their last number.
_REPORTS = {
    1: ("unauthorized", "the agent does not offer this security level (usmStatsUnsupportedSecLevels)"),
    3: ("unauthorized", "the agent does not know the user (usmStatsUnknownUserNames)"),
    5: ("unauthorized", "wrong authentication password or algorithm (usmStatsWrongDigests)"),
    6: ("unauthorized", "wrong privacy password or cipher (usmStatsDecryptionErrors)"),
}

# RFC 3416 section 3: noAccess and authorizationError; the others are the agent's own trouble.
_FORBIDDEN = frozenset({6, 16})
_TOO_BIG, _NO_SUCH_NAME = 1, 2


class AgentError(Exception):
    """The agent answered, and the answer is no use.  ``code`` is one of the closed list of failures."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class TooLargeError(AgentError):
    """The answer does not fit: ask for less at once."""

    def __init__(self, detail: str) -> None:
        super().__init__("too_large", detail)


class RenewError(Exception):
    """The agent's clock or boot count has moved on: learn it again."""


def judge(reply: Reply) -> None:
    """Raise what a report or an error-status means.

    Raises:
        AgentError: ``unauthorized``, ``forbidden``, ``not_found``, ``too_large`` or ``protocol_error``.
        RenewError: the agent takes us to be out of time, or has another engine id.
    """
    if reply.report in {NOT_IN_TIME_WINDOW, UNKNOWN_ENGINE}:
        raise RenewError
    if reply.report:
        raise AgentError(*_REPORTS.get(reply.report, ("protocol_error", "a report that nobody asked for")))
    if reply.error_status == 0:
        return
    where = f"error-status {reply.error_status} at variable {reply.error_index}"
    if reply.error_status == _TOO_BIG:
        raise TooLargeError(where)
    if reply.error_status in _FORBIDDEN:
        raise AgentError("forbidden", where)
    raise AgentError("not_found" if reply.error_status == _NO_SUCH_NAME else "protocol_error", where)
