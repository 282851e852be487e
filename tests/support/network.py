"""A network of its own in namespaces, for root: this host alone, a router, and a host behind the router.

192.0.2.0/24 and 2001:db8:1::/64 lie between us and the router, 198.51.100.0/24 and 2001:db8:2::/64 behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.peers import require

_CLONE_NEWNET = 0x40000000
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
                    if libc.setns(descriptor, _CLONE_NEWNET):
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


@contextlib.contextmanager
def namespaces(ping_group_range: str) -> Iterator[Network]:
    """Make the three, with this range of groups that may open ping sockets (icmp(7)) in ours; gone after the block.

    Skips the test where the user may not.
    """
    require("ip")
    require("nft")
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    number = f"{os.getpid()}-{next(_numbers)}"
    net = Network(f"us-{number}", f"router-{number}", f"host-{number}")
    made: list[str] = []
    try:
        for name in (net.here, net.router, net.host):
            try:
                _ip(f"netns add {name}")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces are closed: {error.stderr.decode().strip()}")
            made.append(name)
            net.do(name, "ip link set lo up")
        _connect(net)
        _sysctl(net.here, f"net.ipv4.ping_group_range={ping_group_range}")
        yield net
    finally:
        for name in made:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(f"netns del {name}")


def _connect(net: Network) -> None:
    _wire(net, net.here, "192.0.2.1/24", "2001:db8:1::1/64", net.router, "192.0.2.2/24", "2001:db8:1::2/64")
    _wire(net, net.router, "198.51.100.1/24", "2001:db8:2::1/64", net.host, "198.51.100.2/24", "2001:db8:2::2/64")
    _sysctl(net.router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    _sysctl(net.router, "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    for name, via4, via6 in ((net.here, "192.0.2.2", "2001:db8:1::2"), (net.host, "198.51.100.1", "2001:db8:2::1")):
        net.do(name, f"ip route add default via {via4}")
        net.do(name, f"ip -6 route add default via {via6}")


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True, timeout=10)


def _sysctl(where: str, *settings: str) -> None:
    command = ["ip", "netns", "exec", where, "sysctl", "-qw", *settings]
    subprocess.run(command, check=True, capture_output=True, timeout=10)


def _wire(net: Network, left: str, left4: str, left6: str, right: str, right4: str, right6: str) -> None:
    a, b = f"v{os.getpid()}a{next(_numbers)}"[-15:], f"v{os.getpid()}b{next(_numbers)}"[-15:]
    _ip(f"link add {a} netns {left} type veth peer name {b} netns {right}")
    for name, link, address4, address6 in ((left, a, left4, left6), (right, b, right4, right6)):
        net.do(name, f"ip address add {address4} dev {link}")
        net.do(name, f"ip address add {address6} dev {link} nodad")
        net.do(name, f"ip link set {link} up")
