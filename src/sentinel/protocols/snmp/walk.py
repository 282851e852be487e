"""A walk over an agent, for people who want to know what a device has: ``sentinel snmp walk``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sentinel.domain.failure import Failure
from sentinel.protocols.snmp.answers import AgentError, TooLargeError
from sentinel.protocols.snmp.codec import GetIter
from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.protocols.snmp.pool import sessions
from sentinel.protocols.snmp.session import Patience, Session
from sentinel.sdk.failures import failure_of

ROOTS = ("1.3.6.1.2.1", "1.3.6.1.4.1")
"""What a walk reads where it is not told: the standard modules, and the makers' own."""

Progress = Callable[[int, str], None]
"""Told after each answer how many objects there are by now, and the last one's OID."""


@dataclass(slots=True)
class Walked:
    """What was found, in the agent's order; ``failure`` says why it is not all, ``truncated`` that ``most`` was met."""

    objects: dict[str, Raw] = field(default_factory=dict)
    truncated: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """``most`` objects in all; ``timeout`` seconds for everything."""

    most: int = 20_000
    timeout: float = 120.0


async def walk(address: str, options: SnmpOptions, roots: Sequence[str], bounds: Bounds, progress: Progress) -> Walked:
    """Read everything below the roots by bulk requests, with the credentials and the patience of ``options``.

    ``address`` is an IP literal.  Never raises for what the agent or the network does: what was read so far is given
    with the failure beside it.
    """
    found, stage = Walked(), "prepare"
    try:
        async with asyncio.timeout(bounds.timeout), sessions() as pool:
            session = pool.open(address, options.port, options.credentials(pool.master_key))
            try:
                stage = "login"
                if session.needs_login:
                    await session.login(options.plan.patience)
                stage = "walk"
                for root in roots:
                    await _below(session, root, options, found, bounds.most, progress)
            finally:
                pool.take_back(session)
    except AgentError as error:
        found.failure = Failure(stage, error.code, error.detail[:500])
    except TimeoutError:
        found.failure = Failure(stage, "timed_out", f"not done within {bounds.timeout:g} s")
    except OSError as error:
        found.failure = failure_of(stage, error)
    return found


async def _below(
    session: Session, root: str, options: SnmpOptions, found: Walked, most: int, progress: Progress
) -> None:
    """Take in what is below one root; where an answer is too large, once more with less in each."""
    repetitions, patience = options.repetitions, options.plan.patience
    while True:
        try:
            return await _read(session, GetIter(root, repetitions), patience, found, most, progress)
        except TooLargeError:
            if repetitions == 1:
                raise
            repetitions //= 2


async def _read(
    session: Session, cursor: GetIter, patience: Patience, found: Walked, most: int, progress: Progress
) -> None:
    last: tuple[int, ...] = ()
    more = True
    while more:
        rows, more = await session.bulk(cursor, patience)
        for oid, raw in rows:
            place = tuple(map(int, oid.split(".")))
            if place <= last:  # RFC 3416 section 4.2.2: else a walk never ends
                raise AgentError("protocol_error", f"the agent's OIDs do not grow: {oid[:200]} came again")
            last = place
            if oid not in found.objects and len(found.objects) >= most:
                found.truncated = True
                return
            found.objects[oid] = raw
        if rows:
            progress(len(found.objects), rows[-1][0])
