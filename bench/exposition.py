"""The scrape of 120,000 series: Sentinel's exporter beside prometheus_client's generate_latest, in one run.

python -m bench.exposition [--checks 10000] [--rounds 5] [--json FILE]

Each side writes the same 12 series for each of 10,000 checks.  Times are CPU milliseconds of this process.  The
exporter's lines are made when a result comes, which is measured apart: it is paid once a result, not once a scrape.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from bench.peers import finish, options
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.target import Check, Target
from sentinel.engine.snapshot import CheckView, Snapshot
from sentinel.metrics.exporter import Exporter
from sentinel.sdk.protocol import Options, Protocol, Run, Value

LABELS = ("check", "target", "probe", "kind", "zone", "venue", "system")
VALUES = tuple(f"value{n}_seconds" for n in range(6))
STAGES = ("connect", "exchange", "transfer")
TARGET_RATIO = 0.05


async def _probe(_target: Target, _options: Options, _run: Run) -> None:
    raise AssertionError


PROTOCOL = Protocol("bench", Options, _probe, values=tuple(Value(name, "s", "A value.") for name in VALUES))


def fleet(checks: int) -> Snapshot:
    """Checks with one good result each: up, duration, 3 stages, results, 6 values are 12 series."""
    snapshot = Snapshot()
    for n in range(checks):
        target = Target(
            f"target-{n:05}", "名", "198.18.0.1", "terminal", "internal", "venue-1", None, f"system-{n % 60}"
        )
        check = Check(f"{target.id}.http", "http", target, "http-page", "bench", Options(), 10.0, 3.0, "centre")
        view = CheckView(check, "up", 0.0)
        view.observation = Observation(
            check.id,
            0.0,
            0.0,
            0.0123 + n / 1e6,
            "centre",
            Outcome.OK,
            None,
            dict.fromkeys(STAGES, 0.001 + n / 10000000.0),
            dict.fromkeys(VALUES, 0.002 + n / 10000000.0),
        )
        view.counts[Outcome.OK] = n
        snapshot.checks[check.id] = view
    return snapshot


def samples(snapshot: Snapshot) -> Iterator[tuple[str, str, tuple[str, ...], tuple[str, ...], float]]:
    """Name, extra label, its value, the base labels, the value: the same series as the exporter's."""
    for view in snapshot.checks.values():
        check, observation = view.check, view.observation
        if observation is None:
            raise AssertionError
        base = (
            check.id,
            check.target.id,
            check.probe,
            check.target.kind,
            check.target.zone,
            check.target.venue or "",
            check.target.system or "",
        )
        yield "sentinel_check_up", "", (), base, 1.0
        yield "sentinel_check_duration_seconds", "", (), base, observation.took
        for stage, seconds in observation.stages.items():
            yield "sentinel_check_stage_seconds", "stage", (stage,), base, seconds
        for outcome, count in view.counts.items():
            yield "sentinel_check_results", "outcome", (outcome.value,), base, float(count)
        for name, value in observation.values.items():
            yield f"sentinel_bench_{name}", "", (), base, value


def labelled(snapshot: Snapshot) -> CollectorRegistry:
    """A registry of gauges with a child a series."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for name, extra, extra_values, base, value in samples(snapshot):
        if name not in gauges:
            gauges[name] = Gauge(name, "Help.", (*LABELS, extra) if extra else LABELS, registry=registry)
        gauges[name].labels(*base, *extra_values).set(value)
    return registry


class Custom(Collector):
    """A collector that makes its families at each scrape from the snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """One family a name."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, extra, extra_values, base, value in samples(self._snapshot):
            if name not in families:
                families[name] = GaugeMetricFamily(name, "Help.", labels=(*LABELS, extra) if extra else LABELS)
            families[name].add_metric((*base, *extra_values), value)
        return families.values()


def cpu(work: Callable[[], object], rounds: int) -> float:
    """Median CPU milliseconds of a call."""
    spent = []
    for _ in range(rounds):
        gc.collect()
        before = time.process_time()
        work()
        spent.append((time.process_time() - before) * 1e3)
    return statistics.median(spent)


async def longest_hold(work: Callable[[], object]) -> float:
    """The longest time in milliseconds that the loop had no turn while ``work`` ran."""
    worst = 0.0
    done = False

    async def watch() -> None:
        nonlocal worst
        last = time.monotonic()
        while not done:
            await asyncio.sleep(0)
            now = time.monotonic()
            worst, last = max(worst, now - last), now

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        await asyncio.sleep(0.01)
        await work()  # type: ignore[misc]  # a coroutine function
        done = True
    return worst * 1e3


def measure(checks: int, rounds: int) -> dict[str, float]:
    """All sides; milliseconds unless the name says otherwise."""
    snapshot = fleet(checks)
    exporter = Exporter(snapshot, {"bench": PROTOCOL}, CollectorRegistry())
    with asyncio.Runner() as runner:
        first = cpu(lambda: runner.run(exporter.scrape()), 1)
        scrape = cpu(lambda: runner.run(exporter.scrape()), rounds)
        hold = min(runner.run(longest_hold(exporter.scrape)) for _ in range(rounds))
        packed = cpu(lambda: runner.run(exporter.scrape(gzip=True)), 1)
        body = b"".join(runner.run(exporter.scrape())[1])

        def results() -> None:
            for view in snapshot.checks.values():
                snapshot.result(view)
            runner.run(exporter.scrape())

        rendered = cpu(results, rounds) - scrape
        for view in snapshot.checks.values():
            snapshot.result(view)
        hold_rendering = runner.run(longest_hold(exporter.scrape))
    series = sum(1 for line in body.splitlines() if line.startswith((b"sentinel_check", b"sentinel_bench")))
    registry = labelled(snapshot)
    gauges = cpu(lambda: generate_latest(registry), rounds)
    own = CollectorRegistry()
    own.register(Custom(snapshot))
    custom = cpu(lambda: generate_latest(own), rounds)
    return {
        "series": series,
        "bytes": len(body),
        "scrape_ms": scrape,
        "longest_hold_of_the_loop_ms": hold,
        "longest_hold_while_all_are_rendered_ms": hold_rendering,
        "first_scrape_ms": first,
        "render_microseconds_a_result": rendered * 1e3 / checks,
        "gzip_scrape_ms_most_in_a_thread": packed,
        "generate_latest_labelled_gauges_ms": gauges,
        "generate_latest_custom_collector_ms": custom,
        "ratio_to_labelled_gauges": scrape / gauges,
        "ratio_to_custom_collector": scrape / custom,
    }


def main() -> int:
    """Print the figures; 1 where the ratio to either of the other sides is above the target."""
    parser = options("exposition", "120,000 series beside generate_latest.")
    parser.add_argument("--checks", type=int, default=10_000, help="checks of 12 series each")
    parser.add_argument("--rounds", type=int, default=5, help="scrapes of each side; the median counts")
    chosen = parser.parse_args()
    figures = {name.replace("_", " "): round(value, 4) for name, value in measure(chosen.checks, chosen.rounds).items()}
    ratios = {
        "a scrape to generate_latest of labelled gauges": (figures.pop("ratio to labelled gauges"), TARGET_RATIO),
        "a scrape to generate_latest of a custom collector": (figures.pop("ratio to custom collector"), TARGET_RATIO),
    }
    return finish("exposition", figures, ratios, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
