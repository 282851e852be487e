"""ICMP against the kernel on loopback; what needs a network is in test_icmp_network.py."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import uvloop

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.icmp import PROTOCOL, service
from sentinel.protocols.icmp.sockets import NoSocket
from tests.support.echo import check, needs_echo, swept
from tests.support.probing import measure, target


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


@needs_echo
async def test_what_the_sockets_count_is_declared_and_counted() -> None:
    assert PROTOCOL.count is not None
    async with service() as engine:
        await swept(engine, [check("127.0.0.1", count=2, interval=0.02)])
        counted = PROTOCOL.count(engine)
    assert set(counted) == {counter.name for counter in PROTOCOL.counters}
    assert counted["socket_sent"]["ipv4"] == counted["socket_received"]["ipv4"] == 2
    assert counted["socket_dropped"]["ipv4"] == 0
