"""The engine: every ICMP check of the daemon over one socket a family, moved by a tick.

While anything is under way, each tick reads what has arrived, ends what has reached its deadline, and sends one batch.
The kernel stamps replies as they arrive, so reading them some milliseconds later costs no accuracy, while waking the
loop for each reply would cost more than all the rest.  A tick comes every 50 ms, together with the scheduler's where
that sweeps; every 10 ms while a batch was too small for the queue or somebody waits; not at all while nothing is
under way.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.icmp.line import Line
from sentinel.protocols.icmp.options import IcmpOptions
from sentinel.protocols.icmp.packet import Version
from sentinel.protocols.icmp.ping import NANO, Endpoint, Ping, Settled, endpoint, marks
from sentinel.protocols.icmp.sockets import NoSocket, open_socket
from sentinel.protocols.icmp.wheel import GATHER, TICK, Wheel
from sentinel.sdk.failures import failure_of
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Done, ProbeFailed, Run

BATCH: Final = 256
"""Requests a tick, at most: 25,600 a second."""

_SKB = 1_280  # bytes of receive buffer that a small packet takes
_EARLY = 3  # ticks: a run ends before its deadline, so that what it has measured is told and not cut off
_SHORT = 500_000_000  # ns: a shorter wait than this is kept to the tick, not gathered with others
_HASTE = 3  # quick ticks after an urgent start: most replies are there then
_GRACE = 12_000_000  # ns past a gathered tick that the scheduler has to wake us before a timer of our own does

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Counters:
    """What one family's socket has done since the start; ``buffer`` in bytes, the rest in packets.

    ``strays`` are replies that settle nothing: late, doubled, forged.  ``dropped``: lost in this host because the
    receive buffer was full, so that a target may look worse than it is.
    """

    socket: str
    buffer: int
    sent: int
    received: int
    rejected: int
    strays: int
    dropped: int


class Engine:
    """The value of the protocol's service.  Everything runs on the loop that made it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Not a TaskGroup: it would wrap whatever is raised while the service is open.  close() ends and awaits them.
        self._lookups: dict[asyncio.Task[None], tuple[Check, Done]] = {}
        self._lines: dict[Version, Line] = {}
        self._shut: dict[Version, Failure] = {}
        self._queue: deque[Ping] = deque()
        self._again = Wheel()
        self._ends = Wheel()
        self._open = 0  # runs under way
        self._hasty = 0  # quick ticks that are left
        self._timer: asyncio.Handle | None = None
        self._due = 0  # monotonic ns of the next tick
        self._closed = False
        versions: tuple[Version, ...] = (4, 6)
        for version in versions:
            try:
                self._lines[version] = Line(version, open_socket(version), self._settled)
            except NoSocket as refused:
                self._shut[version] = refused.failure
        self._batch = min([BATCH, *(max(16, line.buffer // _SKB // 2) for line in self._lines.values())])
        self._say()

    def counters(self) -> Mapping[str, Counters]:
        """Packets of each family that has a socket: ``ipv4``, ``ipv6``."""
        return {
            f"ipv{version}": Counters(
                socket="raw" if line.raw else "ping",
                buffer=line.buffer,
                sent=line.sent,
                received=line.received,
                rejected=line.rejected,
                strays=line.strays,
                dropped=line.dropped,
            )
            for version, line in self._lines.items()
        }

    def sweep(self, checks: Sequence[Check], done: Done) -> None:
        """Start a run of each check; names are resolved first, inside the check's timeout."""
        now = time.monotonic_ns()
        for check in checks:
            try:
                where = endpoint(check.target.address)
            except OSError as error:
                self._loop.call_soon(_call, done, check, Measurement(0.0, failure_of("prepare", error)))
                continue
            if where is None:
                task = self._loop.create_task(self._named(check, done), name=f"icmp {check.id}")
                self._lookups[task] = (check, done)
                task.add_done_callback(self._lookups.pop)
            else:
                self._start(where, check.options, now, now + int(check.timeout * 1e9), done, check)
        if now >= self._due:
            self._tick_soon()  # the scheduler has woken the loop for us: work now, and spare a wake-up of our own

    def start(self, where: Endpoint, options: IcmpOptions, deadline: float, done: Settled, tag: Any) -> Ping | None:
        """Start one run, at once; ``done(tag, measurement)`` is called once, from a later turn of the loop.

        ``deadline`` is monotonic seconds.  None where the family has no socket; ``done`` says why.
        """
        ping = self._start(where, options, time.monotonic_ns(), int(deadline * 1e9), done, tag)
        self._hasty = _HASTE
        self._tick_soon()
        return ping

    def cancel(self, ping: Ping) -> None:
        """Forget a run: its ``done`` is not called."""
        if not ping.ended:
            self._end(ping)

    async def close(self) -> None:
        """Close the sockets; whatever is under way is answered ``overdue``, which speaks of us and not of a target."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        lookups = {task: asked for task, asked in self._lookups.items() if not task.done()}
        for task, (check, done) in lookups.items():
            task.cancel()
            _call(done, check, Measurement(0.0, _STOPPING))
        now = time.monotonic_ns()
        for ping in self._ends.pings():
            if not ping.ended:
                self._tell(ping, Measurement((now - ping.started) * NANO, _STOPPING))
        for line in self._lines.values():
            line.close()
        await asyncio.gather(*lookups, return_exceptions=True)

    def _say(self) -> None:
        """One line at the start: which sockets are in use, and what cannot be measured."""
        shut = {f"ipv{version}": failure.detail for version, failure in self._shut.items()}
        if not self._lines:
            log.warning("icmp_unavailable", **shut, effect="every icmp check is unknown")
            return
        kinds = {f"ipv{version}": "raw" if line.raw else "ping" for version, line in self._lines.items()}
        log.info("icmp_sockets", **kinds, **shut, buffer=min(line.buffer for line in self._lines.values()))

    def _start(
        self, where: Endpoint, options: IcmpOptions, now: int, deadline: int, done: Settled, tag: Any
    ) -> Ping | None:
        line = self._lines.get(where.version)
        if line is None or self._closed:
            why = _STOPPING if self._closed else self._shut[where.version]
            self._loop.call_soon(_call, done, tag, Measurement(0.0, why))
            return None
        ping = Ping(line, where, now, done, tag)
        ping.size = options.size
        if options.count > 1:
            ping.count = options.count
            ping.interval = min(int(options.interval * 1e9), max(0, (deadline - now) // 2 // (options.count - 1)))
        if options.ttl is not None or options.dscp is not None:
            ping.ancillary = marks(where.version, options.ttl, options.dscp)
        if self._open == 0:
            # Nothing was under way, so no tick came: what is left on the wheels has ended long ago.
            self._again.restart(now // TICK - 1)
            self._ends.restart(now // TICK - 1)
            self._due = 0
        self._open += 1
        exact = deadline - now < _SHORT
        end = deadline // TICK - _EARLY
        self._ends.put(ping, end if exact else end - end % GATHER, exact=exact)
        self._queue.append(ping)
        return ping

    def _tick_soon(self) -> None:
        """Have the tick at the loop's next turn."""
        if self._open and not self._closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_soon(self._tick)
            self._due = _PENDING

    def _tick(self) -> None:
        self._due = _PENDING  # what a listener starts is sent by this very tick
        more = False
        for line in self._lines.values():
            if line.receive():
                more = True
        now = time.monotonic_ns()
        if not more:  # nobody's time is up before what has arrived has been read
            self._queue.extend(self._again.turn(now // TICK))
            for ping in self._ends.turn(now // TICK):
                if not ping.ended:
                    self._tell(ping, ping.measurement(now))
        self._send()
        self._timer = None
        if more:
            self._tick_soon()
        elif self._open and not self._closed:
            self._due, wait = self._next(now)
            self._timer = self._loop.call_later(wait * NANO, self._tick)

    def _next(self, now: int) -> tuple[int, int]:
        """When the next tick is due, and how long our own timer waits for it, ns."""
        tick = now // TICK
        if self._queue or self._hasty:
            self._hasty = max(0, self._hasty - 1)
            return (tick + 1) * TICK, TICK
        gathered = tick + GATHER - tick % GATHER
        exact = min(self._ends.soonest, self._again.soonest)
        if exact < gathered:
            return exact * TICK, max(0, exact * TICK - now)
        return gathered * TICK, gathered * TICK - now + _GRACE

    def _send(self) -> None:
        queue = self._queue
        for _ in range(min(self._batch, len(queue))):
            ping = queue[0]
            if ping.ended:
                queue.popleft()
                continue
            if not ping.line.send(ping):
                return
            queue.popleft()
            if ping.attempts < ping.count:
                tick = -(-(ping.started + ping.attempts * ping.interval) // TICK)  # never early
                exact = ping.interval < _SHORT // 4
                self._again.put(ping, tick if exact else tick + -tick % GATHER, exact=exact)

    def _settled(self, ping: Ping) -> None:
        self._tell(ping, ping.measurement(ping.last))

    def _tell(self, ping: Ping, measurement: Measurement) -> None:
        done, tag = ping.done, ping.tag
        self._end(ping)
        if done is not None:
            _call(done, tag, measurement)

    def _end(self, ping: Ping) -> None:
        ping.ended = True
        ping.done = ping.tag = None  # the table may hold the ping for a while: it shall hold no more than that
        self._open -= 1

    async def _named(self, check: Check, done: Done) -> None:
        """Resolve, then start: the part of a sweep that has names in place of addresses."""
        started = time.monotonic_ns()
        deadline = started * NANO + check.timeout
        run = Run(deadline)
        try:
            async with asyncio.timeout(max(0.0, check.timeout - _EARLY * TICK * NANO)):
                where = endpoint(await resolve(run, check.target.address))
            if where is not None:
                self.start(where, check.options, deadline, done, check)
                return
            failure = Failure("resolve", "resolver_failed", "the answer is no address")
        except ProbeFailed as failed:
            failure = failed.failure
        except TimeoutError:
            failure = Failure("resolve", "timed_out", f"no address within {check.timeout:g} s")
        except Exception as error:  # a defect here must not leave the check without a result
            log.exception("icmp_name_failed", check=check.id)
            failure = Failure("resolve", "internal_error", type(error).__name__)
        _call(done, check, Measurement((time.monotonic_ns() - started) * NANO, failure, run.stages))


def _call(done: Settled, tag: Any, measurement: Measurement) -> None:
    try:
        done(tag, measurement)
    except Exception:  # a defect of the listener must not take the other checks with it
        log.exception("icmp_listener_failed")


_STOPPING: Final = Failure("echo", "overdue", "the daemon is stopping")
_PENDING: Final = 1 << 62  # a tick is on its way: nobody need ask for one
