"""ICMP echoes through the whole engine, beside fping at the same pace and blackbox_exporter.

python -m bench.icmp [--targets N] [--intervals S ...] [--rounds N] [--json FILE]

Needs a raw or a ping socket.  The targets are 127.18.x.x, one echo an interval each, spread over the interval.  Our
side is the daemon's whole way of an observation: scheduler, runner, protocol, pipeline under a rule, SQLite store.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import uvloop

from bench.peers import accepts, cpu_seconds, finish, free_port, locate, options, running
from sentinel.app.clock import SystemClock
from sentinel.config.configuration import Limits
from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Down, Rule, Selector, Severity
from sentinel.domain.target import Check, Target
from sentinel.engine.pipeline import Pipeline
from sentinel.engine.runner import Runner
from sentinel.engine.scheduler import Scheduler
from sentinel.engine.snapshot import Snapshot
from sentinel.protocols.icmp import PROTOCOL, IcmpOptions, service
from sentinel.storage.sqlite import open_store

OF_FPING, OF_BLACKBOX = 1.0, 0.02
AT_ONCE = 16
BUSY, ROUND = 0.005, 0.01  # seconds of each round in which the loop does something else, and of a round
APART_MS = 0.2  # between our round trips and fping's while the loop is half busy
FLAT_OUT = 0.2  # seconds between two echoes to each target, where nothing but our own CPU is measured
BLACKBOX = "modules: {echo: {prober: icmp, timeout: 2s, icmp: {preferred_ip_protocol: ip4}}}\n"


@dataclass
class Side:
    """What one program did: CPU seconds, echoes by what became of them, round trips in seconds.

    ``unknown`` are those that this host could not send in time: our own trouble, and none of the target's.
    """

    cpu: float = 0.0
    answered: int = 0
    lost: int = 0
    unknown: int = 0
    trips: list[float] = field(default_factory=list)

    @property
    def each(self) -> float:
        """CPU in ms for a thousand echoes."""
        return self.cpu * 1e6 / self.echoes

    @property
    def echoes(self) -> int:
        """All of them."""
        return self.answered + self.lost + self.unknown


class Plan:
    """What the pipeline judges by: the checks, and a rule for all of them."""

    rules = (Rule("down", "down", Selector(), Down(failures=2, of=3), Severity.CRITICAL),)

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = {check.id: check for check in checks}
        self.targets = {check.target.id: check.target for check in checks}
        self.baselines: dict[str, CheckBaseline] = {}
        self.learned: dict[str, frozenset[str]] = {}
        self.fingerprints = dict.fromkeys(self.checks, "")


async def occupy() -> None:
    """Hold the loop half of the time: replies come while nobody can read them."""
    while True:
        until = time.perf_counter() + BUSY
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(ROUND - BUSY)


async def half_busy(addresses: Sequence[str], interval: float, rounds: int) -> Side:
    """As ``ours``, on a loop that is held half of the time."""
    other = asyncio.get_running_loop().create_task(occupy(), name="occupy")
    try:
        return await ours(addresses, interval, rounds)
    finally:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def ours(addresses: Sequence[str], interval: float, rounds: int) -> Side:
    """Scheduler, runner and engine in this process, for ``rounds`` intervals after the first."""
    side = Side()
    clock = SystemClock()
    measuring = False

    def accept(observation: Observation) -> None:
        pipeline.accept(observation)
        if not measuring:
            return
        if observation.outcome is Outcome.OK:
            side.answered += 1
            side.trips.append(observation.values["rtt_avg_seconds"])
        elif observation.outcome is Outcome.FAILED:
            side.lost += 1
        else:
            side.unknown += 1

    checks = [
        Check(f"{n}.ping", "ping", _target(address), "ping", "icmp", IcmpOptions(), interval, 2.0, "here")
        for n, address in enumerate(addresses)
    ]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        store = await stack.enter_async_context(open_store(Path(folder) / "bench.db", clock))
        engine = await stack.enter_async_context(service())
        runner = Runner({"icmp": PROTOCOL}, {"icmp": engine}, clock, Limits(), accept)
        scheduler = Scheduler(clock, runner.start)
        runner.finished = scheduler.finished
        pipeline = Pipeline(
            store,
            Snapshot(),
            clock,
            announce=lambda incident, _transition: (incident, ()),
            hasten=scheduler.hasten,
            new_id=lambda at: f"{at:.6f}",
        )
        pipeline.swap(Plan(checks))
        turning = asyncio.get_running_loop().create_task(scheduler.run(), name="scheduler")
        scheduler.load(checks)
        await asyncio.sleep(interval)
        measuring = True
        began = time.process_time()
        await asyncio.sleep(rounds * interval)
        side.cpu = time.process_time() - began
        measuring = False  # what is cut off by the end of the service is nobody's loss
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)
        dropped = engine.counters()["ipv4"].dropped
    if dropped:
        print(f"icmp: the kernel dropped {dropped} replies", file=sys.stderr)
    return side


def fping(addresses: Sequence[str], interval: float, rounds: int) -> Side:
    """The peer at the same pace, for as many rounds after its first; it prints round trips to a microsecond."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        names.write("\n".join(addresses))
        names.flush()
        gap = interval * 1000 / len(addresses)
        command = [locate("fping"), "-q", "-C", str(rounds + 2), "-p", f"{interval * 1000:.0f}", "-i", f"{gap:.3f}"]
        process = subprocess.Popen(
            [*command, "-f", names.name], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        time.sleep(interval)
        began = cpu_seconds(process.pid)
        time.sleep(rounds * interval)
        used = cpu_seconds(process.pid) - began
        _, said = process.communicate()
    side = Side(cpu=used)
    for line in said.splitlines():
        # The address, a colon, then milliseconds or a dash for each round.
        for trip in line.partition(" : ")[2].split()[1 : 1 + rounds]:
            if trip == "-":
                side.lost += 1
            else:
                side.answered += 1
                side.trips.append(float(trip) / 1000)
    return side


def blackbox(addresses: Sequence[str]) -> Side:
    """One probe of each target over ``AT_ONCE`` kept connections; the exporter's CPU alone."""
    outcomes: Counter[bool] = Counter()
    port = free_port()

    def ask(mine: Sequence[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for address in mine:
            connection.request("GET", f"/probe?module=echo&target={address}")
            outcomes[b"\nprobe_success 1\n" in connection.getresponse().read()] += 1
        connection.close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "blackbox.yml").write_text(BLACKBOX, "utf-8")
        command = [
            locate("blackbox_exporter"),
            f"--config.file={folder / 'blackbox.yml'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with running(command, ready=lambda: accepts("127.0.0.1", port), log=folder / "log") as exporter:
            ask(addresses[:100])  # warms up
            outcomes.clear()
            began = cpu_seconds(exporter.pid)
            threads = [threading.Thread(target=ask, args=(addresses[n::AT_ONCE],)) for n in range(AT_ONCE)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            used = cpu_seconds(exporter.pid) - began
    return Side(cpu=used, answered=outcomes[True], lost=outcomes[False])


def main() -> int:
    """Measure each side in turn, at each pace, and compare."""
    parser = options("icmp", __doc__ or "")
    parser.add_argument("--targets", type=int, default=3_000, help="addresses, at most 65,536")
    parser.add_argument("--intervals", type=float, nargs="+", default=[10.0, 1.0], help="seconds between two echoes")
    parser.add_argument("--rounds", type=int, default=2, help="intervals that are measured, after one that is not")
    chosen = parser.parse_args()
    addresses = [f"127.18.{n >> 8}.{n & 255}" for n in range(chosen.targets)]
    if os.geteuid() != 0:
        print("icmp: without root the receive buffer stays small, and blackbox_exporter may need ping_group_range")
    figures: dict[str, float] = {}
    ratios: dict[str, tuple[float, float]] = {}
    exporter = blackbox(addresses)
    figures["blackbox_exporter CPU ms per 1,000"] = exporter.each
    for interval in chosen.intervals:
        rounds = max(chosen.rounds, int(chosen.rounds * 5 / interval))
        pace = f"{chosen.targets / interval:.0f}/s"
        theirs = fping(addresses, interval, rounds)
        mine = uvloop.run(ours(addresses, interval, rounds))
        figures[f"{pace} fping CPU ms per 1,000"] = theirs.each
        figures[f"{pace} sentinel CPU ms per 1,000"] = mine.each
        for name, side in (("fping", theirs), ("sentinel", mine)):
            figures[f"{pace} {name} lost"] = float(side.lost)
            figures[f"{pace} {name} unknown"] = float(side.unknown)
            cuts = quantiles(side.trips, n=100)
            figures[f"{pace} {name} round trip p50 ms"] = cuts[49] * 1000
            figures[f"{pace} {name} round trip p99 ms"] = cuts[98] * 1000
        ratios[f"{pace} CPU of fping's"] = (mine.each / theirs.each, OF_FPING)
    theirs = fping(addresses, 1.0, 5)
    mine = uvloop.run(half_busy(addresses, 1.0, 5))
    figures["half busy, sentinel lost"] = float(mine.lost)
    for name, cut in (("p50", 49), ("p99", 98)):
        trips = [quantiles(side.trips, n=100)[cut] * 1000 for side in (mine, theirs)]
        figures[f"half busy, sentinel round trip {name} ms"], figures[f"half busy, fping round trip {name} ms"] = trips
        ratios[f"half busy, {name} apart from fping's, to {APART_MS} ms"] = (abs(trips[0] - trips[1]) / APART_MS, 1.0)
    # The exporter was asked as fast as it could answer: so are we (fping ends near 3,000 a second here).
    flat_out = uvloop.run(ours(addresses, FLAT_OUT, int(5 / FLAT_OUT)))
    pace = f"{chosen.targets / FLAT_OUT:.0f}/s"
    figures[f"{pace} sentinel CPU ms per 1,000"] = flat_out.each
    figures[f"{pace} sentinel lost"] = float(flat_out.lost)
    figures[f"{pace} sentinel unknown"] = float(flat_out.unknown)
    ratios[f"{pace} CPU of blackbox_exporter's"] = (flat_out.each / exporter.each, OF_BLACKBOX)
    return finish("icmp", figures, ratios, chosen.json)


def _target(address: str) -> Target:
    return Target(address, address, address, "service", "internal")


if __name__ == "__main__":
    sys.exit(main())
