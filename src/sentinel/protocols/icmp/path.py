"""The path to a target: which routers answer on the way, and where it ends.

Echo requests with a growing time to live over the engine's own socket, so that a ping socket without privilege does as
well as a raw one.  All hops are asked at once and the silent ones once more: at most ``2 x HOPS`` packets within
``2 x WAIT`` seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import Final

from sentinel.domain.evidence import Evidence
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.icmp.engine import Engine
from sentinel.protocols.icmp.options import IcmpOptions
from sentinel.protocols.icmp.ping import Endpoint, endpoint
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import ProbeFailed, Run

HOPS: Final = 20
"""Routers on the way, at most, the target included."""

WAIT: Final = 2.0
"""Seconds for an answer."""

_EXCEEDED = ("limit exceeded", "live exceeded")


@dataclass(frozen=True, slots=True)
class Hop:
    """What answered to one time to live: ``address`` None for nobody; ``end``: it will not go on from there."""

    ttl: int
    address: str | None = None
    rtt: float | None = None
    end: str = ""


async def investigate(engine: Engine, check: Check) -> Evidence | None:
    """The path to the check's target; None where this host sends nothing, or the name is not known.

    JSON: ``target``, ``reached``, ``asked`` (how many hops) and ``hops``: ``ttl``, ``address`` or null, ``rtt_seconds``
    or null; the last has an ``end`` where something said that it does not go on: ``target`` or ``unreachable``.
    """
    try:
        where = endpoint(await resolve(Run(time.monotonic() + WAIT), check.target.address))
    except (ProbeFailed, OSError):
        return None
    if where is None:
        return None
    found = await _ask(engine, where, range(1, HOPS + 1))
    if found is None:
        return None
    last = next((hop.ttl for hop in found if hop.end), HOPS)
    silent = [hop.ttl for hop in found[:last] if hop.address is None]
    again = await _ask(engine, where, silent) if silent else []
    told = {hop.ttl: hop for hop in (*found, *(again or ())) if hop.address is not None}
    last = next((ttl for ttl in sorted(told) if told[ttl].end), max(told, default=0))
    hops = [told.get(ttl, Hop(ttl)) for ttl in range(1, last + 1)]
    if len(hops) > 1 and hops[-1].end == "unreachable" and hops[-1].address == hops[-2].address:
        hops[-2:] = [replace(hops[-2], end="unreachable")]  # the router that passes nothing on, asked once more
    content = {
        "target": where.text,
        "reached": bool(hops) and hops[-1].end == "target",
        "asked": HOPS,
        "hops": [
            {"ttl": hop.ttl, "address": hop.address, "rtt_seconds": hop.rtt, **({"end": hop.end} if hop.end else {})}
            for hop in hops
        ],
    }
    return Evidence("path", "application/json", json.dumps(content).encode())


async def _ask(engine: Engine, where: Endpoint, ttls: range | list[int]) -> list[Hop] | None:
    """What answers to each; None where nothing can be sent at all."""
    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + WAIT
    answers: list[asyncio.Future[Measurement]] = []
    pings = []
    for ttl in ttls:
        answer: asyncio.Future[Measurement] = loop.create_future()
        answers.append(answer)
        pings.append(engine.start(where, IcmpOptions(ttl=ttl, count=1), deadline, _settle, answer))
    try:
        measured = await asyncio.gather(*answers)
    finally:
        for ping in pings:
            if ping is not None:
                engine.cancel(ping)
    if all(one.failure is not None and one.failure.local for one in measured):
        return None
    return [_hop(ttl, where, one) for ttl, one in zip(ttls, measured, strict=True)]


def _settle(answer: asyncio.Future[Measurement], measured: Measurement) -> None:
    if not answer.done():
        answer.set_result(measured)


def _hop(ttl: int, where: Endpoint, measured: Measurement) -> Hop:
    if measured.failure is None:
        return Hop(ttl, where.text, round(measured.values["rtt_avg_seconds"], 6), "target")
    router = measured.facts.get("router")
    if router is None:
        return Hop(ttl)
    on_the_way = any(words in measured.failure.detail for words in _EXCEEDED)
    return Hop(ttl, router, round(measured.took, 6), "" if on_the_way else "unreachable")
