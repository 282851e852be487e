"""Zones that are reached via an SSH bastion: every protocol that speaks over TCP, and a bastion that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sentinel.app.clock import SystemClock
from sentinel.catalog import discover
from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.engine.runner import measure as run_probe
from sentinel.sdk.protocol import Run
from sentinel.sdk.ssh import Connections, connections
from sentinel.sdk.ssh_login import Login, SshLogin
from tests.support.authority import Authority
from tests.support.fixtures import CertificateKind, StartGstRtsp, StartHostile, StartNginx, StartSshd
from tests.support.ports import free_port
from tests.support.probing import target
from tests.support.sshd import Sshd

PROTOCOLS = discover().protocols


def way(bastion: Sshd, **more: object) -> Login:
    return SshLogin.model_validate(bastion.options(**more)).at(bastion.host)


async def measure(
    name: str, options: Mapping[str, Any], via: Login, *, address: str = "127.0.0.1", timeout: float = 5.0
) -> Measurement:
    """What the daemon's runner makes of it."""
    protocol = PROTOCOLS[name]
    check = Check(
        id="peer.check",
        name="check",
        target=target(address),
        probe=name,
        protocol=name,
        options=protocol.options.model_validate(options),
        interval=60.0,
        timeout=timeout,
        vantage="centre",
        via=via,
    )
    async with connections(), open_service(name) as service:
        clock = SystemClock()
        return await run_probe(protocol, check, Run(clock.monotonic() + timeout, service), clock)


@asynccontextmanager
async def open_service(name: str) -> AsyncIterator[Any]:
    service = PROTOCOLS[name].service
    if service is None:
        yield None
        return
    async with service() as opened:
        yield opened


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


@pytest.fixture
async def pool() -> AsyncIterator[Connections]:
    """The loop's pool, held open from one run to the next as the daemon does."""
    async with connections() as shared:
        yield shared


# -- through ------------------------------------------------------------------------------------------------------


async def test_http_goes_through(sshd: StartSshd, nginx: StartNginx) -> None:
    site = nginx("location /large { return 200 'nginx is here'; }")
    measured = await measure("http", {"port": site.port, "path": "/large", "body_contains": ["nginx"]}, way(sshd()))
    assert measured.failure is None
    assert {"tunnel", "connect", "first_byte"} <= set(measured.stages)
    assert not {"login", "key_exchange"} & set(measured.stages)  # the bastion's, not the target's


async def test_tls_is_verified_end_to_end(sshd: StartSshd, nginx: StartNginx, authority: Authority) -> None:
    kinds: tuple[tuple[CertificateKind, tuple[str, str] | None], ...] = (
        ("valid", None),
        ("expired", ("tls", "tls_expired")),
        ("wrong_name", ("tls", "tls_wrong_name")),
    )
    for kind, expected in kinds:
        site = nginx(tls=kind)
        options = {"port": site.port, "scheme": "https", "tls_ca_file": str(authority.ca_file)}
        measured = await measure("http", options, way(sshd()))
        assert cause(measured.failure) == expected
        if expected is None:
            assert measured.values["certificate_days_left"] > 80
        tcp = {"port": site.port, "tls": True, "tls_ca_file": str(authority.ca_file)}
        assert cause((await measure("tcp", tcp, way(sshd()))).failure) == expected


async def test_a_picture_comes_through(sshd: StartSshd, gst_rtsp: StartGstRtsp) -> None:
    camera = gst_rtsp()
    measured = await measure("rtsp", {"port": camera.port, "path": "/h264"}, way(sshd()), timeout=10)
    assert measured.failure is None
    assert "tunnel" in measured.stages
    assert measured.values["picture_width_pixels"] > 0


async def test_ssh_goes_through_ssh(sshd: StartSshd, pool: Connections) -> None:
    bastion, server = sshd(), sshd("LogLevel DEBUG")
    options = server.options(command="echo hello", expect_matches="^hello")
    first = await measure("ssh", options, way(bastion))
    assert first.failure is None
    assert list(first.stages)[:2] == ["tunnel", "connect"]
    second = await measure("ssh", options, way(bastion))
    assert second.failure is None
    assert next(iter(second.stages)) == "channel"  # over the connection that is open
    # The same address beyond another bastion is another host: its connection is another one, and none is direct.
    third = await measure("ssh", options, way(sshd("MaxSessions 20")))
    assert "tunnel" in third.stages
    assert not pool.open_to(SshLogin.model_validate(server.options()).at(server.host))


async def test_many_go_through_one_login(sshd: StartSshd, nginx: StartNginx, pool: Connections) -> None:
    bastion, site = sshd(new=True), nginx()
    runs = await asyncio.gather(*(measure("tcp", {"port": site.port}, way(bastion)) for _ in range(100)))
    assert [measured.failure for measured in runs] == [None] * 100
    assert bastion.logins() == 1


async def test_names_are_resolved_behind_it(sshd: StartSshd, nginx: StartNginx) -> None:
    site = nginx()
    measured = await measure("tcp", {"port": site.port}, way(sshd()), address="localhost")
    assert measured.failure is None
    assert "resolve" not in measured.stages
    measured = await measure("tcp", {"port": site.port}, way(sshd()), address="no-such-host.invalid")
    assert measured.failure is not None
    assert measured.failure.stage == "connect"
    assert measured.failure.code in {"name_not_found", "resolver_failed"}


async def test_a_large_body_comes_through_whole(sshd: StartSshd, hostile: StartHostile) -> None:
    body = os.urandom(700_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    server = await hostile("huge", text=head + body, after=b"\r\n\r\n")
    options = {"port": server.port, "max_body_bytes": 1_000_000, "body_contains": ["no such words"]}
    measured = await measure("http", options, way(sshd()))
    assert cause(measured.failure) == ("expect", "mismatch")  # it was read to its end
    assert measured.values["body_bytes"] == len(body)


# -- the target fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("refuse", ("connect", "refused")),
        ("hang", ("exchange", "timed_out")),
        ("close", ("exchange", "closed")),
        ("garbage", ("exchange", "mismatch")),
        ("endless", ("exchange", "mismatch")),
    ],
)
async def test_a_target_that_fails_is_the_target(
    sshd: StartSshd, hostile: StartHostile, pool: Connections, manner: Any, expected: tuple[str, str]
) -> None:
    bastion = way(sshd())
    server = await hostile(manner)
    measured = await measure("tcp", {"port": server.port, "expect": "hello"}, bastion, timeout=1.0)
    assert cause(measured.failure) == expected
    async with asyncio.timeout(5):  # the bastion has hung up there as well
        await server.all_closed()
    assert pool.open_to(bastion)


async def test_a_black_hole_is_the_target_although_the_bastion_has_nothing_to_say(
    sshd: StartSshd, pool: Connections
) -> None:
    bastion = way(sshd(new=True))
    # A queue that is full: the kernel drops whoever knocks.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with crowd(port) as inside:
            measured = await measure("tcp", {"port": port}, bastion, timeout=2.5)
        assert cause(measured.failure) == ("connect", "timed_out")
        assert pool.open_to(bastion)
        # The bastion goes on knocking.  What it opens when nobody waits any more is closed: it would stay for ever.
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(15):
            while True:
                peer, (_, number) = await loop.sock_accept(listener)
                with peer:
                    if number not in inside:
                        peer.setblocking(False)
                        assert await loop.sock_recv(peer, 1) == b""
                        return


@contextmanager
def crowd(port: int) -> Iterator[set[int]]:
    """Connections that nobody accepts; their ports."""
    with ExitStack() as stack:
        ports = set()
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            ports.add(one.getsockname()[1])
        time.sleep(0.1)
        yield ports


# -- the bastion fails --------------------------------------------------------------------------------------------


async def lost(name: str, options: Mapping[str, Any], via: Login, timeout: float = 2.0) -> str:
    """The detail of a failure that must be the way's."""
    measured = await measure(name, options, via, timeout=timeout)
    assert cause(measured.failure) == ("tunnel", "no_tunnel"), measured.failure
    assert measured.failure is not None
    assert measured.failure.local
    return measured.failure.detail


async def test_a_bastion_that_is_down_is_our_own_trouble(sshd: StartSshd) -> None:
    gone = way(sshd(), port=free_port())
    assert "refused" in await lost("tcp", {"port": 1}, gone)
    assert "refused" in await lost("http", {"port": 1}, gone)
    assert "refused" in await lost("rtsp", {"port": 1}, gone)
    assert "refused" in await lost("ssh", sshd().options(command="true"), gone)


@pytest.mark.parametrize("manner", ["hang", "garbage", "reset", "close", "endless", "drip"])
async def test_a_bastion_that_misbehaves_is_our_own_trouble(
    sshd: StartSshd, hostile: StartHostile, manner: Any
) -> None:
    server = await hostile(manner)
    await lost("tcp", {"port": 1}, way(sshd(), port=server.port), timeout=0.6)
    async with asyncio.timeout(5):
        await server.all_closed()


@pytest.mark.parametrize("forbidden", ["AllowTcpForwarding no", "PermitOpen 127.0.0.1:1", "DisableForwarding yes"])
async def test_a_bastion_that_forwards_nothing_is_our_own_trouble(
    sshd: StartSshd, nginx: StartNginx, forbidden: str
) -> None:
    assert "opens no way" in await lost("tcp", {"port": nginx().port}, way(sshd(forbidden)))


async def test_another_host_key_or_login_at_the_bastion_is_our_own_trouble(sshd: StartSshd) -> None:
    other = sshd("LogLevel DEBUG")
    assert "host_key_changed" in await lost("tcp", {"port": 1}, way(sshd(), host_key=other.host_key))
    assert "unauthorized" in await lost("tcp", {"port": 1}, way(sshd(), private_key=other.private_key))


def serving(bastion: Sshd) -> list[int]:
    """The processes of sshd that serve those who are logged in."""
    children = Path(f"/proc/{bastion.pid}/task/{bastion.pid}/children").read_text("ascii")
    return [int(pid) for pid in children.split()]


async def test_a_bastion_that_dies_under_a_probe_is_our_own_trouble(
    sshd: StartSshd, hostile: StartHostile, pool: Connections
) -> None:
    bastion, server = sshd(new=True), await hostile("hang")
    options = {"port": server.port, "expect": "hello"}
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        runs = [group.create_task(lost("tcp", options, way(bastion), timeout=5), name=f"run {n}") for n in range(3)]
        while server.open < 3:
            await asyncio.sleep(0.01)
        for pid in serving(bastion):
            os.kill(pid, signal.SIGKILL)
    assert all("lost" in run.result() for run in runs)
    again = await measure("tcp", {"port": server.port}, way(bastion))
    assert again.failure is None


async def test_a_bastion_that_falls_silent_is_found_out(
    sshd: StartSshd, hostile: StartHostile, nginx: StartNginx, pool: Connections
) -> None:
    bastion, site = sshd(new=True), nginx()
    via = way(bastion)
    assert (await measure("tcp", {"port": site.port}, via)).failure is None
    stopped = serving(bastion)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert "silent" in await lost("tcp", {"port": site.port}, via, timeout=2.5)
        # With time enough it is replaced: a firewall that forgot one connection lets another one in.
        measured = await measure("tcp", {"port": site.port}, via, timeout=8)
        assert measured.failure is None
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
