"""ICMP against the kernel: loopback, and, for root, a router with a host behind it in network namespaces."""

import asyncio
import contextlib
import ctypes
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.icmp import PROTOCOL, Engine, IcmpOptions, service, sweep
from sentinel.protocols.icmp.sockets import NoSocket, open_socket
from tests.support.peers import require
from tests.support.probing import measure, target


def echo_is_open() -> bool:
    """Whether this process may ping at all."""
    try:
        open_socket(4).socket.close()
    except NoSocket:
        return False
    return True


needs_echo = pytest.mark.skipif(not echo_is_open(), reason="neither ping sockets nor raw sockets are open to this user")


def check(address: str, timeout: float = 1.0, **options: Any) -> Check:
    return Check(
        f"{address}.ping", "ping", target(address), "ping", "icmp", IcmpOptions(**options), 10.0, timeout, "here"
    )


async def swept(engine: Engine, checks: list[Check], within: float = 5.0) -> dict[str, list[Measurement]]:
    """Sweep once; what was told of each check, some time after the last was due."""
    told: dict[str, list[Measurement]] = {one.id: [] for one in checks}
    sweep(engine, checks, lambda one, measured: told[one.id].append(measured))
    async with asyncio.timeout(within):
        while not all(told.values()):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # a second word about the same check would come about now
    return told


@needs_echo
@pytest.mark.parametrize("address", ["127.0.0.1", "127.18.4.5", "::1", "::ffff:127.0.0.1"])
async def test_a_host_that_answers(address: str) -> None:
    measured = await measure(PROTOCOL, target(address), {"count": 3, "interval": 0.02, "size": 1400})
    assert measured.failure is None
    assert measured.values["sent"] == measured.values["received"] == 3
    assert measured.values["loss_ratio"] == 0
    shortest, mean, longest = (measured.values[f"rtt_{which}_seconds"] for which in ("min", "avg", "max"))
    assert 0 < shortest <= mean <= longest < 0.2
    assert measured.values["rtt_jitter_seconds"] <= longest - shortest
    assert measured.stages["echo"] >= 0.04


@needs_echo
async def test_one_reply_has_no_jitter() -> None:
    measured = await measure(PROTOCOL, target(), {"count": 1})
    assert "rtt_jitter_seconds" not in measured.values


@needs_echo
async def test_a_name_is_resolved_first() -> None:
    measured = await measure(PROTOCOL, target("localhost"), {"count": 1})
    assert measured.failure is None
    assert set(measured.stages) == {"resolve", "echo"}


@needs_echo
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_sweep_tells_each_check_once(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        async with service() as engine:
            checks = [check(f"127.18.{number >> 8}.{number & 255}") for number in range(600)]
            checks += [check("::1", count=2, interval=0.02), check("localhost")]
            told = await swept(engine, checks)
            assert all(len(measured) == 1 for measured in told.values())
            assert {measured[0].failure for measured in told.values()} == {None}
            assert engine.counters()["ipv4"].dropped == 0

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@needs_echo
async def test_a_name_that_does_not_exist_fails_alone() -> None:
    async with service() as engine:
        told = await swept(engine, [check("127.0.0.1"), check("nowhere.invalid")])
    (measured,) = told["nowhere.invalid.ping"]
    assert measured.failure is not None
    assert measured.failure.stage == "resolve"
    assert told["127.0.0.1.ping"][0].failure is None


@needs_echo
async def test_a_listener_that_breaks_takes_nobody_with_it() -> None:
    told: list[str] = []

    def listen(one: Check, _: Measurement) -> None:
        told.append(one.id)
        if one.target.address == "127.0.0.1":
            raise ValueError(one.id)

    async with service() as engine:
        with structlog.testing.capture_logs() as lines:
            engine.sweep([check("127.0.0.1"), check("127.0.0.2")], listen)
            await asyncio.sleep(0.2)
    assert told == ["127.0.0.1.ping", "127.0.0.2.ping"]
    assert [line["event"] for line in lines] == ["icmp_listener_failed"]


@needs_echo
async def test_a_listener_may_sweep_again_from_its_own_call() -> None:
    async with service() as engine:
        rounds = itertools.count(1)
        ended = asyncio.Event()

        def listen(one: Check, measured: Measurement) -> None:
            assert measured.failure is None
            if next(rounds) == 5:
                ended.set()
            else:
                engine.sweep([one], listen)

        engine.sweep([check("127.0.0.1")], listen)
        async with asyncio.timeout(5):
            await ended.wait()


# Namespaces: this one (alone), router, host; 192.0.2.0/24 between us and the router, 198.51.100.0/24 behind it.

_numbers = itertools.count()


@dataclass(frozen=True)
class Network:
    """`here` is where the engine runs; commands run in any of the three."""

    here: str
    router: str
    host: str

    def do(self, where: str, command: str) -> None:
        subprocess.run(["ip", "netns", "exec", where, *command.split()], check=True, capture_output=True, timeout=10)

    def nft(self, where: str, rules: str) -> None:
        subprocess.run(
            ["ip", "netns", "exec", where, "nft", "-f", "-"], input=rules.encode(), check=True, capture_output=True
        )

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine on a loop of its own, in a thread that has moved to `here`."""
        result: list[Any] = []
        trouble: list[BaseException] = []

        def enter() -> None:
            try:
                descriptor = os.open(f"/run/netns/{self.here}", os.O_RDONLY)
                try:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(descriptor, 0x40000000):  # CLONE_NEWNET
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                result.append(asyncio.run(main()))
            except BaseException as error:  # noqa: BLE001  # told to the test's own thread
                trouble.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if trouble:
            raise trouble[0]
        return result[0]


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True, timeout=10)


@pytest.fixture(scope="module", params=["raw", "ping"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    require("ip")
    require("nft")
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    number = f"{os.getpid()}-{next(_numbers)}"
    net = Network(f"icmp-us-{number}", f"icmp-router-{number}", f"icmp-host-{number}")
    made: list[str] = []
    try:
        for name in (net.here, net.router, net.host):
            try:
                _ip(f"netns add {name}")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces are closed: {error.stderr.decode().strip()}")
            made.append(name)
            net.do(name, "ip link set lo up")
        _wire(net, net.here, "192.0.2.1/24", "2001:db8:1::1/64", net.router, "192.0.2.2/24", "2001:db8:1::2/64")
        _wire(net, net.router, "198.51.100.1/24", "2001:db8:2::1/64", net.host, "198.51.100.2/24", "2001:db8:2::2/64")
        net.do(net.router, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0")
        net.do(net.router, "sysctl -qw net.ipv6.icmp.ratelimit=0")
        for name, via4, via6 in (
            (net.here, "192.0.2.2", "2001:db8:1::2"),
            (net.host, "198.51.100.1", "2001:db8:2::1"),
        ):
            net.do(name, f"ip route add default via {via4}")
            net.do(name, f"ip -6 route add default via {via6}")
        groups = "0 2147483647" if request.param == "ping" else "1 0"
        subprocess.run(
            ["ip", "netns", "exec", net.here, "sysctl", "-qw", f"net.ipv4.ping_group_range={groups}"], check=True
        )
        net.run(_settled)
        yield net
    finally:
        for name in made:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(f"netns del {name}")


async def _settled() -> None:
    """Wait until neighbours know one another: the first IPv6 packets over a new link may take a second or two."""
    async with asyncio.timeout(10), service() as engine:
        for address in ("198.51.100.2", "2001:db8:2::2"):
            while (await measure(PROTOCOL, target(address), {}, timeout=1.0, service=engine)).failure is not None:
                await asyncio.sleep(0.05)


def _wire(net: Network, left: str, left4: str, left6: str, right: str, right4: str, right6: str) -> None:
    a, b = f"v{os.getpid()}a{next(_numbers)}"[-15:], f"v{os.getpid()}b{next(_numbers)}"[-15:]
    _ip(f"link add {a} netns {left} type veth peer name {b} netns {right}")
    for name, link, address4, address6 in ((left, a, left4, left6), (right, b, right4, right6)):
        net.do(name, f"ip address add {address4} dev {link}")
        net.do(name, f"ip address add {address6} dev {link} nodad")
        net.do(name, f"ip link set {link} up")


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


@needs_echo
async def test_closing_answers_what_is_under_way_as_our_own_failure() -> None:
    told: list[Measurement] = []
    async with service() as engine:
        engine.sweep([check("127.0.0.1", count=5, interval=0.1)], lambda _, measured: told.append(measured))
        await asyncio.sleep(0.05)
        assert not told
        engine.sweep([check("localhost"), check("127.0.0.2")], lambda _, measured: told.append(measured))
    assert {measured.failure for measured in told} == {Failure("echo", "overdue", "the daemon is stopping")}
    await asyncio.sleep(0.2)
    assert len(told) == 3


@needs_echo
async def test_what_is_raised_while_the_service_is_open_stays_what_it_is() -> None:
    with pytest.raises(LookupError):
        async with service():
            raise LookupError


@needs_echo
async def test_a_cancelled_probe_leaves_nothing() -> None:
    async with service() as engine:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await measure(PROTOCOL, target(), {"count": 9, "interval": 0.2}, service=engine)
        assert engine._open == 0
        before = len(list(Path("/proc/self/fd").iterdir()))
    assert len(list(Path("/proc/self/fd").iterdir())) < before


async def test_without_privilege_every_probe_is_unknown_and_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = NoSocket(Failure("prepare", "no_privilege", "closed"))

    def refuse(_version: int) -> None:
        raise closed

    monkeypatch.setattr("sentinel.protocols.icmp.engine.open_socket", refuse)
    with structlog.testing.capture_logs() as lines:
        async with service() as engine:
            told = await swept(engine, [check("127.0.0.1"), check("::1")])
            measured = await measure(PROTOCOL, target("127.0.0.3"), {}, service=engine)
    assert [one.failure for (one,) in told.values()] == [closed.failure, closed.failure]
    assert measured.failure == closed.failure
    assert closed.failure.local
    assert [line["event"] for line in lines] == ["icmp_unavailable"]
