"""The exposition: what is written, that it parses again, and that a scrape holds nobody up."""

import asyncio
import gzip
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sentinel.domain.failure import Failure
from sentinel.domain.incident import Telling
from sentinel.domain.rule import Severity
from sentinel.engine.snapshot import Snapshot
from sentinel.metrics.exporter import OPENMETRICS, TEXT, Exporter, prefers_openmetrics
from sentinel.metrics.own import OwnMetrics
from sentinel.sdk.protocol import Value
from tests.support import fleet

ACCEPT_OF_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def snapshot() -> Snapshot:
    config = fleet.configuration()
    return fleet.snapshot(
        config,
        {
            "room-209-set-01.tcp": "down",
            "room-305-set-01.tcp": "unknown",
            "room-335-set-01.tcp": "pending",
            "room-520-set-01.tcp": "failing",
        },
    )


@pytest.fixture
def exporter(snapshot: Snapshot) -> Exporter:
    registry = CollectorRegistry()
    OwnMetrics(registry).watch(fleet.Timing(), fleet.Histories())
    return Exporter(snapshot, fleet.PROTOCOLS, registry)


def parse_openmetrics(text: str) -> Iterator[Metric]:
    return cast(
        "Iterator[Metric]",
        openmetrics_parser.text_string_to_metric_families(text),  # type: ignore[no-untyped-call]  # theirs has no types
    )


async def text_of(exporter: Exporter, accept: str = "") -> str:
    return b"".join((await exporter.scrape(accept))[1]).decode()


def samples_of(text: str) -> Samples:
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    samples = [sample for family in parse(text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "a series came twice"
    return found


def of_check(samples: Samples, check: str) -> set[str]:
    return {name for name, labels in samples if ("check", check) in labels}


async def test_a_good_check_has_its_labels_and_values(exporter: Exporter) -> None:
    samples = samples_of(await text_of(exporter))
    labels = {
        "check": "room-637-set-01.tcp",
        "target": "room-637-set-01",
        "probe": "tcp-probe",
        "kind": "conference-terminal",
        "zone": "internal",
        "venue": "room-637",
    }
    assert samples["sentinel_check_up", frozenset(labels.items())] == 1
    assert samples["sentinel_tcp_rtt_seconds", frozenset(labels.items())] == 0.0123
    assert samples["sentinel_check_duration_seconds", frozenset(labels.items())] == 0.0123
    assert samples["sentinel_check_stage_seconds", frozenset((labels | {"stage": "connect"}).items())] == 0.0123 / 3
    assert samples["sentinel_check_results_total", frozenset((labels | {"outcome": "ok"}).items())] == 100


async def test_unknown_and_unobserved_have_no_up(exporter: Exporter) -> None:
    samples = samples_of(await text_of(exporter))
    assert of_check(samples, "room-305-set-01.tcp") == {
        "sentinel_check_unknown",
        "sentinel_check_results_total",
        "sentinel_check_failures_total",
    }
    assert of_check(samples, "hall-60.tcp") == {"sentinel_check_unknown"}
    assert of_check(samples, "room-335-set-01.tcp") == set()


async def test_a_failed_check_is_0_with_its_stage_and_code(exporter: Exporter) -> None:
    samples = samples_of(await text_of(exporter))
    for check in ("room-209-set-01.tcp", "room-520-set-01.tcp"):
        found = {name: value for (name, labels), value in samples.items() if ("check", check) in labels}
        assert found["sentinel_check_up"] == 0
        assert found["sentinel_check_failures_total"] == 3
        assert "sentinel_tcp_rtt_seconds" not in found
    assert any(
        name == "sentinel_check_failures_total" and {("stage", "connect"), ("code", "timed_out")} <= labels
        for name, labels in samples
    )


async def test_help_and_type_come_once_a_family(exporter: Exporter) -> None:
    lines = (await text_of(exporter)).splitlines()
    for kind in ("HELP", "TYPE"):
        names = [line.split(" ")[2] for line in lines if line.startswith(f"# {kind} ")]
        assert len(names) == len(set(names)) > 20
    assert r'# HELP sentinel_icmp_rtt_seconds Round trip; a "quoted" word, a \\ and\na line.' in lines


async def test_a_change_is_seen_at_the_next_scrape_without_run(exporter: Exporter, snapshot: Snapshot) -> None:
    await exporter.scrape()
    view = snapshot.checks["room-637-set-01.tcp"]
    view.observation = fleet.observation(view.check, failure=Failure("connect", "refused"))
    view.state = "failing"
    snapshot.result(view)
    samples = samples_of(await text_of(exporter))
    assert "sentinel_tcp_rtt_seconds" not in of_check(samples, "room-637-set-01.tcp")
    assert "sentinel_check_up" in of_check(samples, "room-637-set-01.tcp")


async def test_a_check_that_becomes_unknown_without_a_result_loses_its_up(
    exporter: Exporter, snapshot: Snapshot
) -> None:
    await exporter.scrape()
    view = snapshot.checks["room-637-set-01.tcp"]
    view.state = "unknown"
    snapshot.changed(view)
    samples = samples_of(await text_of(exporter))
    assert "sentinel_check_up" not in of_check(samples, "room-637-set-01.tcp")
    assert "sentinel_check_unknown" in of_check(samples, "room-637-set-01.tcp")


async def test_a_new_configuration_removes_and_relabels(exporter: Exporter, snapshot: Snapshot) -> None:
    await exporter.scrape()
    del snapshot.checks["room-209-set-01.tcp"]
    old = snapshot.checks["room-637-set-01.tcp"]
    moved = replace(old.check, target=replace(old.check.target, zone="external"))
    snapshot.checks[moved.id] = fleet.view(moved)
    snapshot.swapped()
    samples = samples_of(await text_of(exporter))
    assert of_check(samples, "room-209-set-01.tcp") == set()
    assert not any(("target", "room-209-set-01") in labels for _, labels in samples)
    assert {dict(labels)["zone"] for _, labels in samples if ("check", moved.id) in labels} == {"external"}


async def test_run_renders_what_changes(exporter: Exporter, snapshot: Snapshot) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(exporter.run())
        snapshot.result(snapshot.checks["room-637-set-01.tcp"])
        while not exporter._series:
            await asyncio.sleep(0)
        task.cancel()
    exporter.close()
    assert not snapshot._result_feeds
    assert not snapshot._change_feeds


HOSTILE = '</script>"\n}\\ \x1b[31m\r\n@all \x00 \u202e \ud800 ' + "长" * 500


async def test_hostile_text_parses_again(exporter: Exporter, snapshot: Snapshot) -> None:
    old = snapshot.checks["room-637-set-01.tcp"]
    check = replace(old.check, target=replace(old.check.target, name=HOSTILE, venue=HOSTILE), protocol="snmp")
    shown = fleet.view(check)
    assert shown.observation is not None
    shown.observation = replace(
        shown.observation, values={f"in_octets_total:{HOSTILE}": float("inf"), "rtt_seconds": float("nan")}
    )
    snapshot.checks[check.id] = shown
    snapshot.swapped()
    for accept in ("", ACCEPT_OF_PROMETHEUS):
        text = await text_of(exporter, accept)
        samples = samples_of(text)
        assert "\r" not in text
        assert "\x1b" not in text
        [item] = [
            dict(labels)["item"]
            for name, labels in samples
            if name == "sentinel_snmp_in_octets_total" and ("check", check.id) in labels
        ]
        assert item.startswith('</script>"\n}\\ ')
        assert len(item) == 200


async def test_items_that_become_one_label_are_one_series(exporter: Exporter, snapshot: Snapshot) -> None:
    view = snapshot.checks["core-switch.snmp"]
    assert view.observation is not None
    view.observation = replace(
        view.observation, values={"in_octets_total:a\tb": 1.0, "in_octets_total:a b": 2.0, "undeclared": 3.0}
    )
    snapshot.result(view)
    samples = samples_of(await text_of(exporter))
    assert (
        len(
            [
                1
                for name, labels in samples
                if name == "sentinel_snmp_in_octets_total" and ("check", "core-switch.snmp") in labels
            ]
        )
        == 1
    )
    assert not any("undeclared" in name for name, _ in samples)


async def test_openmetrics_has_units_and_an_end(exporter: Exporter) -> None:
    content_type, chunks = await exporter.scrape(ACCEPT_OF_PROMETHEUS)
    text = b"".join(chunks).decode()
    assert content_type == OPENMETRICS
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    families = {family.name: family for family in parse_openmetrics(text)}
    assert families["sentinel_check_duration_seconds"].unit == "seconds"
    assert families["sentinel_check_failures"].type == "counter"
    assert families["sentinel_snmp_in_octets"].type == "counter"
    assert families["sentinel_target"].type == "info"
    assert families["sentinel_icmp_loss_ratio"].unit == "ratio"
    assert families["sentinel_build"].type == "info"


async def test_both_formats_say_the_same(exporter: Exporter) -> None:
    plain = samples_of(await text_of(exporter))
    open_ = samples_of(await text_of(exporter, ACCEPT_OF_PROMETHEUS))
    moving = ("process_", "python_", "sentinel_probes", "sentinel_store", "sentinel_scheduler")
    both = [{key: value for key, value in found.items() if not key[0].startswith(moving)} for found in (plain, open_)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (ACCEPT_OF_PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=none", False),
        ("application/openmetrics-text;q=0", False),
    ],
)
def test_the_accept_header_chooses(accept: str, *, openmetrics: bool) -> None:
    assert prefers_openmetrics(accept) is openmetrics


async def test_gzip_is_the_same_text(exporter: Exporter) -> None:
    content_type, chunks = await exporter.scrape(gzip=True)
    assert content_type == TEXT
    packed = samples_of(gzip.decompress(b"".join(chunks)).decode())
    assert of_check(packed, "room-637-set-01.tcp") == of_check(
        samples_of(await text_of(exporter)), "room-637-set-01.tcp"
    )


async def test_incidents_by_severity_zeros_included(exporter: Exporter, snapshot: Snapshot) -> None:
    checks = list(snapshot.checks.values())
    snapshot.incident(fleet.incident(checks[0].check, severity=Severity.CRITICAL))
    snapshot.incident(fleet.incident(checks[1].check, telling=Telling.SUPPRESSED))
    snapshot.incident(fleet.ended(fleet.incident(checks[2].check)))
    samples = samples_of(await text_of(exporter))
    assert {
        dict(labels)["severity"]: value
        for (name, labels), value in samples.items()
        if name == "sentinel_incidents_open"
    } == {
        "info": 0,
        "warning": 0,
        "major": 0,
        "critical": 1,
    }
    assert samples["sentinel_incidents_suppressed", frozenset({("severity", "major")})] == 1


async def test_promises(exporter: Exporter) -> None:
    samples = samples_of(await text_of(exporter))
    retrieval = frozenset({"rule": "retrieval", "sla": "retrieval", "subject": "estate", "contractual": "true"}.items())
    assert samples["sentinel_sla_limit_seconds", retrieval] == 300
    assert samples["sentinel_sla_observed_seconds", retrieval] == 214
    assert samples["sentinel_sla_kept", retrieval] == 1
    assert samples["sentinel_sla_breaches", retrieval] == 0
    conferences = frozenset(
        {"rule": "conferences", "sla": "conference_rate", "subject": "estate", "contractual": "true"}.items()
    )
    assert samples["sentinel_sla_observed_ratio", conferences] == 0
    assert samples["sentinel_sla_left", conferences] == 1


async def test_the_loop_keeps_its_turns_while_everything_is_rendered(exporter: Exporter) -> None:
    turns, started = 0, time.monotonic()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(exporter.scrape())
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns >= len(exporter._series) / 64, f"{turns} turns in {time.monotonic() - started} s"


async def test_values_are_exported_in_base_units(snapshot: Snapshot) -> None:
    declared = (
        Value("certificate_days_left", "d", "Until the certificate ends."),
        Value("load_percent", "%", "Load."),
        Value("sent_bits_total", "bit", "Sent."),
    )
    protocol = replace(fleet.PROTOCOLS["tcp"], values=declared)
    view = snapshot.checks["room-637-set-01.tcp"]
    assert view.observation is not None
    values = {"certificate_days_left": 2.0, "load_percent": 50.0, "sent_bits_total": 80.0}
    view.observation = replace(view.observation, values=values)
    found = samples_of(await text_of(Exporter(snapshot, {"tcp": protocol}, CollectorRegistry())))
    mine = {name: value for (name, labels), value in found.items() if ("check", view.check.id) in labels}
    assert mine["sentinel_tcp_certificate_seconds_left"] == 172_800
    assert mine["sentinel_tcp_load_ratio"] == 0.5
    assert mine["sentinel_tcp_sent_bytes_total"] == 10


async def test_the_daemons_own(snapshot: Snapshot) -> None:
    registry, timing, store = CollectorRegistry(), fleet.Timing(), fleet.Histories()
    OwnMetrics(registry).watch(timing, store)
    for lateness in (0.0004, 0.003, 0.004, 9.0):
        timing.start(lateness)
    timing.missed = 2
    for accept in ("", ACCEPT_OF_PROMETHEUS):
        found = samples_of(await text_of(Exporter(snapshot, {}, registry), accept))
        buckets = {
            dict(labels)["le"]: value for (name, labels), value in found.items() if name.endswith("seconds_bucket")
        }
        assert (buckets["0.001"], buckets["0.0025"], buckets["0.005"], buckets["5.0"], buckets["+Inf"]) == (
            1,
            1,
            3,
            3,
            4,
        )
        nothing: frozenset[tuple[str, str]] = frozenset()
        assert found["sentinel_scheduler_lateness_seconds_count", nothing] == 4
        assert found["sentinel_scheduler_missed_slots_total", nothing] == 2
        assert found["sentinel_store_failing", nothing] == 0
    store.failing = "disk full"
    found = samples_of(await text_of(Exporter(snapshot, {}, registry)))
    assert found["sentinel_store_failing", frozenset()] == 1
