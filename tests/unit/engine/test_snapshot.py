"""The present, and those who follow it."""

import asyncio

import pytest

from sentinel.engine.snapshot import CheckView, Snapshot
from tests.support.estate import check, target
from tests.support.fleet import configuration, incident

CHECK = check(target("hall"))


def test_results_and_changes_go_to_those_who_asked_for_them() -> None:
    snapshot = Snapshot()
    results, changes = snapshot.results(), snapshot.changes()
    view = CheckView(CHECK)
    snapshot.result(view)
    assert results.take() == ({"hall.ping"}, set())
    assert changes.take() == (set(), set())
    snapshot.changed(view)
    assert results.take() == (set(), set())
    assert changes.take() == ({"hall.ping"}, set())


def test_an_incident_concerns_both() -> None:
    snapshot = Snapshot()
    results, changes = snapshot.results(), snapshot.changes()
    one = incident(configuration().checks["hall-02.tcp"])
    snapshot.incident(one)
    assert snapshot.incidents == {one.id: one}
    assert results.take() == changes.take() == (set(), {one.id})


def test_a_slow_reader_costs_each_id_once() -> None:
    snapshot = Snapshot()
    feed = snapshot.results()
    for _ in range(1000):
        snapshot.result(CheckView(CHECK))
    assert feed.take() == ({"hall.ping"}, set())


def test_who_left_gets_nothing_more() -> None:
    snapshot = Snapshot()
    feeds = snapshot.results(), snapshot.changes()
    for feed in feeds:
        snapshot.leave(feed)
        snapshot.leave(feed)
    snapshot.result(CheckView(CHECK))
    snapshot.changed(CheckView(CHECK))
    assert [feed.take() for feed in feeds] == [(set(), set())] * 2


def test_after_a_swap_everything_is_drawn_anew() -> None:
    snapshot = Snapshot()
    feeds = snapshot.results(), snapshot.changes()
    snapshot.checks = {"a.ping": CheckView(CHECK), "b.ping": CheckView(CHECK)}
    snapshot.swapped()
    assert snapshot.generation == 1
    assert [feed.take()[0] for feed in feeds] == [{"a.ping", "b.ping"}] * 2


@pytest.mark.virtual_time
async def test_a_reader_sleeps_until_there_is_something() -> None:
    snapshot = Snapshot()
    feed = snapshot.results()
    woken: list[float] = []
    loop = asyncio.get_running_loop()

    async def read() -> None:
        while True:
            await feed.wait()
            woken.append(loop.time())
            feed.take()

    task = loop.create_task(read())
    await asyncio.sleep(10)
    snapshot.result(CheckView(CHECK))
    snapshot.result(CheckView(CHECK))
    await asyncio.sleep(5)
    snapshot.incident(incident(configuration().checks["hall-02.tcp"]))
    snapshot.result(CheckView(CHECK))
    await asyncio.sleep(5)
    assert woken == [10.0, 15.0]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
