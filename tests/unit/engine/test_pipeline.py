"""Facts in, one commit out: what is written, when it is shown, what is not written at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sentinel.domain.evidence import Evidence
from sentinel.domain.failure import Failure
from sentinel.domain.incident import Incident, Level, State, Subject, Telling, Verdict
from sentinel.domain.notice import Event
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Down, Rule, Selector, Severity, Threshold
from sentinel.domain.target import Check
from sentinel.engine.draft import Draft
from sentinel.engine.pipeline import ENDED_FOR, Pipeline
from sentinel.engine.planner import FIRST_RUN
from sentinel.engine.ports import Restored, Status, StoreFailed
from tests.support.estate import DOWN, Estate, check, target

pytestmark = pytest.mark.virtual_time

CAMERA = check(target("camera"))
FAILED = Failure("connect", "refused", "nobody listens")


class Bench(Estate):
    """An estate without scheduler and runner: observations come from the test."""

    def __init__(self, *checks: Check, rules: Sequence[Rule] = (DOWN,), restored: Restored | None = None) -> None:
        super().__init__(*checks, rules=rules)
        self.hastened: list[tuple[str, float]] = []
        self.woken = 0
        self.pipeline = Pipeline(
            self.store,  # type: ignore[arg-type]  # only what the pipeline calls
            self.snapshot,
            self.clock,
            announce=self.announce,
            hasten=lambda name, delay=0.0: self.hastened.append((name, delay)),
            new_id=lambda _at: f"i{next(self.store.ids)}",
        )
        self.pipeline.committed = self._wake
        if restored is not None:
            self.pipeline.restore(restored)
        self.pipeline.swap(self.plan())

    def _wake(self) -> None:
        self.woken += 1

    async def see(self, tape: str, of: Check = CAMERA, *, every: float = 1.0, **values: float) -> None:
        """Results of a check, each when it is due: ``x`` failed, ``.`` good, ``?`` not measured."""
        for letter in tape:
            failure = {"x": FAILED, ".": None, "?": Failure("prepare", "no_privilege")}[letter]
            outcome = {"x": Outcome.FAILED, ".": Outcome.OK, "?": Outcome.UNKNOWN}[letter]
            now = self.clock.now()
            self.pipeline.accept(
                Observation(of.id, now - 0.1, now - 0.1, 0.1, "centre", outcome, failure, values=values)
            )
            await asyncio.sleep(every)


async def test_one_commit_holds_all_that_follows_from_one_fact() -> None:
    bench = Bench(CAMERA)
    await bench.see(".x")
    before = len(bench.store.commits)
    await bench.see("x")
    (commit,) = bench.store.commits[before:]
    (incident,), (transition,), (notice,), (status,) = (
        commit.incidents,
        commit.transitions,
        commit.notices,
        commit.statuses,
    )
    assert (incident.subject, incident.telling, incident.channels) == ("camera.ping", Telling.TOLD, ("duty",))
    assert transition.incident == notice.incident == incident.id
    assert (transition.seq, notice.seq, transition.event) == (1, 1, Event.OPENED)
    assert (status.check, status.state, status.at) == ("camera.ping", "down", incident.began_at)
    assert bench.woken == 1


async def test_nothing_is_written_where_nothing_changed() -> None:
    bench = Bench(CAMERA)
    await bench.see(".")
    before = len(bench.store.commits)
    await bench.see("....x..")  # one failure is not confirmed
    assert len(bench.store.commits) == before
    assert bench.store.rolls == 8  # but counted
    await bench.see("xx")
    before = len(bench.store.commits)
    await bench.see("xxxx")
    bench.pipeline.tick()
    assert len(bench.store.commits) == before


async def test_the_snapshot_shows_it_when_it_is_on_the_disk() -> None:
    bench = Bench(CAMERA)
    bench.store.latency = 5.0
    await bench.see(".xx", every=0.5)
    feed = bench.snapshot.changes()
    assert bench.snapshot.incidents == {}
    assert bench.woken == 0
    await asyncio.sleep(6)
    assert [one.subject for one in bench.snapshot.incidents.values()] == ["camera.ping"]
    assert bench.woken == 1
    checks, incidents = feed.take()
    assert (checks, len(incidents)) == ({"camera.ping"}, 1)


async def test_a_disk_that_refuses_is_told_of_and_the_present_is_shown() -> None:
    bench = Bench(CAMERA)
    failed: list[tuple[Draft, StoreFailed]] = []
    bench.pipeline.failed = lambda draft, error: failed.append((draft, error))
    await bench.see(".x")
    bench.store.failing = True
    await bench.see("x")
    ((draft, error),) = failed
    assert "full" in str(error)
    assert [one.event for one in draft.transitions] == [Event.OPENED]
    assert [one.subject for one in bench.snapshot.incidents.values()] == ["camera.ping"]
    bench.store.failing = False
    await bench.see(".")
    assert bench.tape() == ["opened camera.ping", "resolved camera.ping"]


async def test_a_removed_check_is_nobody() -> None:
    bench = Bench(CAMERA)
    await bench.see("xxx", check(target("gone")))
    assert bench.tape() == []
    assert bench.store.rolls == 0


async def test_a_failure_is_asked_again_soon_and_asks_above_at_once() -> None:
    core, switch = target("core"), target("sw", "core")
    server = target("server", "sw")
    web = check(server, "web")
    bench = Bench(check(core), check(switch), check(server), web)
    await bench.see("..")
    await bench.see("x", web)
    assert {name for name, delay in bench.hastened if delay == 0.0} == {"server.ping", "sw.ping", "core.ping"}
    assert [(name, round(delay, 3)) for name, delay in bench.hastened if delay] == [("server.web", 1.9)]


async def test_what_is_overdue_is_unknown_and_ours() -> None:
    bench = Bench(CAMERA, replace(check(target("nowhere")), vantage=None))
    await bench.see(".")
    for _ in range(int(2 * 10 + 2 + FIRST_RUN) + 10):
        await asyncio.sleep(1)
        bench.pipeline.tick()
    view = bench.snapshot.checks["camera.ping"]
    assert view.state == "unknown"
    assert view.observation is not None
    assert view.observation.failure is not None
    assert (view.observation.failure.stage, view.observation.failure.code) == ("schedule", "overdue")
    assert bench.snapshot.checks["nowhere.ping"].state == "unobserved"
    assert bench.store.statuses[-1].state == "unknown"
    assert bench.tape() == []


async def test_a_verdict_about_no_check() -> None:
    bench = Bench(CAMERA)
    subject = Subject("config/daemon", "config", "daemon", "", "Sentinel")
    now = bench.clock.now()
    for level in (Level.OK, Level.FIRING, Level.FIRING, Level.OK):
        bench.pipeline.settle(subject, Verdict(level, Severity.MAJOR, now, now))
    assert bench.tape() == ["opened daemon", "resolved daemon"]
    assert len(bench.store.commits) == 2


async def test_an_ended_incident_is_shown_for_an_hour() -> None:
    bench = Bench(CAMERA)
    await bench.see(".xx.")
    assert len(bench.snapshot.incidents) == 1
    for _ in range(int(ENDED_FOR) // 10 + 5):
        await asyncio.sleep(10)
        await bench.see(".", every=0)
        bench.pipeline.tick()
    assert bench.snapshot.incidents == {}


async def test_a_rule_that_is_gone_closes_what_it_opened_and_ours_stay() -> None:
    slow = Rule("slow", "慢", Selector(), Threshold("load", above=1.0), Severity.WARNING)
    bench = Bench(CAMERA, rules=(DOWN, slow))
    await bench.see(".", load=5.0)
    subject = Subject("store/daemon", "store", "daemon", "", "Sentinel")
    bench.pipeline.settle(subject, Verdict(Level.FIRING, Severity.MAJOR, 0, 0))
    assert bench.tape() == ["opened camera.ping", "opened daemon"]
    bench.rules = (DOWN,)
    bench.pipeline.swap(bench.plan())
    assert bench.tape()[2:] == ["resolved camera.ping"]
    assert bench.store.transitions[-1].reason == "rule_removed"


async def test_a_rule_that_is_no_longer_for_a_check_closes_its_incident() -> None:
    slow = Rule("slow", "慢", Selector(), Threshold("load", above=1.0), Severity.WARNING)
    bench = Bench(CAMERA, rules=(DOWN, slow))
    await bench.see(".", load=5.0)
    bench.rules = (DOWN, replace(slow, selector=Selector(kind=("server",))))
    bench.pipeline.swap(bench.plan())
    assert bench.store.transitions[-1].reason == "rule_removed"
    assert not list(bench.pipeline.cases)


async def test_an_unchanged_check_keeps_its_windows_and_a_changed_rule_confirms_anew() -> None:
    bench = Bench(CAMERA)
    await bench.see(".x")
    bench.pipeline.swap(bench.plan())
    await bench.see("x")
    assert bench.tape() == ["opened camera.ping"]
    await bench.see("...x")
    bench.rules = (replace(DOWN, predicate=Down(2, 4)),)
    bench.pipeline.swap(bench.plan())
    await bench.see("x")
    assert bench.tape() == ["opened camera.ping", "resolved camera.ping"]
    await bench.see("x")
    assert bench.tape()[2:] == ["opened camera.ping"]


async def test_a_restart_takes_up_incidents_and_marks_the_gap() -> None:
    first = Bench(CAMERA)
    await first.see(".xx")
    kept = first.store.restored(first.clock.now())
    await asyncio.sleep(100)
    second = Bench(CAMERA, restored=kept)
    (gap,) = second.store.statuses
    assert (gap.state, gap.at) == ("unobserved", kept.alive_at)
    assert len(second.snapshot.incidents) == 1
    await second.see("x")
    assert second.tape() == []
    assert second.store.statuses[-1].state == "down"
    assert second.store.statuses[-1].at > gap.at
    await second.see(".")
    assert second.tape() == ["resolved camera.ping"]


async def test_a_first_start_marks_no_gap() -> None:
    bench = Bench(CAMERA, restored=Restored())
    assert bench.store.commits == []


async def test_a_check_that_went_while_we_were_stopped_is_unobserved_from_then_on() -> None:
    bench = Bench(CAMERA, restored=Restored(statuses=[Status("gone.ping", 50.0, "up")], alive_at=100.0))
    assert bench.store.statuses == [Status("gone.ping", 100.0, "unobserved")]


async def test_what_was_held_at_the_stop_is_told_in_the_end() -> None:
    held = Incident(
        "i9",
        "down/camera.ping",
        "down",
        "camera.ping",
        "camera",
        "camera",
        {},
        Severity.CRITICAL,
        state=State.OPEN,
        telling=Telling.HELD,
        began_at=1.0,
        opened_at=2.0,
        cause="sw",
        version=1,
    )
    bench = Bench(CAMERA, restored=Restored(incidents=[held], alive_at=5.0))
    assert bench.pipeline.cases.holding
    for _ in range(int(FIRST_RUN) + 2):
        await asyncio.sleep(1)
        bench.pipeline.tick()
    assert bench.tape() == ["opened camera.ping"]
    assert bench.store.transitions[-1].reason == "parent_undecided"


SWITCH = check(target("sw", kind="switch"))
HALL = check(target("hall", "sw"))


async def test_what_is_held_is_told_in_time_though_the_clock_was_put_back() -> None:
    bench = Bench(SWITCH, HALL)
    await bench.see("xx", HALL)  # the switch has not answered yet: nobody knows
    assert bench.pipeline.cases.holding
    bench.clock.set_by = -7200.0
    for _ in range(10):
        await asyncio.sleep(1)
        bench.pipeline.tick()
    assert bench.tape() == ["opened hall.ping"]


async def test_a_result_that_began_before_the_switch_was_back_is_shown_and_not_judged() -> None:
    bench = Bench(SWITCH, HALL)
    await bench.see("..", SWITCH)
    await bench.see("xx", SWITCH)
    await bench.see("xx", HALL)
    assert [one.cause for one in bench.pipeline.cases.untold] == ["sw"]
    await bench.see(".", SWITCH, every=0.0)
    bench.hastened.clear()
    await bench.see("x", HALL)  # it was under way
    assert bench.hastened == [("hall.ping", 0.0)]
    bench.hastened.clear()
    await bench.see("x", HALL)
    assert ("sw.ping", 0.0) in bench.hastened  # the switch is asked about this failure, not about the one before
    await bench.see(".", SWITCH)
    assert [line for line in bench.tape() if "hall" in line] == []
    await bench.see("x", HALL)
    assert bench.tape()[-1] == "opened hall.ping"
    assert bench.store.transitions[-1].reason == "still_failing"


async def test_marks_keep_their_order_though_the_clock_was_put_back() -> None:
    bench = Bench(CAMERA)
    await bench.see("..")
    bench.clock.set_by = -7200.0
    await bench.see("xx.xx")
    ats = [status.at for status in bench.store.statuses]
    assert [status.state for status in bench.store.statuses] == ["up", "down", "up", "down"]
    assert ats == sorted(ats)


# -- evidence, and what nobody asked for --------------------------------------------------------------------------

FRAME = Evidence("picture", "image/jpeg", b"black")
DARK = Rule(
    "dark",
    "画面过暗",
    Selector(),
    Threshold("darkness_ratio", above=0.5, severity_at=((0.9, Severity.CRITICAL),)),
    Severity.WARNING,
)


def seen(bench: Bench, darkness: float | None, *frames: Evidence, passive: bool = False) -> None:
    now = bench.clock.now()
    values = {} if darkness is None else {"darkness_ratio": darkness}
    failure = FAILED if darkness is None else None
    outcome = Outcome.FAILED if failure else Outcome.OK
    bench.pipeline.accept(
        Observation(CAMERA.id, now, now, 0.0, "centre", outcome, failure, {}, values, {}, frames, passive)
    )


async def test_evidence_is_kept_where_an_incident_opens_or_gets_worse_and_in_the_same_commit() -> None:
    bench = Bench(CAMERA, rules=(DARK,))
    kept = []
    for darkness in (0.1, 0.6, 0.7, 0.95, 0.96, 0.6, 0.1):
        before = len(bench.store.commits)
        seen(bench, darkness, replace(FRAME, data=str(darkness).encode()))
        for commit in bench.store.commits[before:]:
            kept += [(one.evidence.data, len(commit.incidents), one.incident) for one in commit.evidence]
        await asyncio.sleep(1)
    (incident,) = bench.snapshot.incidents
    assert kept == [(b"0.6", 1, incident), (b"0.95", 1, incident)]


async def test_what_comes_late_is_kept_with_its_incident_and_never_without_one() -> None:
    bench = Bench(CAMERA, rules=(DARK,))
    seen(bench, 0.6)
    await asyncio.sleep(1)
    (incident,) = bench.snapshot.incidents
    bench.pipeline.add_evidence(incident, FRAME)
    bench.pipeline.add_evidence("nobody", FRAME)
    (piece,) = [one for commit in bench.store.commits for one in commit.evidence]
    assert (piece.incident, piece.evidence) == (incident, FRAME)


async def test_word_of_an_opening_is_given_after_it_was_published_and_not_of_what_is_suppressed() -> None:
    switch, camera = check(target("switch")), check(target("camera", "switch"))
    bench = Bench(switch, camera)
    opened: list[tuple[str, bool, int]] = []
    bench.pipeline.opened = lambda one: opened.append((one.subject, one.id in bench.snapshot.incidents, bench.woken))
    await bench.see(".", switch)
    await bench.see(".", camera)
    await bench.see("xx", switch)
    assert opened == [("switch.ping", True, 1)]
    await bench.see("xx", camera)
    assert {one.subject: one.telling for one in bench.snapshot.incidents.values()}["camera.ping"] is Telling.SUPPRESSED
    assert len(opened) == 1


async def test_a_report_is_judged_and_neither_rolled_up_nor_timed_nor_a_picture() -> None:
    slow = Rule("slow", "过慢", Selector(), Threshold("took", above=0.5), Severity.WARNING)
    bench = Bench(CAMERA, rules=(DOWN, DARK, slow))
    now = bench.clock.now()
    bench.pipeline.accept(
        Observation(CAMERA.id, now, now, 0.9, "centre", Outcome.OK, None, {"connect": 0.4}, {"frames": 3.0})
    )
    assert bench.store.rolls == 1
    seen(bench, 0.6, passive=True)
    await asyncio.sleep(1)
    assert bench.store.rolls == 1
    shown = bench.snapshot.checks[CAMERA.id].observation
    assert shown is not None
    assert (shown.took, shown.stages, shown.values) == (0.9, {"connect": 0.4}, {"frames": 3.0, "darkness_ratio": 0.6})
    # The slow one stays: a report took no time, and says nothing of how long a probe takes.
    assert {one.rule for one in bench.snapshot.incidents.values() if one.state is State.OPEN} == {"dark", "slow"}
    seen(bench, None, passive=True)
    shown = bench.snapshot.checks[CAMERA.id].observation
    assert shown is not None
    assert (shown.failure, shown.values, shown.took) == (FAILED, {}, 0.9)
    assert bench.snapshot.checks[CAMERA.id].state == "failing"
    assert bench.hastened  # one report is no confirmation: it is asked
