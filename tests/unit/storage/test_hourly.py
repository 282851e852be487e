"""What was measured by the hour: counted right, restored, bounded, and there after the step from the former schema."""

import math
import statistics
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.configuration import Retention
from sentinel.domain.baseline import Moments, Usual, hour_of
from sentinel.storage import hourly, opening, retention, schema
from sentinel.storage.hourly import Samples, together
from sentinel.storage.sqlite import open_store
from tests.unit.storage.conftest import NOON, HandClock
from tests.unit.storage.conftest import opening as opened_incident

HOUR = 3600


@pytest.fixture
def connection() -> apsw.Connection:
    made = apsw.Connection(":memory:")
    schema.migrate(made, NOON)
    return made


def put(connection: apsw.Connection, at: float, check: str = "a.video", value: str = "v", *numbers: float) -> None:
    samples = Samples()
    for number in numbers or (1.0,):
        samples.add(check, at, {value: number})
    hourly.flush(connection, samples.take())


numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(numbers, numbers)
def test_two_groups_are_one(one: list[float], other: list[float]) -> None:
    def moments(of: list[float]) -> Moments:
        return Moments(len(of), statistics.fmean(of), sum((number - statistics.fmean(of)) ** 2 for number in of))

    both, wanted = together(moments(one), moments(other)), moments(one + other)
    assert both.count == wanted.count
    assert math.isclose(both.mean, wanted.mean, rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(both.squares, wanted.squares, rel_tol=1e-6, abs_tol=1e-3)


def test_what_is_flushed_in_pieces_is_what_was_measured(connection: apsw.Connection) -> None:
    """Numbers that lie close together at a large distance from nothing: sums of squares would lose the spread."""
    measured = [1e8 + number / 10 for number in range(20)]
    for start in range(0, 20, 3):
        put(connection, NOON + start, "a.video", "v", *measured[start : start + 3])
    found = hourly.read(connection, "a.video", NOON, NOON + HOUR)["v"][int(NOON)]
    assert found.count == 20
    assert math.isclose(found.mean, statistics.fmean(measured), rel_tol=1e-15)
    assert math.isclose(math.sqrt(found.squares / 20), statistics.pstdev(measured), rel_tol=1e-6)


def test_a_check_is_read_alone_and_from_its_hours(connection: apsw.Connection) -> None:
    for hour in range(5):
        put(connection, NOON + hour * HOUR + 1800, "a.video", "v", float(hour))
        put(connection, NOON + hour * HOUR, "b.video", "v", 99.0)
    found = hourly.read(connection, "a.video", NOON + HOUR - 1, NOON + 3 * HOUR)
    assert {at: one.mean for at, one in found["v"].items()} == {NOON + HOUR: 1.0, NOON + 2 * HOUR: 2.0}
    assert hourly.read(connection, "c.video", 0, NOON * 2) == {}


def test_nothing_is_read_of_an_empty_table(connection: apsw.Connection) -> None:
    assert hourly.read(connection, "a.video", NOON - 28 * 86_400, NOON) == {}


def test_what_is_no_number_is_left_out() -> None:
    samples = Samples()
    samples.add("a.video", NOON, {"nan": math.nan, "inf": math.inf, "huge": -1e300, "good": 1.0})
    assert [key[2] for key in samples.take()] == ["good"]
    assert not samples


def test_what_waits_is_bounded() -> None:
    samples = Samples(most=3)
    samples.add("a.video", NOON, {f"v{number}": 1.0 for number in range(5)})
    samples.add("a.video", NOON, {"v0": 3.0})
    taken = samples.take()
    assert len(taken) == 3
    assert taken[int(NOON), "a.video", "v0"] == Moments(2, 2.0, 2.0)
    assert samples.dropped == 2


def test_a_table_without_end_is_no_reason_to_count_all_of_it() -> None:
    samples = Samples()
    samples.add("a.video", NOON, {f"v:{number}": 1.0 for number in range(500)})
    assert len(samples.take()) == hourly.MOST_KEYS


def test_what_the_disk_did_not_take_comes_again() -> None:
    samples = Samples()
    samples.add("a.video", NOON, {"v": 1.0})
    taken = samples.take()
    samples.add("a.video", NOON + 1, {"v": 3.0})
    samples.give_back(taken)
    assert samples.take() == {(int(NOON), "a.video", "v"): Moments(2, 2.0, 2.0)}


def test_hours_that_are_too_old_go(connection: apsw.Connection) -> None:
    kept = Retention(values=86_400.0)
    for hour in range(30):
        put(connection, NOON + hour * HOUR)
    while retention.housekeep_once(connection, NOON + 30 * HOUR, kept):
        pass
    ages = [(NOON + 30 * HOUR - row[0]) / HOUR for row in connection.execute("SELECT at FROM hourly_values")]
    assert (max(ages), len(ages)) == (24, 24)


def test_there_are_never_more_rows_than_stated(connection: apsw.Connection) -> None:
    kept = Retention(values_rows=10)
    for hour in range(8):
        for value in ("u", "v", "w"):
            put(connection, NOON + hour * HOUR, "a.video", value)
    while retention.housekeep_once(connection, NOON + 8 * HOUR, kept):
        pass
    assert [row[0] for row in connection.execute("SELECT DISTINCT at FROM hourly_values ORDER BY at")] == [
        NOON + hour * HOUR for hour in (5, 6, 7)
    ]


async def test_it_is_there_after_a_restart(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        store.sample("a.video", NOON + 5, {"v": 1.0})
        store.sample("a.video", NOON + 6, {"v": 2.0})
    async with open_store(path, clock) as store:
        store.sample("a.video", NOON + 7, {"v": 3.0})
    async with open_store(path, clock) as store:
        found = await store.usual("a.video", NOON, NOON + 1)
    assert found == {"v": {hour_of(NOON): Usual(2.0, math.sqrt(2 / 3), samples=3, days=1)}}


async def test_a_database_of_the_former_version_is_taken_over(
    path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = schema.steps()
    with monkeypatch.context() as former:
        former.setattr(schema, "steps", lambda: every[:3])
        connection = opening.connect(path)
        assert schema.migrate(connection, NOON)[-1] == "0003_evidence.sql"
        connection.close()
    async with open_store(path, clock) as store:
        await store.commit(opened_incident(1))
        store.sample("a.video", NOON, {"v": 1.0})
    async with open_store(path, clock) as store:
        assert [one.id for one in await store.incidents()] == ["i1"]
        assert set(await store.usual("a.video", NOON, NOON + 1)) == {"v"}


async def test_it_is_saved_from_a_broken_database(path: Path, clock: HandClock) -> None:
    async with open_store(path, clock) as store:
        store.sample("a.video", NOON, {"v": 4.0})
    rebuilt, what = opening.rebuild(path, NOON, "a test")
    assert what.saved["hourly_values"] == 1
    assert hourly.read(rebuilt, "a.video", NOON, NOON + 1)["v"][int(NOON)] == Moments(1, 4.0, 0.0)
    rebuilt.close()
