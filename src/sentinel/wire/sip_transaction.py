"""SIP transactions other than INVITE, without input or output (RFC 3261, section 17): the caller sends and tells time.

    transaction = ClientTransaction(request, reliable=False, started=loop.time())
    send(request.encode())
    while True:
        # wait for a message until transaction.due
        if timed_out and transaction.repeats(loop.time()):
            send(request.encode())
        elif (answer := transaction.takes(message)) is not None and answer.final:
            break

A server's side is ``Answered``: a request that comes again is answered with the same bytes again.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from sentinel.wire.sip import Message, Request, Response
from sentinel.wire.sip_headers import BRANCH_COOKIE, MalformedMessage

T1: Final = 0.5
"""Seconds that a round trip is taken to last, and after which a datagram is sent again (17.1.1.1)."""

T2: Final = 4.0
"""Seconds between two sendings of a request, at most (17.1.2.2)."""

LIFETIME: Final = 64 * T1
"""Seconds after which a transaction is given up (timer F), and an answered one is forgotten (timer J)."""


@dataclass(slots=True)
class ClientTransaction:
    """A request on its way (17.1.2).  ``started`` and every ``now`` are of one monotonic clock, in seconds.

    ``reliable``: over TCP and TLS nothing is sent twice.  ``retransmissions`` counts what was.
    """

    request: Request
    reliable: bool
    started: float
    retransmissions: int = 0
    provisional: Response | None = None
    _interval: float = field(default=T1, init=False)
    _repeat_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._repeat_at = math.inf if self.reliable else self.started + T1

    @property
    def due(self) -> float:
        """When ``repeats`` wants to be asked next: timer E or timer F."""
        return min(self._repeat_at, self.started + LIFETIME)

    def repeats(self, now: float) -> bool:
        """Whether the request is to be sent again now.

        The first pause is T1, each next one twice as long up to T2; T2 at once after a provisional answer.

        Raises:
            TimeoutError: 32 s have passed without a final answer.
        """
        if now >= self.started + LIFETIME:
            raise TimeoutError(f"no final answer within {LIFETIME:g} s")
        if now < self._repeat_at:
            return False
        self._interval = T2 if self.provisional is not None else min(2 * self._interval, T2)
        self._repeat_at = now + self._interval
        self.retransmissions += 1
        return True

    def takes(self, message: Message) -> Response | None:
        """The message where it answers this request, None where it is of somebody else.

        17.1.3: the branch of the nearest Via and CSeq are the request's; 8.1.3.3: an answer with more than one Via has
        gone astray.
        """
        if not isinstance(message, Response):
            return None
        try:
            vias, cseq = message.vias, message.cseq
        except MalformedMessage:
            return None
        if len(vias) != 1 or vias[0].branch != self.request.vias[0].branch or cseq != self.request.cseq:
            return None
        if message.call_id != self.request.call_id:
            return None
        if not message.final:
            self.provisional = message
        return message


Key = tuple[str, ...]


class Answered:
    """The answers of a server over UDP, kept for requests that come again (17.2.2): at most ``limit`` of them."""

    def __init__(self, limit: int = 1_024) -> None:
        self._limit = limit
        self._kept: OrderedDict[Key, tuple[float, bytes]] = OrderedDict()

    def recall(self, request: Request, now: float) -> bytes | None:
        """The answer that this very request has had already, None where it comes for the first time."""
        while self._kept:
            key, (until, _) = next(iter(self._kept.items()))
            if until > now:
                break
            del self._kept[key]
        found = self._kept.get(_key(request))
        return None if found is None else found[1]

    def keep(self, request: Request, answer: bytes, now: float) -> None:
        """Remember a final answer; the oldest is forgotten where there are too many."""
        key = _key(request)
        self._kept.pop(key, None)
        self._kept[key] = (now + LIFETIME, answer)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _key(request: Request) -> Key:
    """17.2.3: the branch, who sent it, the method; for clients of RFC 2543, what names the request otherwise."""
    vias = request.vias
    if vias and vias[0].branch.startswith(BRANCH_COOKIE):
        return vias[0].branch, vias[0].host, str(vias[0].port), request.method
    via = str(vias[0]) if vias else ""
    return request.uri, request.call_id, request.header("from") or "", request.header("cseq") or "", via
