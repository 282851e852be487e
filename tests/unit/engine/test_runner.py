"""One deadline, limits, and one observation for every start."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sentinel.config.configuration import Limits
from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement, Observation, Outcome
from sentinel.domain.target import Check, Target
from sentinel.engine.runner import PATIENCE, Runner
from sentinel.engine.scheduler import Entry
from sentinel.sdk.protocol import Done, Options, Protocol, Run
from tests.support.estate import VirtualClock

pytestmark = pytest.mark.virtual_time

TARGET = Target("hall", "hall", "192.0.2.1", "terminal", "internal")


def check(name: str = "a", *, timeout: float = 2.0, target: Target = TARGET) -> Check:
    return Check(f"{target.id}.{name}", name, target, "p", "p", None, 10.0, timeout, "centre")


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


class Bench:
    """A runner with one protocol; ``probe`` and ``sweep`` are the test's own."""

    def __init__(self, probe: Any = None, sweep: Any = None, *, limits: Limits | None = None, **services: Any) -> None:
        self.accepted: list[Observation] = []
        self.finished: list[str] = []
        self.clock = VirtualClock()
        self.protocol = Protocol("p", Options, probe or self._fine, sweep=sweep)
        self.runner = Runner(
            {"p": self.protocol}, services, self.clock, limits or Limits(1000, 1000, {}, 1000), self._accept
        )
        self.runner.finished = self._finished

    async def _fine(self, _target: Target, _options: Any, _run: Run) -> None:
        """Answer at once."""

    def _accept(self, observation: Observation) -> None:
        self.accepted.append(observation)

    def _finished(self, entry: Entry) -> None:
        entry.running = False
        self.finished.append(entry.check.id)

    def start(self, *checks: Check) -> list[Entry]:
        entries = [Entry(one, 0, due=self.clock.monotonic(), running=True) for one in checks]
        self.runner.start(entries)
        return entries

    async def one(self, seconds: float = 100.0) -> Observation:
        self.start(check())
        await asyncio.sleep(seconds)
        (observation,) = self.accepted
        return observation


async def test_a_probe_that_returns_is_ok_with_what_it_measured() -> None:
    async def probe(_target: Target, _options: Any, run: Run) -> None:
        with run.stage("exchange"):
            await asyncio.sleep(0.5)
        run.values["load"] = 3.0
        run.facts["version"] = "1.0"

    bench = Bench(probe)
    found = await bench.one()
    assert (found.outcome, found.failure, found.check, found.vantage) == (Outcome.OK, None, "hall.a", "centre")
    assert (dict(found.values), dict(found.facts), set(found.stages)) == (
        {"load": 3.0},
        {"version": "1.0"},
        {"exchange"},
    )
    assert found.took == pytest.approx(0.5)
    assert found.started_at == pytest.approx(bench.clock.epoch)
    assert found.ended_at == pytest.approx(bench.clock.epoch + 0.5)
    assert bench.finished == ["hall.a"]


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (ConnectionRefusedError(111, "refused"), "refused", Outcome.FAILED),
        (TimeoutError(), "timed_out", Outcome.FAILED),
        (OSError(113, "no route to host"), "unreachable", Outcome.FAILED),
        (OSError(101, "network is unreachable"), "no_route", Outcome.UNKNOWN),
        (OSError(24, "too many open files"), "no_resource", Outcome.UNKNOWN),
        (PermissionError(1, "not permitted"), "no_privilege", Outcome.UNKNOWN),
    ],
)
async def test_what_the_network_raises(error: OSError, code: str, outcome: Outcome) -> None:
    async def staged(_target: Target, _options: Any, run: Run) -> None:
        with run.stage("connect"):
            raise error

    async def bare(_target: Target, _options: Any, _run: Run) -> None:
        raise error

    for probe, stage in ((staged, "connect"), (bare, "probe")):
        found = await Bench(probe).one()
        assert found.failure is not None
        assert (found.failure.stage, found.failure.code, found.outcome) == (stage, code, outcome)


async def test_the_deadline_names_the_stage_that_it_struck() -> None:
    async def probe(_target: Target, _options: Any, run: Run) -> None:
        with run.stage("connect"):
            await asyncio.sleep(0.5)
        with run.stage("describe"):
            await asyncio.sleep(3600)

    found = await Bench(probe).one()
    assert found.failure == Failure("describe", "timed_out")
    assert found.took == pytest.approx(2.0)
    assert set(found.stages) == {"connect", "describe"}


async def test_the_deadline_is_passed_on() -> None:
    seen: dict[str, Any] = {}

    async def probe(_target: Target, _options: Any, run: Run) -> None:
        seen.update(deadline=run.deadline, service=run.service, memory=run.memory)
        run.memory["runs"] = int(run.memory.get("runs", 0)) + 1

    bench = Bench(probe, p="socket")
    (entry,) = bench.start(check(timeout=7.0))
    await asyncio.sleep(1)
    bench.runner.start([entry])
    await asyncio.sleep(1)
    assert seen["deadline"] == pytest.approx(8.0)
    assert seen["service"] == "socket"
    assert entry.memory == {"runs": 2}  # kept from run to run


@pytest.mark.parametrize(
    "error", [ValueError("of the operator's secret"), ExceptionGroup("two", [OSError(), KeyError()])]
)
async def test_a_defect_is_unknown_with_its_traceback_in_the_log(error: Exception, logs: list[EventDict]) -> None:
    async def probe(_target: Target, _options: Any, run: Run) -> None:
        with run.stage("expect"):
            raise error

    found = await Bench(probe).one()
    assert found.outcome is Outcome.UNKNOWN
    assert found.failure == Failure("expect", "internal_error", type(error).__name__)  # and nothing of its text
    (line,) = [one for one in logs if one["event"] == "probe.defect"]
    assert line["exc_info"] is error
    assert line["check"] == "hall.a"


async def test_a_cancellation_that_is_not_ours_is_a_defect(logs: list[EventDict]) -> None:
    async def probe(_target: Target, _options: Any, _run: Run) -> None:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting

    bench = Bench(probe)
    found = await bench.one()
    assert found.failure == Failure("probe", "internal_error", "CancelledError")
    assert bench.finished == ["hall.a"]  # or it would never run again


async def test_our_own_stop_is_no_fact() -> None:
    async def probe(_target: Target, _options: Any, _run: Run) -> None:
        await asyncio.sleep(3600)

    bench = Bench(probe, limits=Limits(2, 1000, {}, 1000))
    bench.start(*(check(f"c{n}", timeout=60) for n in range(5)))
    await asyncio.sleep(1)
    assert (bench.runner.running, bench.runner.waiting) == (2, 3)
    await bench.runner.stop()
    assert bench.runner.running == 0  # and none that waited came after
    await asyncio.sleep(100)
    assert bench.accepted == []
    assert bench.runner.running == 0


async def test_what_a_service_reports_after_the_stop_is_dropped() -> None:
    later: list[tuple[Done, Check]] = []

    def sweep(_service: Any, checks: Sequence[Check], done: Done) -> None:
        later.extend((done, one) for one in checks)

    bench = Bench(sweep=sweep)
    bench.start(check())
    await bench.runner.stop()
    for done, one in later:  # an engine that is closed says that all which is open is overdue
        done(one, Measurement(0.0, Failure("echo", "overdue")))
    assert bench.accepted == []


async def test_what_was_removed_while_it_ran_is_not_accepted() -> None:
    bench = Bench()
    (entry,) = bench.start(check())
    entry.gone = True
    await asyncio.sleep(1)
    assert bench.accepted == []


async def test_limits_for_each_host() -> None:
    most = [0]
    inside = [0]

    async def probe(_target: Target, _options: Any, _run: Run) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0.1)
        inside[0] -= 1

    bench = Bench(probe, limits=Limits(4, 1000, {}, 1000))
    bench.start(*(check(f"c{n}") for n in range(20)))
    await asyncio.sleep(10)
    assert most == [4]
    assert {one.check for one in bench.accepted} == {f"hall.c{n}" for n in range(20)}
    bench.runner.limit(Limits(10, 1000, {}, 1000))
    bench.start(*(check(f"c{n}") for n in range(20)))
    await asyncio.sleep(10)
    assert most == [10]


async def test_who_waited_too_long_is_unknown_and_not_run() -> None:
    ran = []

    async def probe(target: Target, _options: Any, _run: Run) -> None:
        ran.append(target.id)
        await asyncio.sleep(3600)

    bench = Bench(probe, limits=Limits(1, 1000, {}, 1000))
    bench.start(*(check(f"c{n}", timeout=2.0 if n else 2 * PATIENCE) for n in range(2000)))
    await asyncio.sleep(200)
    late = [one for one in bench.accepted if one.failure is not None and one.failure.code == "overloaded"]
    assert len(late) == 1999  # and as many on the stack would have been too many
    assert len(ran) == 1
    assert {one.outcome for one in late} == {Outcome.UNKNOWN}
    assert late[0].failure is not None
    assert late[0].failure.stage == "schedule"
    assert len(bench.finished) == 2000
    assert bench.runner.waiting == 0


async def test_a_sweep_gets_all_of_a_tick_and_its_service() -> None:
    calls = []

    def sweep(service: Any, checks: Sequence[Check], done: Done) -> None:
        calls.append((service, [one.id for one in checks]))
        for one in checks:
            asyncio.get_running_loop().call_later(0.5, done, one, Measurement(0.5))

    bench = Bench(sweep=sweep, p="socket")
    bench.start(check("a"), check("b"))
    await asyncio.sleep(1)
    assert calls == [("socket", ["hall.a", "hall.b"])]
    assert [one.took for one in bench.accepted] == [0.5, 0.5]
    assert bench.finished == ["hall.a", "hall.b"]


async def test_a_sweep_that_fails_half_way_is_unknown_for_the_rest(logs: list[EventDict]) -> None:
    kept: list[Done] = []

    def sweep(_service: Any, checks: Sequence[Check], done: Done) -> None:
        kept.append(done)
        done(checks[0], Measurement(0.1))
        raise RuntimeError("half way")

    bench = Bench(sweep=sweep)
    checks = [check(name) for name in "abc"]
    bench.start(*checks)
    kept[0](checks[1], Measurement(0.1))  # it comes after all: that run has its result already
    kept[0](checks[0], Measurement(0.1))  # twice
    assert sorted((one.check, one.outcome.value) for one in bench.accepted) == [
        ("hall.a", "ok"),
        ("hall.b", "unknown"),
        ("hall.c", "unknown"),
    ]
    assert [one["event"] for one in logs] == ["sweep.defect"]


async def test_a_defect_in_judging_one_check_ends_no_sweep(logs: list[EventDict]) -> None:
    def sweep(_service: Any, checks: Sequence[Check], done: Done) -> None:
        for one in checks:
            done(one, Measurement(0.1))

    bench = Bench(sweep=sweep)

    def accept(observation: Observation) -> None:
        if observation.check == "hall.a":
            raise KeyError("a defect of ours")
        bench.accepted.append(observation)

    bench.runner._accept = accept
    bench.start(check("a"), check("b"))
    assert [one.check for one in bench.accepted] == ["hall.b"]
    assert bench.finished == ["hall.a", "hall.b"]
    assert [one["event"] for one in logs] == ["accept.defect"]


async def test_other_protocols_from_now_on() -> None:
    bench = Bench()

    async def refuse(_target: Target, _options: Any, run: Run) -> None:
        run.fail("refused")

    bench.runner.use({"p": Protocol("p", Options, refuse)})
    found = await bench.one()
    assert found.failure == Failure("probe", "refused")


async def test_a_runner_that_nobody_listens_to() -> None:
    bench = Bench()
    quiet = Runner({"p": bench.protocol}, {}, bench.clock, Limits(), bench.accepted.append)
    quiet.start([Entry(check(), 0, running=True)])
    await asyncio.sleep(1)
    assert len(bench.accepted) == 1
