"""What the engine costs for each check, sockets apart: runner, pipeline, snapshot and the SQLite store.

python -m bench.engine [--checks N] [--rounds N] [--json FILE]

A protocol that does nothing, started as the wheel starts it: by ``probe`` (a coroutine under its deadline, for each
check) and by ``sweep`` (all checks of a tick at once).  Everything else is what the daemon uses.  ``--profile`` shows
where the time goes.
"""

from __future__ import annotations

import asyncio
import cProfile
import logging
import pstats
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import structlog
import uvloop

from bench.peers import finish, options
from sentinel.app.clock import SystemClock
from sentinel.config.configuration import Limits
from sentinel.domain.incident import Incident, Transition
from sentinel.domain.notice import Notice
from sentinel.domain.observation import Measurement
from sentinel.domain.rule import Down, Rule, Selector, Severity
from sentinel.domain.target import Check, Target
from sentinel.engine.pipeline import Pipeline
from sentinel.engine.runner import Runner
from sentinel.engine.scheduler import Entry, Scheduler
from sentinel.engine.snapshot import Snapshot
from sentinel.sdk.protocol import Done, Options, Protocol, Run
from sentinel.storage.sqlite import open_store

VALUES = {"rtt_avg_seconds": 0.001, "loss_ratio": 0.0}
STAGES = {"echo": 0.001}


class NoOptions(Options):
    """None."""


async def probe(_target: Target, _options: NoOptions, run: Run) -> None:
    """Measure nothing."""
    run.values.update(VALUES)


def sweep(_service: object, checks: Sequence[Check], done: Done) -> None:
    """Measure nothing of all."""
    for check in checks:
        done(check, Measurement(0.001, None, STAGES, VALUES))


def _announce(incident: Incident, _transition: Transition) -> tuple[Incident, Sequence[Notice]]:
    return incident, ()


def _checks(count: int) -> list[Check]:
    found = []
    for n in range(count):
        name = f"host-{n:05}"
        target = Target(name, name, f"192.0.2.{n % 250}", "terminal", "internal", reachability=f"{name}.ping")
        found.append(Check(f"{name}.ping", "ping", target, "idle", "idle", NoOptions(), 10.0, 2.0, "centre"))
    return found


async def _measure(checks: list[Check], rounds: int, *, swept: bool, profile: cProfile.Profile | None) -> float:
    """CPU microseconds a check: the loop's thread only; the writer's work is its own."""
    clock, snapshot = SystemClock(), Snapshot()
    snapshot.results()  # the exporter's
    rule = Rule("down", "down", Selector(), Down(), Severity.MAJOR)
    prints = {check.id: check.id for check in checks}
    plan = SimpleNamespace(
        targets={check.target.id: check.target for check in checks},
        checks={check.id: check for check in checks},
        rules=(rule,),
        baselines={},
        learned={},
        fingerprints=prints,
    )
    protocol = replace(Protocol("idle", NoOptions, probe), sweep=sweep if swept else None)
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(folder) / "store.db", clock) as store:
            scheduler = Scheduler(clock, lambda _entries: None)
            pipeline = Pipeline(
                store, snapshot, clock, announce=_announce, hasten=scheduler.hasten, new_id=lambda at: f"i{at}"
            )
            pipeline.swap(plan)
            limits = Limits(host=1_000_000, zone=1_000_000, protocol=1_000_000)
            runner = Runner({"idle": protocol}, {}, clock, limits, pipeline.accept)
            runner.finished = scheduler.finished
            entries = [Entry(check, 0) for check in checks]
            await _turn(runner, entries, clock)  # the first results are transitions, and written
            await store.flush()
            if profile is not None:
                profile.enable()
            began = time.thread_time()
            for _ in range(rounds):
                await _turn(runner, entries, clock)
            spent = time.thread_time() - began
            if profile is not None:
                profile.disable()
            await runner.stop()
    return spent / (rounds * len(checks)) * 1e6


async def _turn(runner: Runner, entries: list[Entry], clock: SystemClock) -> None:
    """One round in batches of a tick's size; all are over when it returns."""
    for start in range(0, len(entries), 100):
        batch = entries[start : start + 100]
        due = clock.monotonic()
        for entry in batch:
            entry.running, entry.due = True, due
        runner.start(batch)
        while runner.running:  # noqa: ASYNC110 - each turn of the loop is a step of the probes
            await asyncio.sleep(0)


def _wheel(count: int, rounds: int) -> float:
    """CPU microseconds that the wheel itself takes to hand a check over and take it back."""
    now = [1000.0]
    clock = SimpleNamespace(now=lambda: now[0], monotonic=lambda: now[0])

    def start(entries: Sequence[Entry]) -> None:
        for entry in entries:
            scheduler.finished(entry)

    scheduler = Scheduler(clock, start)
    scheduler.load(_checks(count))
    began = time.thread_time()
    for _ in range(rounds * 1000):
        now[0] += 0.01
        scheduler.turn()
    return (time.thread_time() - began) / scheduler.started * 1e6


def main() -> int:
    """Print the figures; they have no peer to be compared with."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    arguments = options("engine", "What the engine costs for each check, sockets apart.")
    arguments.add_argument("--checks", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--profile", action="store_true", help="show the functions that take the time")
    given = arguments.parse_args()
    checks = _checks(given.checks)
    found: dict[str, float] = {"wheel_us": _wheel(given.checks, given.rounds)}
    for name, swept in (("sweep_us", True), ("probe_us", False)):
        profile = cProfile.Profile() if given.profile else None
        loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=loop) as runner:
            found[name] = runner.run(_measure(checks, given.rounds, swept=swept, profile=profile))
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)
    found["wheel_and_sweep_us"] = found["wheel_us"] + found["sweep_us"]
    return finish(
        "engine", {name.replace("_us", ", microseconds"): value for name, value in found.items()}, {}, given.json
    )


if __name__ == "__main__":
    raise SystemExit(main())
