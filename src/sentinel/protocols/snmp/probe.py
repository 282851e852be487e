"""SNMP: does the agent answer, and what does the device say of itself?

v2c (RFC 3416) and v3 (RFC 3414) by gufo-snmp.  Numbers become values, texts become facts, counters become rates.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sentinel.domain.target import Target
from sentinel.protocols.snmp.answers import AgentError
from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.datagram import Raw
from sentinel.protocols.snmp.options import VALUES, Expect, Plan, SnmpOptions, values_of
from sentinel.protocols.snmp.pool import Pool, PoolFullError, sessions
from sentinel.protocols.snmp.profile import Metric
from sentinel.protocols.snmp.rates import UPTIME, Counters
from sentinel.protocols.snmp.session import Session
from sentinel.protocols.snmp.table import Reader, get_all, measure_table
from sentinel.protocols.snmp.values import ALONE, Beside, bits, measured, number, raw_number, text
from sentinel.sdk.net import is_literal, resolve
from sentinel.sdk.protocol import Protocol, Run


@dataclass(slots=True)
class Memory:
    """What a check keeps from one round to the next; made anew where its options are others."""

    host: str
    options: SnmpOptions
    plan: Plan
    credentials: Credentials
    literal: str | None
    counters: Counters = field(default_factory=Counters)


async def probe(target: Target, options: SnmpOptions, run: Run) -> None:
    """Read all single values, then each table.

    What the agent does not have is ``not_found``, said after everything else was read.
    """
    pool: Pool = run.service
    memory = _memory(target, options, run, pool)
    plan, counters = memory.plan, memory.counters
    address = memory.literal or await resolve(run, target.address)
    session = pool.resting(address, options.port, memory.credentials)
    if session is None:
        with run.stage("prepare"):
            try:
                session = pool.open(address, options.port, memory.credentials)
            except PoolFullError as error:
                run.fail("overloaded", str(error))
    absent: list[str] = []
    try:
        if session.needs_login:
            with run.stage("login"):
                await session.login(plan.patience)
        with run.stage("get"):
            missing = await _get_scalars(session, plan, run, counters)
        if plan.tables:
            with run.stage("walk"):
                absent = await _read_tables(Reader(session, plan.patience, options), plan, run, counters)
    except AgentError as error:
        run.fail(error.code, error.detail)
    finally:
        pool.take_back(session)
    if missing or absent:
        stage = "get" if missing else "walk"
        run.fail("not_found", f"the agent does not have {', '.join([*missing, *absent])}", stage=stage)
    for name, expect in plan.expected:
        _compare(name, expect, run)


def _memory(target: Target, options: SnmpOptions, run: Run, pool: Pool) -> Memory:
    memory: Memory | None = run.memory.get("snmp")
    # After a reload the options are another object, and mostly an equal one: then the counters go on.
    same = memory is not None and (memory.options is options or memory.options == options)
    if memory is not None and same and memory.host == target.address:
        memory.options = options
        return memory
    literal = target.address if is_literal(target.address) else None
    memory = Memory(target.address, options, options.plan, options.credentials(pool.master_key), literal)
    run.memory["snmp"] = memory
    return memory


async def _read_tables(reader: Reader, plan: Plan, run: Run, counters: Counters) -> list[str]:
    rows, absent = 0, []
    for table in plan.tables:
        found, missing = await measure_table(reader, table, run, counters)
        rows += found
        absent += missing
    run.values["rows"] = float(rows)
    run.values["truncated"] = float(reader.truncated)
    return absent


async def _get_scalars(session: Session, plan: Plan, run: Run, counters: Counters) -> list[str]:
    """Ask for the single values; the names that the agent does not have come back."""
    if not plan.oids:
        return []
    found = await get_all(session, plan.oids, plan.patience)
    now = time.monotonic()
    if plan.counting:
        counters.begin(number(found.get(UPTIME)), now)
    missing = []
    for name, metric in plan.scalars.items():
        if metric.oid in found:
            _record(name, metric, found, run, counters, now)
        elif not metric.optional:
            missing.append(name)
    return missing


def _record(name: str, metric: Metric, found: Mapping[str, Raw], run: Run, counters: Counters, now: float) -> None:
    raw = found[metric.oid]
    if metric.type == "text":
        run.facts[name] = text(raw)
        return
    count = raw_number(metric, raw)
    if count is None:
        raise AgentError("protocol_error", f"{name}: {text(raw, 60)!r} where a number is due (type {metric.type})")
    if metric.type == "enum":
        run.facts[name] = metric.labels.get(int(count), str(int(count)))
    elif isinstance(raw, bytes) and metric.type == "bits":
        run.facts[name] = ", ".join(bits(metric, raw))
    beside = ALONE if metric.divided_by is None else Beside(number(found.get(metric.divided_by)))
    value = measured(name, metric, count, counters, now, beside)
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


PROTOCOL = Protocol("snmp", SnmpOptions, probe, values=VALUES, service=sessions, values_of=values_of, transport="udp")
