"""SNMP notifications: what does the device report by itself?

Traps of v1 (RFC 1157), v2c and v3 (RFC 3416) and informs, which are acknowledged.  A profile says what a notification
means: something has failed, is well again, or is only worth recording.  The check fails as long as something is
reported that was not ended; its interval only says how often that is counted anew.  Where the daemon was not there to
hear that something ended, it stays failed until the device says so again.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sentinel.domain.target import Target
from sentinel.protocols.snmp_trap.options import TrapOptions
from sentinel.protocols.snmp_trap.receiver import Receiver
from sentinel.sdk.failures import failure_of
from sentinel.sdk.net import is_literal, resolve
from sentinel.sdk.protocol import Counter, Inbox, ProbeFailed, Protocol, Run, Value

VALUES = (
    Value("traps", "", "Notifications that were believed since the daemon started."),
    Value("problems", "", "What is reported as failed and not ended yet."),
    Value("last_trap_age_seconds", "s", "Time since the last notification; not there before the first."),
)

COUNTERS = (
    Counter("received", "Datagrams that came to the ports where notifications are waited for."),
    Counter("dropped", "Datagrams that reached no check, by reason.", label="reason"),
)

_LEFT = 0.2  # seconds before the deadline at which a probe by hand stops to listen


async def probe(target: Target, options: TrapOptions, run: Run) -> None:
    """Say what was told so far; by hand, without a daemon around it, listen until something comes or time is up."""
    receiver: Receiver = run.service
    address = target.address if is_literal(target.address) else await resolve(run, target.address)
    known = receiver.find(target.id, options)
    id_ = known or f"by hand {target.id} {options.port} {options.profile}"
    watch = receiver.watch(id_, options, address)
    error = receiver.errors.get(options.local(address))
    if error is not None:
        where = f"UDP port {options.port}"
        if error.errno == errno.EADDRINUSE:
            run.fail("no_resource", f"{where} is taken by another program", stage="prepare")
        raise ProbeFailed(failure_of("prepare", error))
    with run.stage("trap"):
        while known is None and not watch.count and run.left > _LEFT:
            receiver.heard.clear()
            try:
                async with asyncio.timeout(run.left - _LEFT):
                    await receiver.heard.wait()
            except TimeoutError:
                break
        told = watch.measurement(time.monotonic())
        run.values.update(told.values)
        run.facts.update(told.facts)
        if told.failure is not None:
            run.fail(told.failure.code, told.failure.detail)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """The daemon's receiver; it listens once it knows the checks."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def attach(receiver: Receiver, inbox: Inbox) -> None:
    """Watch over the checks as configured now."""
    receiver.attach(inbox)


PROTOCOL = Protocol(
    "snmp_trap",
    TrapOptions,
    probe,
    values=VALUES,
    service=receiving,
    attach=attach,
    counters=COUNTERS,
    count=Receiver.counts,
    needs="UDP port 162 (CAP_NET_BIND_SERVICE), or another above 1023",
    transport="local",
)
