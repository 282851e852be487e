"""ICMP echo: does the host answer, how fast, and how many requests are lost?

RFC 792 (IPv4) and RFC 4443 section 4 (IPv6), over one socket a family for all targets.  A run is OK as soon as one
reply came: how much loss or how slow an answer is too much is a rule's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check, Target
from sentinel.protocols.icmp.engine import Engine
from sentinel.protocols.icmp.options import IcmpOptions
from sentinel.protocols.icmp.path import investigate
from sentinel.protocols.icmp.ping import endpoint
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Counter, Done, Protocol, Run, Value

__all__ = ["PROTOCOL", "Engine", "IcmpOptions", "probe", "service", "sweep"]


@asynccontextmanager
async def service() -> AsyncIterator[Engine]:
    """The engine with its sockets; where the host allows none, an engine that answers ``no_privilege``."""
    engine = Engine(asyncio.get_running_loop())
    try:
        yield engine
    finally:
        await engine.close()


async def probe(target: Target, options: IcmpOptions, run: Run) -> None:
    """Send the echo requests and wait for the replies, until just before the deadline."""
    engine: Engine = run.service
    where = endpoint(await resolve(run, target.address))
    if where is None:
        run.fail("resolver_failed", "the answer is no address", stage="resolve")
    result: asyncio.Future[Measurement] = asyncio.get_running_loop().create_future()
    run.current = "echo"
    ping = engine.start(where, options, run.deadline, _set_result, result)
    try:
        measured = await result
    except asyncio.CancelledError:
        if ping is not None:
            engine.cancel(ping)
        raise
    run.stages.update(measured.stages)
    run.values.update(measured.values)
    if measured.failure is not None:
        run.fail(measured.failure.code, measured.failure.detail, stage=measured.failure.stage)


def _set_result(result: asyncio.Future[Measurement], measured: Measurement) -> None:
    if not result.done():  # cancelled in this very turn of the loop
        result.set_result(measured)


def sweep(engine: Engine, checks: Sequence[Check], done: Done) -> None:
    """Start a run of each check; ``done`` is called from later turns of the loop, once a check.

    Targets with a name in place of an address are resolved first, each within its own timeout.
    """
    engine.sweep(checks, done)


COUNTERS = (
    Counter("socket_sent", "Echo requests that left by the shared socket.", "family"),
    Counter("socket_received", "Echo replies that arrived at the shared socket.", "family"),
    Counter("socket_rejected", "ICMP errors about our requests.", "family"),
    Counter("socket_strays", "Replies that settled nothing: late, doubled or forged.", "family"),
    Counter(
        "socket_dropped",
        "Packets lost in this host since the receive buffer was full: targets may look worse than they are.",
        "family",
    ),
)


def count(engine: Engine) -> Mapping[str, Mapping[str, float]]:
    """What the shared sockets count, by family."""
    counted = engine.counters().items()
    return {
        counter.name: {family: getattr(counts, counter.name.removeprefix("socket_")) for family, counts in counted}
        for counter in COUNTERS
    }


PROTOCOL = Protocol(
    "icmp",
    IcmpOptions,
    probe,
    values=(
        Value("sent", "", "Echo requests that left."),
        Value("received", "", "Echo requests that were answered."),
        Value("loss_ratio", "", "Share of the requests that was not answered, 0 to 1."),
        Value("rtt_min_seconds", "s", "Shortest round trip, by the kernel's time stamps."),
        Value("rtt_avg_seconds", "s", "Mean round trip."),
        Value("rtt_max_seconds", "s", "Longest round trip."),
        Value(
            "rtt_jitter_seconds", "s", "Mean difference between one round trip and the next; of two replies or more."
        ),
    ),
    service=service,
    sweep=sweep,
    counters=COUNTERS,
    count=count,
    investigate=investigate,
    needs="a ping socket (net.ipv4.ping_group_range) or a raw one (CAP_NET_RAW)",
    transport="icmp",
)
