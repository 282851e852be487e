"""The path to a target in network namespaces, for root: two routers, and where it ends when one of them is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sentinel.protocols.icmp import service
from sentinel.protocols.icmp.path import investigate
from tests.support.daemon import daemon, target, write
from tests.support.echo import check
from tests.support.network import Network, _ip, _sysctl, _wire, namespaces

GROUPS = {"raw": "1 0", "ping": "0 2147483647"}
FAR = "203.0.113.2"


@pytest.fixture(params=["raw", "ping"])
def network(request: pytest.FixtureRequest) -> Iterator[tuple[Network, str]]:
    """`here` - `router` - `host`, which forwards, - a far host; and the far host's name."""
    with namespaces(GROUPS[request.param]) as net:
        far = net.host.replace("host", "far")
        _ip(f"netns add {far}")
        try:
            net.do(far, "ip link set lo up")
            _wire(net, net.host, "203.0.113.1/24", "2001:db8:3::1/64", far, "203.0.113.2/24", "2001:db8:3::2/64")
            _sysctl(net.host, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
            _sysctl(net.host, "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
            net.do(far, "ip route add default via 203.0.113.1")
            net.do(far, "ip -6 route add default via 2001:db8:3::1")
            net.do(net.router, "ip route add 203.0.113.0/24 via 198.51.100.2")
            net.do(net.router, "ip -6 route add 2001:db8:3::/64 via 2001:db8:2::2")
            yield net, far
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(f"netns del {far}")


def path(net: Network, address: str = FAR) -> Any:
    async def main() -> Any:
        async with service() as engine:
            async with asyncio.timeout(6):
                found = await investigate(engine, check(address))
            before = engine.counters()["ipv4"].sent
            return found, before

    found, sent = net.run(main)
    assert sent <= 40
    assert (found.kind, found.media_type) == ("path", "application/json")
    return json.loads(found.data)


def rule(net: Network, where: str, chain: str) -> None:
    net.nft(where, f"table ip lab {{\nchain one {{\n{chain}\n}}\n}}\n")


def addresses(found: Any) -> list[str | None]:
    return [hop["address"] for hop in found["hops"]]


def test_every_router_on_the_way_and_the_target(network: tuple[Network, str]) -> None:
    net, _ = network
    found = path(net)
    assert found["reached"] is True
    assert addresses(found) == ["192.0.2.2", "198.51.100.2", FAR]
    assert [hop["ttl"] for hop in found["hops"]] == [1, 2, 3]
    assert all(0 < hop["rtt_seconds"] < 0.5 for hop in found["hops"])
    assert found["hops"][-1]["end"] == "target"


def test_ipv6(network: tuple[Network, str]) -> None:
    net, _ = network
    found = path(net, "2001:db8:3::2")
    assert addresses(found) == ["2001:db8:1::2", "2001:db8:2::2", "2001:db8:3::2"]


def test_it_ends_before_the_router_that_is_gone(network: tuple[Network, str]) -> None:
    net, _ = network
    rule(net, net.host, "type filter hook prerouting priority -300; drop")
    found = path(net)
    assert found["reached"] is False
    assert addresses(found) == ["192.0.2.2"]


def test_it_ends_at_the_router_behind_which_the_target_is_gone(network: tuple[Network, str]) -> None:
    net, far = network
    rule(net, far, "type filter hook prerouting priority -300; drop")
    found = path(net)
    assert found["reached"] is False
    assert addresses(found)[:2] == ["192.0.2.2", "198.51.100.2"]
    assert len(found["hops"]) == 2


def test_a_router_that_says_nothing_is_a_gap(network: tuple[Network, str]) -> None:
    net, _ = network
    rule(net, net.router, "type filter hook output priority 0; icmp type time-exceeded drop")
    found = path(net)
    assert addresses(found) == [None, "198.51.100.2", FAR]


def test_a_router_that_refuses_ends_it(network: tuple[Network, str]) -> None:
    net, _ = network
    refuse = "ip daddr 203.0.113.0/24 reject with icmp type host-unreachable"
    rule(net, net.host, f"type filter hook forward priority 0; {refuse}")
    found = path(net)
    assert addresses(found) == ["192.0.2.2", "198.51.100.2"]
    assert found["hops"][-1]["end"] == "unreachable"
    assert found["reached"] is False


SLA = """\
rules:
  - {id: down, name: 不可用, down: {failures: 2, of: 3}, severity: critical, retry_interval: 500ms}
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("network", ["ping"], indirect=True)
async def test_a_daemon_explains_where_the_path_ends(network: tuple[Network, str], tmp_path: Path) -> None:
    net, far = network
    write(tmp_path, targets=target("far", 9).replace("127.0.0.1", FAR).replace(", options: {port: 9}", ""), sla=SLA)
    (tmp_path / "probes/port.yaml").write_text("probes:\n  port: {protocol: icmp, options: {}}\n")
    async with daemon(tmp_path, prefix=("ip", "netns", "exec", net.here)) as running:
        await asyncio.sleep(1.5)
        rule(net, far, "type filter hook prerouting priority -300; drop")
        async with asyncio.timeout(20):
            while True:
                _, out, _ = await running.cli("incidents", "--json")
                if items := json.loads(out)["items"]:
                    break
                await asyncio.sleep(0.2)
            while True:
                code, out, _ = await running.cli("explain", items[0]["id"])
                assert code == 0
                if "途经路由" in out:
                    break
                await asyncio.sleep(0.2)
        assert "1  192.0.2.2  " in out
        assert "2  198.51.100.2  " in out
        assert f"{FAR} 没有应答" in out
        code, out, _ = await running.cli("explain", items[0]["id"], "--json")
        assert [one["kind"] for one in json.loads(out)["evidence"]] == ["path"]
