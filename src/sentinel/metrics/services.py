"""What the protocols' services count by themselves: packets that a shared socket dropped, workers that died."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from sentinel.sdk.protocol import Counter, Protocol

log = structlog.get_logger(__name__)


class ServiceCounters(Collector):
    """The counters of every protocol whose service is open, asked for at each scrape.

    ``protocols`` gives the protocols of the configuration in force; ``services`` holds what is open, by protocol.
    """

    def __init__(self, protocols: Callable[[], Mapping[str, Protocol]], services: Mapping[str, Any]) -> None:
        self._protocols = protocols
        self._services = services
        self._broken: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """The families of the moment."""
        for name, service in self._services.items():
            protocol = self._protocols().get(name)
            if protocol is None or protocol.count is None:
                continue
            try:
                counted = protocol.count(service)
            except Exception:  # a protocol's defect must not take the whole exposition with it
                if name not in self._broken:
                    log.exception("service_counters.defect", protocol=name)
                self._broken.add(name)
                continue
            self._broken.discard(name)
            for counter in protocol.counters:
                yield family(protocol, counter, counted.get(counter.name, {}))


def family(protocol: Protocol, counter: Counter, counts: Mapping[str, float]) -> CounterMetricFamily:
    """One counter as it is exported, with its counts by label value."""
    labels = [counter.label] if counter.label else []
    found = CounterMetricFamily(f"sentinel_{protocol.name}_{counter.name}", counter.description, labels=labels)
    for value, count in counts.items():
        found.add_metric([value] if labels else [], count)
    return found
