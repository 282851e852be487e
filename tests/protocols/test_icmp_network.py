"""ICMP in network namespaces, for root: a router that loses, refuses and lies, and a host behind it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.icmp import PROTOCOL, service
from tests.support.echo import check, swept
from tests.support.network import Network, namespaces
from tests.support.probing import measure, target

GROUPS = {"raw": "1 0", "ping": "0 2147483647"}
"""Who may open ping sockets: nobody, so that raw ones are used, or everybody."""


@pytest.fixture(scope="module", params=["raw", "ping"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with namespaces(GROUPS[request.param]) as net:
        net.run(_settled)
        yield net


async def _settled() -> None:
    """Wait until neighbours know one another: the first IPv6 packets over a new link may take a second or two."""
    async with asyncio.timeout(10), service() as engine:
        for address in ("198.51.100.2", "2001:db8:2::2"):
            while (await measure(PROTOCOL, target(address), {}, timeout=1.0, service=engine)).failure is not None:
                await asyncio.sleep(0.05)


@pytest.fixture
def rules(network: Network) -> Iterator[Callable[[str, str], None]]:
    """`rules(where, "type filter hook ... ; ...")` puts one nft chain in place for this test."""
    used: set[str] = set()

    def put(where: str, chain: str) -> None:
        used.add(where)
        network.nft(where, f"table inet lab {{\nchain one {{\n{chain}\n}}\n}}\n")

    yield put
    for where in used:
        network.nft(where, "flush ruleset")


def test_the_socket_in_use(network: Network, request: pytest.FixtureRequest) -> None:
    async def main() -> dict[str, str]:
        async with service() as engine:
            return {family: counters.socket for family, counters in engine.counters().items()}

    kind = request.node.callspec.params["network"]
    assert network.run(main) == {"ipv4": kind, "ipv6": kind}


@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:2::2"])
def test_a_host_behind_a_router(network: Network, address: str) -> None:
    measured = network.run(lambda: measure(PROTOCOL, target(address), {"count": 3, "interval": 0.02, "dscp": 46}))
    assert measured.failure is None
    assert measured.values["received"] == 3


@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:2::2"])
def test_half_of_the_replies_are_lost(network: Network, rules: Callable[[str, str], None], address: str) -> None:
    rules(network.host, "type filter hook output priority 0; numgen inc mod 2 0 drop")
    measured = network.run(lambda: measure(PROTOCOL, target(address), {"count": 10, "interval": 0.02}, timeout=1.0))
    assert measured.failure is None
    assert measured.values["sent"] == 10
    # The host's own neighbour discovery may take a turn of the rule's counter.
    assert measured.values["loss_ratio"] == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:2::2"])
def test_all_replies_are_lost(network: Network, rules: Callable[[str, str], None], address: str) -> None:
    rules(
        network.host,
        "type filter hook output priority 0; icmp type echo-reply drop; icmpv6 type echo-reply drop",
    )
    began = time.monotonic()
    measured = network.run(lambda: measure(PROTOCOL, target(address), {"count": 2, "interval": 0.02}, timeout=0.6))
    assert measured.failure == Failure("echo", "lost", "2 sent, none answered")
    assert measured.values == {"sent": 2, "received": 0, "loss_ratio": 1}
    assert 0.4 < measured.took < 0.6 < time.monotonic() - began + 0.2


@pytest.mark.parametrize(
    ("address", "router"), [("203.0.113.9", "192.0.2.2"), ("2001:db8:3::9", "2001:db8:1::2")], ids=["ipv4", "ipv6"]
)
def test_a_router_knows_no_way(network: Network, rules: Callable[[str, str], None], address: str, router: str) -> None:
    rules(
        network.router,
        "type filter hook forward priority 0\n"
        "ip daddr 203.0.113.0/24 reject with icmp type host-unreachable\n"
        "ip6 daddr 2001:db8:3::/64 reject with icmpv6 type no-route",
    )
    # A rule and no route: a route's own errors are rationed to a handful for each sender.
    network.do(network.router, "ip route replace 203.0.113.0/24 via 198.51.100.2")
    network.do(network.router, "ip route replace 2001:db8:3::/64 via 2001:db8:2::2")
    measured = network.run(lambda: measure(PROTOCOL, target(address), {"count": 2, "interval": 0.02}, timeout=3.0))
    assert measured.failure is not None
    assert (measured.failure.stage, measured.failure.code) == ("echo", "unreachable")
    assert measured.failure.detail.endswith(f"said by {router}")
    assert 0.02 < measured.stages["echo"] < 1.5  # the router's word ends the run, not the deadline


@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:2::2"])
def test_the_time_to_live_is_set(network: Network, address: str) -> None:
    measured = network.run(lambda: measure(PROTOCOL, target(address), {"ttl": 1}, timeout=3.0))
    assert measured.failure is not None
    assert measured.failure.code == "unreachable"
    assert "limit exceeded" in measured.failure.detail or "live exceeded" in measured.failure.detail


def test_an_error_about_one_target_costs_the_others_nothing(network: Network) -> None:
    async def main() -> dict[str, list[Measurement]]:
        async with service() as engine:
            # Fewer than the router's burst of ICMP errors (net.ipv4.icmp_msgs_burst, 50).
            dead = [check(f"198.51.100.{number}", count=3, interval=0.02, ttl=1) for number in range(100, 112)]
            alive = [check(address, count=3, interval=0.02) for address in ("198.51.100.2", "192.0.2.2")]
            return await swept(engine, [*dead[:6], alive[0], *dead[6:], alive[1]])

    told = network.run(main)
    for name, (measured,) in told.items():
        if name.startswith("198.51.100.1"):
            assert measured.failure is not None, name
            assert measured.failure.code == "unreachable"
            assert measured.values["sent"] == 3
        else:
            assert measured.failure is None, name
            assert measured.values["received"] == 3


def test_a_reply_from_another_address_is_not_the_targets(network: Network, rules: Callable[[str, str], None]) -> None:
    rules(
        network.router,
        # Beyond connection tracking: the reply leaves the router as if the router had made it.
        "type filter hook forward priority 0; icmp type echo-reply ip saddr set 198.51.100.77",
    )

    async def main() -> tuple[Measurement, int]:
        async with service() as engine:
            measured = await measure(PROTOCOL, target("198.51.100.2"), {}, timeout=0.5, service=engine)
            return measured, engine.counters()["ipv4"].strays

    measured, strays = network.run(main)
    assert measured.failure is not None
    assert measured.failure.code == "lost"
    assert strays == 1


def test_without_the_capability_the_outcome_is_unknown(network: Network, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["network"] == "ping":
        pytest.skip("ping sockets need no capability")
    program = (
        "import asyncio; from sentinel.protocols.icmp import PROTOCOL; from tests.support.probing import *;"
        "print(asyncio.run(measure(PROTOCOL, target(), {})).failure)"
    )
    drop = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    ended = subprocess.run(
        ["ip", "netns", "exec", network.here, *drop, sys.executable, "-c", program],
        check=True, capture_output=True, text=True, timeout=15,
    )  # fmt: skip
    assert "no_privilege" in ended.stdout.splitlines()[-1]
    assert ended.stdout.count("icmp_unavailable") == 1


def test_this_host_has_no_way_out(network: Network) -> None:
    network.do(network.here, "ip route del default")
    try:
        measured = network.run(lambda: measure(PROTOCOL, target("198.51.100.2"), {"count": 2, "interval": 0.02}))
    finally:
        network.do(network.here, "ip route add default via 192.0.2.2")
    assert measured.failure is not None
    assert measured.failure.code == "no_route"
    assert measured.failure.local
    assert measured.values["sent"] == 0
