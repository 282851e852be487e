"""SNMP: does the agent answer, and what does the device say of itself?

v2c (RFC 3416) and v3 (RFC 3414) by gufo-snmp.  Numbers become values, texts become facts, counters become rates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from sentinel.domain.target import Target
from sentinel.protocols.snmp.answers import AgentError, TooLargeError
from sentinel.protocols.snmp.codec import Raw
from sentinel.protocols.snmp.options import VALUES, Expect, Get, SnmpOptions, values_of
from sentinel.protocols.snmp.pool import Pool, PoolFullError, sessions
from sentinel.protocols.snmp.profile import Metric
from sentinel.protocols.snmp.rates import BITS, UPTIME, Counters
from sentinel.protocols.snmp.session import Patience, Session
from sentinel.protocols.snmp.table import Walk, measure_table
from sentinel.protocols.snmp.values import measured, number, text
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Protocol, Run

OIDS_A_REQUEST = 20
"""Agents must take 484 bytes (RFC 3417 section 3.2.1) and take 1,472; twenty OIDs are about 400."""


async def probe(target: Target, options: SnmpOptions, run: Run) -> None:
    """Read all single values, then walk each table.

    What the agent does not have is ``not_found``, said after everything else was read.
    """
    address = await resolve(run, target.address)
    pool: Pool = run.service
    missing: list[str] = []
    with ExitStack() as held:
        with _stage(run, "prepare"):
            credentials = options.credentials(pool.master_key)
            session = held.enter_context(pool.lend(address, options.port, credentials))
        if session.needs_login:
            with _stage(run, "login"):
                await session.login(options.patience)
        counters = run.memory.setdefault("counters", Counters())
        with _stage(run, "get"):
            missing += await _get_scalars(session, options, run, counters)
        if options.tables:
            with _stage(run, "walk"):
                walk = Walk(session, options.patience, options.max_rows, options.repetitions)
                walked = [
                    await measure_table(walk, table, options.items, run, counters) for table in options.tables.values()
                ]
                run.values["rows"] = sum(rows for rows, _ in walked)
                run.values["truncated"] = float(walk.truncated)
            absent = [name for _, names in walked for name in names]
            if absent and not missing:
                run.fail("not_found", f"the agent does not have {', '.join(absent)}", stage="walk")
            missing += absent
    if missing:
        run.fail("not_found", f"the agent does not have {', '.join(missing)}", stage="get")
    for name, metric in options.scalars.items():
        if isinstance(metric, Get) and metric.expect is not None:
            _compare(name, metric.expect, run)


async def _get_scalars(session: Session, options: SnmpOptions, run: Run, counters: Counters) -> list[str]:
    """Ask for the single values; the names that the agent does not have come back."""
    scalars = options.scalars
    oids = {oid for metric in scalars.values() for oid in (metric.oid, metric.divided_by) if oid}
    kinds = {m.type for m in scalars.values()} | {c.type for t in options.tables.values() for c in t.columns.values()}
    counting = bool(kinds & BITS.keys())
    if counting:
        oids.add(UPTIME)
    if not oids:
        return []
    found = await _get(session, sorted(oids), options.patience)
    now = time.monotonic()
    if counting:
        counters.begin(number(found.get(UPTIME)), now)
    missing = []
    for name, metric in scalars.items():
        if metric.oid in found:
            _record(name, metric, found, run, counters, now)
        elif not metric.optional:
            missing.append(name)
    return missing


async def _get(session: Session, oids: Sequence[str], patience: Patience, size: int = OIDS_A_REQUEST) -> dict[str, Raw]:
    """The values, in requests of at most so many OIDs; halved where an answer is too large."""
    found: dict[str, Raw] = {}
    for at in range(0, len(oids), size):
        some = oids[at : at + size]
        try:
            found |= await session.get(some, patience)
        except TooLargeError:
            if len(some) == 1:
                raise
            found |= await _get(session, some, patience, len(some) // 2)
    return found


def _record(name: str, metric: Metric, found: Mapping[str, Raw], run: Run, counters: Counters, now: float) -> None:
    raw = found[metric.oid]
    if metric.type == "text":
        run.facts[name] = text(raw)
        return
    count = number(raw)
    if count is None:
        raise AgentError("protocol_error", f"{name}: {text(raw, 60)!r} where a number is due (type {metric.type})")
    if metric.type == "enum":
        run.facts[name] = metric.labels.get(int(count), str(int(count)))
    divisor = None if metric.divided_by is None else number(found.get(metric.divided_by))
    value = measured(name, metric, count, counters, now, divisor)
    if value is not None:
        run.values[name] = value


def _compare(name: str, expect: Expect, run: Run) -> None:
    shown = run.facts.get(name)
    value = run.values.get(name)
    if expect.matches is not None:
        well = expect.matches.found_in(shown if shown is not None else f"{value:g}" if value is not None else "")
    elif isinstance(expect.equals, float):
        well = value == expect.equals or (value is None and shown == f"{expect.equals:g}")
    else:
        well = shown == expect.equals
    if not well:
        seen = shown if shown is not None else value
        with run.stage("expect"):
            run.fail("mismatch", f"{name} is {seen!r}")


@contextmanager
def _stage(run: Run, name: str) -> Iterator[None]:
    with run.stage(name):
        try:
            yield
        except AgentError as error:
            run.fail(error.code, error.detail)
        except PoolFullError as error:
            run.fail("overloaded", str(error))


PROTOCOL = Protocol("snmp", SnmpOptions, probe, values=VALUES, service=sessions, values_of=values_of, transport="udp")
