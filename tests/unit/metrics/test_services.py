"""What protocols' services count by themselves is exported, whatever a plug-in does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from sentinel.domain.target import Target
from sentinel.metrics.services import ServiceCounters
from sentinel.sdk.protocol import Counter, Options, Protocol, Run


async def _probe(_target: Target, _options: Options, _run: Run) -> None:
    """Never run here."""


def _count(service: dict[str, float]) -> Mapping[str, Mapping[str, float]]:
    return {"lost": {"ipv4": service["lost"], "ipv6": 0}, "rounds": {"": 7}}


PROTOCOL = Protocol(
    "drum",
    Options,
    _probe,
    counters=(
        Counter("lost", "Beats that were lost.", "family"),
        Counter("rounds", "Rounds."),
        Counter("none", "None."),
    ),
    count=_count,
)


def exposed(protocols: Mapping[str, Protocol], services: Mapping[str, object]) -> list[str]:
    registry = CollectorRegistry()
    registry.register(ServiceCounters(lambda: protocols, services))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_counts_are_exported_by_label_and_without() -> None:
    assert exposed({"drum": PROTOCOL}, {"drum": {"lost": 3}}) == [
        'sentinel_drum_lost_total{family="ipv4"} 3.0',
        'sentinel_drum_lost_total{family="ipv6"} 0.0',
        "sentinel_drum_rounds_total 7.0",
    ]


def test_services_that_count_nothing_or_whose_protocol_is_gone() -> None:
    silent = replace(PROTOCOL, name="silent", counters=(), count=None)
    assert exposed({"silent": silent}, {"silent": None, "gone": None}) == []


def test_a_defect_is_told_once_and_takes_nothing_with_it() -> None:
    registry = CollectorRegistry()
    service: dict[str, float] = {}
    with structlog.testing.capture_logs() as lines:
        registry.register(ServiceCounters(lambda: {"drum": PROTOCOL}, {"drum": service}))
        for _ in range(3):
            assert b"sentinel_drum" not in generate_latest(registry)
        service["lost"] = 1
        assert b"sentinel_drum_lost_total" in generate_latest(registry)
    assert [(line["event"], line["protocol"]) for line in lines] == [("service_counters.defect", "drum")]
