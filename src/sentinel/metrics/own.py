"""The daemon's own metrics: is the watcher itself on time, and do its messages arrive?"""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

import sentinel

# Lateness is promised at most 20 ms at the 99th percentile; detection is promised to the second.
_LATENESS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DELIVERY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)


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
        self.lateness = Histogram(
            "sentinel_scheduler_lateness_seconds",
            "Time from a check's planned start to its real one.",
            buckets=_LATENESS_BUCKETS,
            registry=registry,
        )
        self.missed = Counter(
            "sentinel_scheduler_missed_slots_total",
            "Planned starts that were left out since the check's last run had not ended.",
            registry=registry,
        )
        self.running = Gauge("sentinel_probes_running", "Probes in flight.", registry=registry)
        self.shed = Counter(
            "sentinel_probes_shed_total",
            "Probes given up since they waited too long for their turn.",
            registry=registry,
        )
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
        self.commits = Histogram(
            "sentinel_store_commit_seconds", "Time until a transaction was on the disk.", registry=registry
        )
        self.store_failures = Counter(
            "sentinel_store_failures_total", "Transactions that could not be written.", registry=registry
        )
        self.reloads = Counter(
            "sentinel_config_reloads_total",
            "Reloads of the configuration, by what became of them: swapped or refused.",
            ["result"],
            registry=registry,
        )
