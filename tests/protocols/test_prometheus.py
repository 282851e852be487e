"""What Prometheus makes of us: the exposition, the rules, and every query of the dashboard."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import promql_parser
import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from sentinel.catalog import discover
from sentinel.config import load
from sentinel.config.configuration import Configuration
from sentinel.metrics.exporter import Exporter
from sentinel.metrics.own import OwnMetrics
from sentinel.metrics.series import exported
from tests.support import fleet
from tests.support.fixtures import StartPrometheus
from tests.support.prometheus import Prometheus
from tests.support.served import Centre, centre, served

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "grafana" / "dashboards" / "sentinel-wall.json").read_text("utf-8"))
EMPTY_WHEN_HEALTHY = {"故障检查", "失败率", "送达用时 95 分位"}


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield from (one for one in (panel, *panel.get("panels", ())) if one["type"] != "row")


def expressions() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load(ROOT / "config", ROOT / "probes", catalog=discover())


@pytest.fixture
async def fine(shipped: Configuration) -> AsyncIterator[tuple[Centre, str]]:
    one = centre(shipped)
    one.timing.start(0.002)
    async with served(one) as url:
        yield one, urlsplit(url).netloc


def test_every_query_is_promql() -> None:
    for title, expression in expressions():
        parsed = promql_parser.parse(expression.replace("$__rate_interval", "1m"))  # raises where it is none
        assert parsed is not None, title


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """What Grafana's own model of a dashboard does not know or does not keep."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from lost(value, theirs[key], f"{path}.{key}")
            elif value not in (None, [], {}):
                yield f"{path}.{key}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for n, (left, right) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(left, right, f"{path}[{n}]")
    elif ours != theirs:
        yield f"{path}: {ours!r} is not {theirs!r}"


def test_grafana_knows_every_word_of_the_dashboard() -> None:
    plugins.register_default_plugins()
    kept = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert list(lost(DASHBOARD, kept)) == []
    assert list(lost({**DASHBOARD, "titel": 1}, kept)) == [".titel"]


def test_panels_have_a_place_and_the_provisioned_source() -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    yaml = YAML(typ="safe")
    [source] = yaml.load(provisioning / "datasources" / "sentinel.yaml")["datasources"]
    [provider] = yaml.load(provisioning / "dashboards" / "sentinel.yaml")["providers"]
    assert provider["type"] == "file"
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} covers another panel"
        taken |= cells
    for panel in panels():
        for where in (panel, *panel["targets"]):
            assert where["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert panel["description"]
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identities) == len(set(identities))


async def up(server: Prometheus, *, scrapes: int) -> None:
    """Wait until Prometheus has scraped us so often."""
    async with asyncio.timeout(15):
        while True:
            seen = await server.query("count_over_time(up[1m])")
            if seen and int(seen[0]["value"][1]) >= scrapes:
                break
            await asyncio.sleep(0.1)
    [target] = await server.targets()
    assert (target["health"], target["lastError"]) == ("up", "")


async def empty(server: Prometheus) -> set[str]:
    found = set()
    for title, expression in expressions():
        samples = await server.query(expression.replace("$__rate_interval", "1m"))
        if not [sample for sample in samples if sample["value"][1] != "NaN"]:
            found.add(title)
    return found


async def test_every_panel_has_data(fine: tuple[Centre, str], prometheus: StartPrometheus) -> None:
    one, address = fine
    server = await asyncio.to_thread(prometheus, [address], rules=[ROOT / "prometheus" / "sentinel.rules.yml"])
    await up(server, scrapes=2)
    one.timing.start(0.003)
    await up(server, scrapes=4)
    assert await empty(server) == EMPTY_WHEN_HEALTHY

    one.metrics.latency.labels("desk").observe(0.2)
    for check in ("set-209.call", "biz-07.web", "hall-01.desktop", "hall-control.control", "core-1.agent"):
        one.set_state(check, "down")
    await up(server, scrapes=8)
    one.metrics.latency.labels("desk").observe(0.3)
    one.set_state("set-209.call", "down")
    await up(server, scrapes=12)
    assert await empty(server) == set()
    values = {title: await server.query(text.replace("$__rate_interval", "1m")) for title, text in expressions()}
    faulty = {
        "会场故障套数": ("venue", "mr-209"),
        "指挥室终端故障数": ("room", "hall"),
        "中控与音视频故障数": ("room", "hall"),
    }
    for title, (label, place) in faulty.items():
        assert {sample["metric"][label]: sample["value"][1] for sample in values[title]}[place] == "1", title
    [business] = [one for one in values["业务系统"] if one["metric"]["system"] == "biz-07"]
    assert business["value"][1] == "0"
    assert {sample["metric"]["check"] for sample in values["故障检查"]} >= {"set-209.call", "biz-07.web"}
    assert {sample["metric"]["name"] for sample in values["故障检查"]} >= {"209会议室会议终端"}
    assert await server.query("kind:sentinel_check_up:ratio")


async def test_prometheus_reads_openmetrics_and_every_series(
    fine: tuple[Centre, str], prometheus: StartPrometheus
) -> None:
    one, address = fine
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        text = await answer.text()
    server = await asyncio.to_thread(prometheus, [address])
    await up(server, scrapes=2)
    for name in ("sentinel_check_up", "sentinel_check_stage_seconds", "sentinel_target_info", "sentinel_sla_kept"):
        [counted] = await server.query(f"count({name})")
        assert int(counted["value"][1]) == len(re.findall(rf"^{name}\{{", text, re.MULTILINE)), name
    [unknown] = await server.query("count(sentinel_check_unknown)")
    assert int(unknown["value"][1]) == sum(not check.vantage for check in one.configuration.checks.values())


async def test_promtool_finds_nothing_to_say_of_the_exposition(
    fine: tuple[Centre, str], promtool: Callable[..., Any]
) -> None:
    one, address = fine
    one.set_state("set-209.call", "down")
    one.metrics.attempts.labels("desk", "accepted").inc()
    one.metrics.reloads.labels("swapped").inc()
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        text = await answer.text()
    done = await asyncio.to_thread(promtool, "check", "metrics", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lint = await asyncio.to_thread(promtool, "check", "metrics", text="# TYPE a_milliseconds gauge\na_milliseconds 1\n")
    assert lint.returncode == 3


def test_every_value_of_every_protocol_has_a_name_that_promtool_accepts(
    shipped: Configuration, promtool: Callable[..., Any]
) -> None:
    protocols = discover().protocols
    declared = [exported(protocols[check.protocol], check.options) for check in shipped.checks.values()]
    declared += [exported(replace(protocol, values_of=None), None) for protocol in protocols.values()]
    families = {value.family.name: value.family for values in declared for value in values.values()}
    text = "".join(f"{family.text_header.decode()}{family.name} 1\n" for family in families.values())
    done = promtool("check", "metrics", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "sentinel.rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "sentinel.rules.test.yml"),
    ],
)
def test_the_rules(promtool: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    *command, file = arguments
    done = promtool(*command, ROOT / "prometheus" / file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_speak_of_metrics_that_there_are() -> None:
    registry = CollectorRegistry()
    OwnMetrics(registry).watch(fleet.Timing(), fleet.Histories())
    exporter = Exporter(fleet.snapshot(fleet.configuration()), fleet.PROTOCOLS, registry)
    text = b"".join(asyncio.run(exporter.scrape())[1]).decode()
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | {
        "sentinel_check_unknown",
        "sentinel_check_failures_total",
    }
    asked = [expression for _, expression in expressions()]
    for group in YAML(typ="safe").load(ROOT / "prometheus" / "sentinel.rules.yml")["groups"]:
        asked += [rule["expr"] for rule in group["rules"]]
    names = {name.removesuffix("_bucket") for one in asked for name in re.findall(r"(?<![\w:])sentinel_\w+", one)}
    assert names <= known, names - known
