"""The runner: one deadline, limits, and an observation for every start.

Whatever a probe does, exactly one observation comes of it.  A defect in a protocol is UNKNOWN with its traceback in
the log, never DOWN and never a crash.  Our own stop discards what is in flight: it says nothing about a target.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from sentinel.config.configuration import Limits
from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement, Observation, Outcome
from sentinel.domain.target import Check
from sentinel.engine.limits import Gate, Key
from sentinel.engine.ports import Clock
from sentinel.engine.scheduler import Entry
from sentinel.sdk.failures import failure_of
from sentinel.sdk.protocol import ProbeFailed, Protocol, Run
from sentinel.sdk.tunnel import passage

log = structlog.get_logger(__name__)

NO_VANTAGE = "none"

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN  # an enum's attribute is slow to look up

_DAEMON: Key = ("daemon", "")

PATIENCE = 10.0
"""Seconds for which a probe that is due may wait for room under the limits, beside its timeout."""


async def measure(protocol: Protocol, check: Check, run: Run, clock: Clock) -> Measurement:
    """Run a probe once under its deadline: the very function of the daemon and of ``sentinel probe``.

    Returns:
        The measurement; its failure is None where the probe returned.  ``took`` and stages are seconds.
    """
    if check.via is None:
        return await _measure(protocol, check, run, clock)
    async with passage(run, check.via) as way:
        measurement = await _measure(protocol, check, run, clock)
        measurement.failure = way.explain(measurement.failure)
        return measurement


async def _measure(protocol: Protocol, check: Check, run: Run, clock: Clock) -> Measurement:
    started = clock.monotonic()
    failure: Failure | None = None
    try:
        async with asyncio.timeout(check.timeout):
            await protocol.probe(check.target, check.options, run)
    except ProbeFailed as error:
        failure = error.failure
    except OSError as error:  # TimeoutError, the deadline's, is one
        failure = failure_of(run.current, error)
    except asyncio.CancelledError as error:
        if _cancelled():
            raise
        failure = _defect(error, check, protocol, run)  # something that it awaited was cancelled under its hands
    except Exception as error:  # noqa: BLE001 - whatever a protocol raises is a defect of its own
        failure = _defect(error, check, protocol, run)
    return Measurement(clock.monotonic() - started, failure, run.stages, run.values, run.facts, tuple(run.evidence))


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _defect(error: BaseException, check: Check, protocol: Protocol, run: Run) -> Failure:
    log.error("probe.defect", check=check.id, protocol=protocol.name, exc_info=error)
    return Failure(run.current, "internal_error", type(error).__name__)


def observe(
    check: Check, measurement: Measurement, *, scheduled_at: float, started_at: float, passive: bool = False
) -> Observation:
    """The observation that a measurement is; times are UTC epoch seconds."""
    failure = measurement.failure
    outcome = OK if failure is None else (UNKNOWN if failure.local else FAILED)
    return Observation(
        check.id,
        scheduled_at,
        started_at,
        measurement.took,
        check.vantage or NO_VANTAGE,
        outcome,
        failure,
        measurement.stages,
        measurement.values,
        measurement.facts,
        measurement.evidence,
        passive,
    )


class Runner:
    """Runs entries of the wheel; ``accept`` takes each observation, ``finished`` frees the entry."""

    def __init__(
        self,
        protocols: Mapping[str, Protocol],
        services: Mapping[str, Any],
        clock: Clock,
        limits: Limits,
        accept: Callable[[Observation], None],
    ) -> None:
        self._protocols = protocols
        self._services = services
        self._clock = clock
        self._limits = limits
        self._accept = accept
        self._gate = Gate(self._room)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.finished: Callable[[Entry], None] = _ignore
        self.most = sys.maxsize
        """Probes under way at once, at most, whatever they look at: so many descriptors are to spare."""

    @property
    def waiting(self) -> int:
        """Probes that are due and wait for room."""
        return self._gate.waiting

    @property
    def running(self) -> int:
        """Probes under way, those of sweeps apart."""
        return len(self._tasks)

    def limit(self, limits: Limits) -> None:
        """Take other limits from now on."""
        self._limits = limits

    def use(self, protocols: Mapping[str, Protocol]) -> None:
        """Run these protocols from now on."""
        self._protocols = protocols

    def start(self, entries: Sequence[Entry]) -> None:
        """Start all entries of one tick."""
        sweeps: dict[str, list[Entry]] = {}
        for entry in entries:
            protocol = self._protocols[entry.check.protocol]
            if protocol.sweep is not None:
                sweeps.setdefault(protocol.name, []).append(entry)
            else:
                self._enter(entry, protocol)
        for name, swept in sweeps.items():
            self._sweep(self._protocols[name], swept)

    def report(self, check: Check, measurement: Measurement) -> None:
        """Take in what nobody asked for, as a result of the check."""
        if self._stopped:
            return
        began = self._clock.now() - measurement.took
        observation = observe(check, measurement, scheduled_at=began, started_at=began, passive=True)
        try:
            self._accept(observation)
        except Exception:  # the peer that reported it must not pay for a defect in our judgement
            log.exception("accept.defect", check=check.id)

    async def stop(self) -> None:
        """Cancel what is under way and wait until it is gone; from now on nothing is started and nothing accepted.

        Services that are closed afterwards report their open exchanges as overdue: that is our stop, not a fact.
        """
        self._stopped = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _room(self, key: Key) -> int:
        kind, name = key
        if kind == "daemon":
            return self.most
        if kind == "host":
            return self._limits.host
        return self._limits.of_zone(name) if kind == "zone" else self._limits.of_protocol(name)

    def _enter(self, entry: Entry, protocol: Protocol) -> None:
        check = entry.check
        keys = (("host", check.target.address), ("zone", check.target.zone), ("protocol", protocol.name), _DAEMON)

        def go() -> None:
            if entry.gone or self._stopped:
                self._gate_later(keys)
                return
            waited = self._clock.monotonic() - entry.due
            if waited > PATIENCE + check.timeout:
                self._gate_later(keys)
                self._emit(entry, Measurement(0.0, Failure("schedule", "overloaded", f"waited {waited:.1f} s")), 0.0)
                return
            task = asyncio.get_running_loop().create_task(self._run(entry, protocol, keys), name=check.id)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._gate.enter(keys, go)

    def _gate_later(self, keys: tuple[Key, ...]) -> None:
        # Not at once: leave() starts others, and a long queue of overdue jobs would recurse as deep as it is long.
        asyncio.get_running_loop().call_soon(self._gate.leave, keys)

    async def _run(self, entry: Entry, protocol: Protocol, keys: tuple[Key, ...]) -> None:
        check = entry.check
        run = Run(self._clock.monotonic() + check.timeout, self._services.get(protocol.name), entry.memory)
        try:
            measurement = await measure(protocol, check, run, self._clock)
        finally:
            self._gate.leave(keys)
        self._emit(entry, measurement, measurement.took)

    def _sweep(self, protocol: Protocol, entries: list[Entry]) -> None:
        sweep = protocol.sweep
        if sweep is None:
            return
        under_way = {entry.check.id: entry for entry in entries}

        def done(check: Check, measurement: Measurement) -> None:
            entry = under_way.pop(check.id, None)
            if entry is not None:  # a result for each start, also where a protocol reports one twice
                self._emit(entry, measurement, measurement.took)

        try:
            sweep(self._services.get(protocol.name), [entry.check for entry in entries], done)
        except Exception as error:
            log.exception("sweep.defect", protocol=protocol.name)
            failure = Failure("probe", "internal_error", type(error).__name__)
            while under_way:
                self._emit(under_way.popitem()[1], Measurement(0.0, failure), 0.0)

    def _emit(self, entry: Entry, measurement: Measurement, took: float) -> None:
        if entry.gone or self._stopped:
            return
        wall, mono = self._clock.now(), self._clock.monotonic()
        observation = observe(entry.check, measurement, scheduled_at=wall - (mono - entry.due), started_at=wall - took)
        try:
            self._accept(observation)
        except Exception:  # one check's judgement must not end the sweep that other checks wait for
            log.exception("accept.defect", check=entry.check.id)
        finally:
            self.finished(entry)


def _ignore(entry: Entry) -> None:
    """Nobody asked to be told when an entry is free again."""
    del entry
