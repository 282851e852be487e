"""The wheel beside APScheduler: the same job that does nothing, as often, in a process of its own each.

python -m bench.scheduler [--checks N] [--interval S] [--seconds S] [--json FILE]

Lateness is measured inside the job, from the slot for which it was started; CPU is the whole process's between the
first second and the last.  Both run on uvloop, as the daemon does.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import uvloop
from apscheduler.executors.asyncio import AsyncIOExecutor  # type: ignore[import-untyped]  # theirs has no types
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # the same

from bench.peers import finish, options
from sentinel.app.clock import SystemClock
from sentinel.domain.target import Check, Target
from sentinel.engine.planner import spread
from sentinel.engine.scheduler import Entry, Scheduler

LATE_P99 = 0.020
"""Seconds."""

OF_APSCHEDULER = 0.15
"""Our CPU as a share of theirs."""

WARM_UP = 1.0


class Side:
    """What one of them did: lateness in seconds of each start after the warm-up, CPU seconds since then."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._cpu = 0.0
        self.measuring = False

    def begin(self) -> None:
        """The warm-up is over."""
        self.late.clear()
        self._cpu = time.process_time()
        self.measuring = True

    def figures(self) -> dict[str, float]:
        """Starts, lateness in seconds, CPU in seconds."""
        cpu = time.process_time() - self._cpu
        self.late.sort()
        count = len(self.late)
        return {
            "starts": count,
            "late_p50": self.late[count // 2],
            "late_p99": self.late[count * 99 // 100],
            "late_max": self.late[-1],
            "cpu_seconds": cpu,
            "cpu_us_each": cpu / count * 1e6,
        }


async def sentinel(count: int, interval: float, seconds: float) -> Side:
    """The scheduler of the daemon."""
    side, clock = Side(), SystemClock()
    target = Target("host", "host", "192.0.2.1", "terminal", "internal")

    def start(entries: Sequence[Entry]) -> None:
        now = clock.monotonic()
        for entry in entries:
            side.late.append(now - entry.due)
            scheduler.finished(entry)

    scheduler = Scheduler(clock, start)
    scheduler.load(
        Check(f"host-{n:05}.ping", "ping", target, "p", "p", None, interval, 1.0, "centre") for n in range(count)
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduler.run(), name="scheduler")
        await asyncio.sleep(WARM_UP)
        side.begin()
        await asyncio.sleep(seconds)
        task.cancel()
    return side


async def apscheduler(count: int, interval: float, seconds: float) -> Side:
    """APScheduler 3, an interval job for each check, spread in the same way."""
    side = Side()
    began = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)  # noqa: TID251 - theirs goes by the wall clock
    epoch = began.timestamp()

    async def job(offset: float) -> None:
        late = (time.time() - epoch - offset) % interval  # noqa: TID251 - the same
        side.late.append(late)

    theirs = AsyncIOScheduler(
        executors={"default": AsyncIOExecutor()}, job_defaults={"misfire_grace_time": 60, "coalesce": True}
    )
    for n in range(count):
        offset = round(spread(f"host-{n:05}.ping") * interval, 2)
        theirs.add_job(
            job, "interval", args=[offset], seconds=interval, next_run_time=began + dt.timedelta(seconds=offset)
        )
    theirs.start()
    await asyncio.sleep(max(0.0, epoch - time.time()) + WARM_UP)  # noqa: TID251 - the same
    side.begin()
    await asyncio.sleep(seconds)
    theirs.shutdown(wait=False)
    return side


SIDES = {"sentinel": sentinel, "apscheduler": apscheduler}


def _alone(name: str, given: argparse.Namespace) -> dict[str, Any]:
    sizes = [f"--checks={given.checks}", f"--interval={given.interval}", f"--seconds={given.seconds}"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.scheduler", f"--side={name}", *sizes], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    """Print the figures; 1 where a target is missed."""
    arguments = options("scheduler", "The wheel beside APScheduler.")
    arguments.add_argument("--checks", type=int, default=10_000)
    arguments.add_argument("--interval", type=float, default=10.0)
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--side", choices=SIDES, help="run one side and print its figures as JSON")
    given = arguments.parse_args()
    if given.side:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            side = runner.run(SIDES[given.side](given.checks, given.interval, given.seconds))
        print(json.dumps(side.figures()))
        return 0
    found = {name: _alone(name, given) for name in SIDES}
    figures = {f"{name}: {key}": value for name, one in found.items() for key, value in one.items()}
    ratios = {
        "of APScheduler's CPU for a start": (
            found["sentinel"]["cpu_us_each"] / found["apscheduler"]["cpu_us_each"],
            OF_APSCHEDULER,
        ),
        "seconds late, 99 of 100 starts": (found["sentinel"]["late_p99"], LATE_P99),
    }
    return finish("scheduler", figures, ratios, given.json)


if __name__ == "__main__":
    raise SystemExit(main())
