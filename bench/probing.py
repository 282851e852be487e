"""Probes as fast as they come back, so many in flight: ours through the engine's runner, an exporter's over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from bench.peers import cpu_seconds
from sentinel.app.clock import SystemClock
from sentinel.config.configuration import Limits
from sentinel.domain.observation import Observation
from sentinel.domain.target import Check, Target
from sentinel.engine.runner import Runner
from sentinel.engine.scheduler import Entry
from sentinel.sdk.protocol import Protocol

WARM_UP = 200


async def probe(protocol: Protocol, asked: Mapping[str, Any], count: int, at_once: int) -> tuple[float, Counter[str]]:
    """CPU seconds of ``count`` probes of 127.0.0.1, ``at_once`` in flight, and their outcomes, after a warm-up."""
    target = Target("peer", "peer", "127.0.0.1", "service", "internal")
    given = protocol.options.model_validate(asked)
    checks = [
        Check(
            f"peer.{n}", str(n), target, protocol.name, protocol.name, given, interval=10, timeout=5, vantage="centre"
        )
        for n in range(at_once)
    ]
    async with protocol.service() if protocol.service else nullcontext() as service:
        await _round(protocol, service, checks, WARM_UP)
        began = time.process_time()
        outcomes = await _round(protocol, service, checks, count)
        return time.process_time() - began, outcomes


async def _round(protocol: Protocol, service: object, checks: Sequence[Check], count: int) -> Counter[str]:
    """Run ``count`` probes: an entry that is finished is started again."""
    outcomes: Counter[str] = Counter()
    done = asyncio.Event()
    clock = SystemClock()

    def accept(observation: Observation) -> None:
        outcomes[observation.outcome] += 1

    runner = Runner({protocol.name: protocol}, {protocol.name: service}, clock, Limits(host=len(checks)), accept)

    def start(entries: Sequence[Entry]) -> None:
        for entry in entries:
            entry.due, entry.running = clock.monotonic(), True
        runner.start(entries)

    def again(entry: Entry) -> None:
        if outcomes.total() == count:
            done.set()
        elif outcomes.total() <= count - len(checks):
            start([entry])

    runner.finished = again
    start([Entry(check, 0) for check in checks])
    await done.wait()
    await runner.stop()
    return outcomes


def scrape(exporter: tuple[int, int], path: str, good: bytes, count: int, at_once: int) -> tuple[float, Counter[str]]:
    """CPU seconds that an exporter (its process id and port) uses for ``count`` probes asked for at ``path``.

    They are asked for over ``at_once`` kept connections, after a warm-up; an answer is good that has 200 and ``good``.
    """
    pid, port = exporter
    outcomes: Counter[str] = Counter()

    def ask(times: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(times):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            outcomes["ok" if answer.status == 200 and good in body else "failed"] += 1
        connection.close()

    used = 0.0
    for wanted in (WARM_UP, count):
        outcomes.clear()
        began = cpu_seconds(pid)
        threads = [threading.Thread(target=ask, args=(wanted // at_once,)) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = cpu_seconds(pid) - began
    return used, outcomes
