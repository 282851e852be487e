"""The daemon's own metrics: is the watcher itself on time, and do its messages arrive?"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

import sentinel
from sentinel.engine.scheduler import LATENESS_BUCKETS

_DELIVERY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)


class SchedulerFigures(Protocol):
    """What the scheduler counts; see ``sentinel.engine.scheduler.Scheduler``."""

    lateness_counts: list[int]
    """Starts by bucket of ``LATENESS_BUCKETS``, not cumulative; one more for the later ones."""
    lateness_sum: float
    started: int
    missed: int


class StoreFigures(Protocol):
    """What the store says of itself."""

    @property
    def failing(self) -> str | None:
        """Why it cannot write; None where it can."""
        ...


class OwnMetrics:
    """Metrics on a registry that is given, made once a daemon; the engine's parts count on them.

    Channels are named by their ids from the configuration, never by an address.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.build = Info("sentinel_build", "Version of the daemon and of its Python.", registry=registry)
        self.build.info({"version": sentinel.__version__, "python": platform.python_version()})
        self.running = Gauge("sentinel_probes_running", "Probes in flight.", registry=registry)
        self.queued = Gauge(
            "sentinel_delivery_queued", "Notices that wait to be accepted.", ["channel"], registry=registry
        )
        self.attempts = Counter(
            "sentinel_delivery_attempts_total",
            "Attempts to deliver notices, by what became of them: accepted, failed (tried again) or refused for good.",
            ["channel", "result"],
            registry=registry,
        )
        self.latency = Histogram(
            "sentinel_delivery_latency_seconds",
            "Time from the commit of a notice until the receiver accepted it.",
            ["channel"],
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )
        self.undelivered = Gauge(
            "sentinel_delivery_undelivered", "Notices that were given up and are kept.", ["channel"], registry=registry
        )
        self.breaker = Gauge(
            "sentinel_delivery_breaker_open",
            "Whether the channel's circuit breaker is open (1): nothing is tried for a while.",
            ["channel"],
            registry=registry,
        )
        self.reloads = Counter(
            "sentinel_config_reloads_total",
            "Reloads of the configuration, by what became of them: swapped or refused.",
            ["result"],
            registry=registry,
        )

    def watch(self, scheduler: SchedulerFigures, store: StoreFigures) -> None:
        """Export what the scheduler and the store count by themselves; they are asked at each scrape."""
        self.registry.register(_Scheduler(scheduler))
        failing = Gauge(
            "sentinel_store_failing",
            "Whether the store cannot write (1): changes are kept in memory and tried again.",
            registry=self.registry,
        )
        failing.set_function(lambda: float(store.failing is not None))


class _Scheduler(Collector):
    """Counting on prometheus_client's own objects would cost the wheel more than starting a check does."""

    def __init__(self, figures: SchedulerFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """The families of the moment."""
        figures = self._figures
        lateness = HistogramMetricFamily(
            "sentinel_scheduler_lateness_seconds", "Time from a check's planned start to its real one."
        )
        bounds = [*map(floatToGoString, LATENESS_BUCKETS), "+Inf"]
        lateness.add_metric(
            [], list(zip(bounds, map(float, accumulate(figures.lateness_counts)), strict=True)), figures.lateness_sum
        )
        yield lateness
        yield CounterMetricFamily("sentinel_scheduler_started", "Checks started.", value=figures.started)
        yield CounterMetricFamily(
            "sentinel_scheduler_missed_slots",
            "Planned starts that were left out since the check's last run had not ended.",
            value=figures.missed,
        )
