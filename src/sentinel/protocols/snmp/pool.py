"""The sessions that the daemon keeps: at most two descriptors each, so never more than so many."""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sentinel.protocols.snmp.codec import Tube
from sentinel.protocols.snmp.credentials import Credentials, master_key
from sentinel.protocols.snmp.session import Session

MOST_SESSIONS = 4096
"""With more agents than that, each poll opens a session of its own: it costs twice as much."""
_DESCRIPTORS = 2

_Key = tuple[str, int, str]


class PoolFullError(Exception):
    """Every session is in use."""


class Pool:
    """Sessions by agent and credentials; those at rest are closed in the order of their last use.

    A session is lent to one check at a time, because it can hold one request at a time.  A check does not wait for
    another check's session: an agent that hangs would make it late without having been asked.
    """

    def __init__(self, capacity: int) -> None:
        """``capacity``: the most sessions, lent and at rest together."""
        self.capacity = capacity
        self._resting: OrderedDict[_Key, list[Session]] = OrderedDict()
        self._count = 0
        self._tube = Tube()
        self._masters: dict[tuple[str, str], bytes] = {}

    @property
    def sessions(self) -> int:
        """How many are open."""
        return self._count

    def master_key(self, algorithm: str, password: str) -> bytes:
        """A password's master key, computed once: it costs a mebibyte of hashing, a session's own key nothing."""
        known = self._masters.get((algorithm, password))
        if known is None:
            if len(self._masters) >= self.capacity:
                self._masters.clear()
            known = self._masters[algorithm, password] = master_key(algorithm, password)
        return known

    def resting(self, address: str, port: int, credentials: Credentials) -> Session | None:
        """A session that rests, one's own until ``take_back``; None where there is none for this agent."""
        return self._take((address, port, credentials.fingerprint))

    def open(self, address: str, port: int, credentials: Credentials) -> Session:
        """A new session, one's own until ``take_back``.

        Raises:
            PoolFullError: all are lent.
            OSError: no descriptor left, or no route.
        """
        if self._count >= self.capacity and not self._evict():
            raise PoolFullError(f"all {self.capacity} SNMP sessions are in use")
        session = Session(address, port, credentials, self._tube)
        self._count += 1
        return session

    def take_back(self, session: Session) -> None:
        """What was lent rests, or is closed where it is not fit any more."""
        if session.fit and self.capacity:
            self._resting.setdefault(session.key, []).append(session)
            self._resting.move_to_end(session.key)
        else:
            self._drop(session)

    def close(self) -> None:
        """Close all that rest; one that is lent is closed when it comes back."""
        while self._evict():
            pass
        self.capacity = 0
        self._tube.close()

    def _take(self, key: _Key) -> Session | None:
        resting = self._resting.get(key)
        if not resting:
            return None
        session = resting.pop()
        if not resting:
            del self._resting[key]
        return session

    def _evict(self) -> bool:
        for key in self._resting:
            session = self._take(key)
            if session is not None:
                self._drop(session)
                return True
        return False

    def _drop(self, session: Session) -> None:
        session.close()
        self._count -= 1


@asynccontextmanager
async def sessions() -> AsyncIterator[Pool]:
    """The daemon's pool: at most a quarter of the descriptors that this process may have."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    pool = Pool(min(MOST_SESSIONS, max(16, allowed // 4 // _DESCRIPTORS)))
    try:
        yield pool
    finally:
        pool.close()
