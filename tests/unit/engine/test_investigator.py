"""A closer look after people were told: one an incident, few at a time, never for ever, never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from sentinel.domain.evidence import Evidence
from sentinel.domain.incident import Incident, State, Telling
from sentinel.domain.rule import Severity
from sentinel.domain.target import Check
from sentinel.engine.investigator import AT_ONCE, WAITING, WITHIN, Investigator
from sentinel.sdk.protocol import Options, Protocol
from tests.support.estate import check, target

pytestmark = pytest.mark.virtual_time

PATH = Evidence("path", "application/json", b"{}")


def incident(number: int, of: Check) -> Incident:
    return Incident(
        f"i{number}",
        f"down/{of.id}",
        "down",
        of.id,
        of.target.id,
        "",
        {},
        Severity.MAJOR,
        State.OPEN,
        Telling.TOLD,
        0,
        0,
    )


class Bench:
    """An investigator whose looks are the test's own."""

    def __init__(self, look: Callable[[object, Check], Awaitable[Evidence | None]], count: int = 1) -> None:
        self.checks = {one.id: one for one in (check(target(f"camera-{number}")) for number in range(count))}
        self.kept: list[tuple[str, Evidence]] = []
        declared = Protocol("script", Options, self._probe, investigate=look)
        self.protocols = {"script": declared}
        self.investigator = Investigator(
            {"script": "the service"},
            lambda: self.protocols,
            lambda: self.checks,
            lambda name, one: self.kept.append((name, one)),
        )

    async def _probe(self, *_: object) -> None:
        """Nothing."""

    def open(self) -> None:
        for number, one in enumerate(self.checks.values()):
            self.investigator.opened(incident(number, one))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(self.investigator.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_found_is_kept_once_an_incident() -> None:
    seen: list[object] = []

    async def look(service: object, of: Check) -> Evidence:
        seen.append((service, of.id))
        return PATH

    bench = Bench(look)
    async with bench.running():
        for _ in range(3):  # opened, told, worse
            bench.open()
        await asyncio.sleep(1)
    assert seen == [("the service", "camera-0.ping")]
    assert bench.kept == [("i0", PATH)]


async def test_of_a_storm_few_at_a_time_and_the_rest_not_at_all() -> None:
    most = under_way = 0

    async def look(_service: object, _of: Check) -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(3)
        under_way -= 1

    bench = Bench(look, WAITING + 36)
    bench.open()
    assert bench.investigator.dropped == 36
    async with bench.running():
        await asyncio.sleep(3 * WAITING)
    assert (most, under_way) == (AT_ONCE, 0)
    assert bench.kept == []


async def test_one_that_hangs_or_breaks_costs_the_others_nothing() -> None:
    async def look(_service: object, of: Check) -> Evidence:
        if of.id < "camera-4":
            await asyncio.sleep(3600)
        if of.id < "camera-5":
            raise ValueError
        return PATH

    bench = Bench(look, 6)
    async with bench.running():
        bench.open()
        await asyncio.sleep(WITHIN * 1.1)
    assert [name for name, _ in bench.kept] == ["i5"]


async def test_what_has_nothing_to_say_or_is_gone_is_left_alone() -> None:
    async def look(_service: object, _of: Check) -> Evidence:
        return PATH

    bench = Bench(look)
    bench.investigator.opened(replace(incident(1, check(target("nobody"))), subject="estate"))
    bench.open()
    bench.checks = {}
    async with bench.running():
        await asyncio.sleep(1)
    assert bench.kept == []
    bench = Bench(look)
    bench.protocols = {"script": replace(bench.protocols["script"], investigate=None)}
    bench.open()
    async with bench.running():
        await asyncio.sleep(1)
    assert bench.kept == []
