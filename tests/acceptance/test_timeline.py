"""The engine's timeline in virtual time: what is told, and when."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sentinel.domain.rule import Down, RetrievalLimit, Rule, Selector, Severity
from tests.support.estate import DOWN, Estate, check, target

pytestmark = pytest.mark.virtual_time

CORE = target("core", kind="switch")
HALL = target("sw-hall", "core", kind="switch")
HALLS = [target(f"hall-{n:02}", "sw-hall") for n in range(1, 21)]


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def test_a_fault_is_told_within_the_promised_time_and_so_is_its_end() -> None:
    estate = Estate(check(target("camera")))

    async def script(estate: Estate) -> None:
        await sleep(33.3)
        estate.broken.add("camera")
        await sleep(40)
        estate.broken.clear()
        await sleep(20)

    await estate.run(script)
    assert estate.tape() == ["opened camera.ping", "resolved camera.ping"]
    # interval 10 + one retry of 2 + timeout 2, and a second for the record
    assert 33.3 < estate.told[0][0] <= 33.3 + 10 + 2 + 2 + 1
    assert 73.3 < estate.told[1][0] <= 73.3 + 10 + 1


async def test_a_single_lost_probe_is_not_told() -> None:
    estate = Estate(check(target("camera")))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("camera")
        while not any(at > 35 for at, _ in estate.starts):
            await sleep(0.1)
        await sleep(1)
        estate.broken.clear()
        await sleep(60)

    await estate.run(script)
    assert estate.tape() == []
    assert estate.store.transitions == []


async def test_one_switch_one_message_and_every_terminal_is_watched_on() -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("sw-hall")
        await sleep(60)
        before = len(estate.starts)
        await sleep(30)
        assert len(estate.starts) - before > 20 * 3  # suppression stops the telling, not the watching
        estate.broken.clear()
        await sleep(40)

    await estate.run(script)
    assert estate.tape() == ["opened sw-hall.ping", "resolved sw-hall.ping"]
    suppressed = [one for one in estate.store.transitions if one.reason == "parent_down"]
    assert len(suppressed) == len(HALLS)
    assert {one.cause for one in suppressed} == {"sw-hall"}
    assert not list(estate.pipeline.cases)


async def test_the_cause_is_named_as_far_up_as_it_goes() -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("core")
        await sleep(60)

    await estate.run(script)
    assert estate.tape() == ["opened core.ping"]
    assert {one.cause for one in estate.pipeline.cases.untold} == {"core"}


async def test_a_terminal_that_stays_broken_after_its_switch_is_back_is_told_then() -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken |= {"sw-hall", "hall-07"}
        await sleep(60)
        estate.broken.discard("sw-hall")
        await sleep(40)
        estate.broken.clear()
        await sleep(20)

    await estate.run(script)
    assert estate.tape() == [
        "opened sw-hall.ping",
        "resolved sw-hall.ping",
        "opened hall-07.ping",
        "resolved hall-07.ping",
    ]


async def test_a_second_cause_below_the_first_is_told_when_the_first_is_gone() -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS[:3]))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken |= {"core", "sw-hall"}
        await sleep(60)
        estate.broken.discard("core")
        await sleep(60)
        estate.broken.clear()
        await sleep(40)

    await estate.run(script)
    assert estate.tape() == [
        "opened core.ping",
        "resolved core.ping",
        "opened sw-hall.ping",
        "resolved sw-hall.ping",
    ]


async def test_a_redundant_uplink_that_carries_leaves_the_fault_the_targets_own() -> None:
    second = target("sw-b", "core", kind="switch")
    server = target("server", "sw-hall", "sw-b")
    estate = Estate(check(CORE), check(HALL), check(second), check(server))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken |= {"sw-hall", "server"}
        await sleep(60)

    await estate.run(script)
    assert sorted(estate.tape()) == ["opened server.ping", "opened sw-hall.ping"]


async def test_other_checks_of_a_dead_target_are_not_told() -> None:
    server = target("server")
    estate = Estate(check(server), check(server, "web"), check(server, "ssh"))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("server")
        await sleep(60)

    await estate.run(script)
    assert estate.tape() == ["opened server.ping"]


async def test_our_own_blindness_is_one_message_and_never_the_targets() -> None:
    halls = [target(f"hall-{n:02}") for n in range(1, 61)]
    estate = Estate(*(check(one) for one in halls))

    async def script(estate: Estate) -> None:
        estate.blind |= set(estate.targets)
        await sleep(120)
        estate.blind.clear()
        await sleep(30)

    await estate.run(script)
    subject = "vantage/centre/script/no_privilege"
    assert estate.tape() == [f"opened {subject}", f"resolved {subject}"]


async def test_a_restart_loses_no_recovery_and_raises_no_alarm() -> None:
    checks = [check(CORE), check(HALL), *(check(one) for one in HALLS)]
    first = Estate(*checks)

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken |= {"sw-hall"}
        await sleep(60)

    await first.run(script)
    second = Estate(*checks)
    second.store, second.broken = first.store, {"sw-hall"}

    async def again(estate: Estate) -> None:
        await sleep(60)
        assert estate.tape() == []
        estate.broken.clear()
        await sleep(40)

    await second.run(again, first.store.restored(0.0))
    assert second.tape() == ["resolved sw-hall.ping"]


async def test_what_mended_while_we_were_away_is_resolved() -> None:
    first = Estate(check(target("camera")))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("camera")
        await sleep(30)

    await first.run(script)
    second = Estate(check(target("camera")))

    async def again(_estate: Estate) -> None:
        await sleep(40)

    await second.run(again, first.store.restored(0.0))
    assert second.tape() == ["resolved camera.ping"]


async def test_a_removed_check_closes_its_incident_with_that_reason() -> None:
    one, other = target("camera"), target("encoder")
    estate = Estate(check(one), check(other))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("camera")
        await sleep(30)
        del estate.checks["camera.ping"]
        estate.scheduler.load(estate.checks.values(), unchanged=frozenset({"encoder.ping"}))
        estate.pipeline.swap(estate.plan())
        await sleep(30)

    await estate.run(script)
    assert estate.tape() == ["opened camera.ping", "resolved camera.ping"]
    assert estate.store.transitions[-1].reason == "check_removed"


async def test_a_retrieval_is_one_episode_with_warnings_on_the_way_to_its_breach() -> None:
    limit = Rule("retrieval", "图像调取", Selector(), RetrievalLimit(), Severity.CRITICAL, retry_interval=5.0)
    camera = target("camera")
    estate = Estate(check(camera, interval=60.0), rules=(limit,))

    async def script(estate: Estate) -> None:
        await sleep(100)
        estate.broken.add("camera")
        await sleep(500)
        estate.broken.clear()
        await sleep(100)

    await estate.run(script)
    assert [f"{event} {severity}" for _, event, _, severity in estate.told] == [
        "opened warning",
        "changed major",
        "changed critical",
        "resolved critical",
    ]
    episodes = {one.id: one for commit in estate.store.commits for one in commit.retrievals}
    slow = [one for one in episodes.values() if one.attempts > 1]
    assert len(slow) == 1
    assert slow[0].shown
    assert slow[0].stage == "exchange"
    start = slow[0].started_at - 1_767_225_600.0
    opened, major, breach = (at for at, event, *_ in estate.told[:3])
    assert opened == pytest.approx(start + 180, abs=2)
    assert major == pytest.approx(start + 240, abs=2)
    assert breach == pytest.approx(start + 300, abs=2)


async def test_hysteresis_asks_for_several_good_results() -> None:
    rule = replace(DOWN, predicate=Down(failures=2, of=3, recover=3))
    estate = Estate(check(target("camera")), rules=(rule,))

    async def script(estate: Estate) -> None:
        await sleep(35)
        for _ in range(10):
            estate.broken ^= {"camera"}
            await sleep(4.5)
        estate.broken.clear()
        await sleep(60)

    await estate.run(script)
    assert estate.tape() == ["opened camera.ping", "resolved camera.ping"]


async def test_every_fault_is_told_within_the_promised_time_whenever_it_strikes() -> None:
    cameras = [target(f"camera-{n:02}") for n in range(50)]
    estate = Estate(*(check(one) for one in cameras))
    struck: dict[str, float] = {}

    async def script(estate: Estate) -> None:
        await sleep(31)
        for number, camera in enumerate(cameras):
            await sleep(0.37)
            estate.broken.add(camera.id)
            struck[f"{camera.id}.ping"] = 31 + 0.37 * (number + 1)
        await sleep(30)

    await estate.run(script)
    told = {subject: at for at, _, subject, _ in estate.told}
    assert told.keys() == struck.keys()
    # interval + retries x retry_interval + timeout, and a second for the record
    assert max(told[one] - struck[one] for one in struck) <= 10 + 2 + 2 + 1


@pytest.mark.parametrize("lasting", [1.0, 4.0, 6.0, 8.0])
@pytest.mark.parametrize("at", [35.0, 37.7, 41.2])
async def test_a_short_break_of_a_switch_is_no_fault_of_what_hangs_on_it(at: float, lasting: float) -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS))

    async def script(estate: Estate) -> None:
        await sleep(at)
        estate.broken.add("sw-hall")
        await sleep(lasting)
        estate.broken.clear()
        await sleep(60)

    await estate.run(script)
    assert not [line for line in estate.tape() if "hall-" in line.replace("sw-hall", "")]
    assert not list(estate.pipeline.cases)


async def test_a_fault_below_a_switch_that_came_back_is_told_within_the_promised_time() -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken |= {"core", "hall-07"}
        await sleep(60)
        estate.broken.discard("core")
        await sleep(60)

    await estate.run(script)
    assert estate.tape() == ["opened core.ping", "resolved core.ping", "opened hall-07.ping"]
    back, own = estate.told[1][0], estate.told[2][0]
    assert own - back <= 10 + 2 + 2 + 1


@pytest.mark.parametrize("step", [-7200.0, -1.0, 1.0, 3600.0, 7200.0])
async def test_a_clock_that_is_set_makes_no_fault(step: float) -> None:
    limit = Rule("retrieval", "图像调取", Selector(), RetrievalLimit(), Severity.CRITICAL, retry_interval=5.0)
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS), rules=(DOWN, limit))

    async def script(estate: Estate) -> None:
        await sleep(60)
        estate.clock.set_by = step
        await sleep(60)
        assert estate.tape() == []
        before = len(estate.starts)
        await sleep(60)
        assert len(estate.starts) - before <= 22 * 6 + 22  # nothing is asked over and over

    await estate.run(script)
    assert estate.tape() == []
    assert all(one.elapsed(0) < 1 for commit in estate.store.commits for one in commit.retrievals)


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
@pytest.mark.parametrize("when", [2.5, 30.0])
async def test_a_clock_that_is_set_in_a_fault_hides_and_ends_nothing(step: float, when: float) -> None:
    limit = Rule("retrieval", "图像调取", Selector(), RetrievalLimit(), Severity.CRITICAL, retry_interval=5.0)
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS[:3]), rules=(DOWN, limit))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken |= {"sw-hall", "hall-02"}
        await sleep(when)
        estate.clock.set_by = step
        await sleep(60 - when)
        estate.broken.discard("sw-hall")
        await sleep(30)
        estate.broken.clear()
        await sleep(30)

    await estate.run(script)
    assert estate.tape() == [
        "opened sw-hall.ping",
        "resolved sw-hall.ping",
        "opened hall-02.ping",
        "resolved hall-02.ping",
    ]
    assert not list(estate.pipeline.cases)
    for commit in estate.store.commits:
        assert all(one.resolved_at is None or one.resolved_at >= one.began_at for one in commit.incidents)
        assert all(0 <= one.elapsed(0) < 120 for one in commit.retrievals if one.ended_at)


async def test_a_lost_packet_of_a_switch_delays_and_invents_nothing() -> None:
    estate = Estate(check(CORE), check(HALL), *(check(one) for one in HALLS[:3]))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("hall-01")
        for _ in range(10):
            await sleep(2.9)
            estate.broken.add("sw-hall")
            await sleep(0.3)
            estate.broken.discard("sw-hall")
        await sleep(30)

    await estate.run(script)
    assert estate.tape() == ["opened hall-01.ping"]


async def test_time_of_a_fault_over_a_restart_counts_as_down_and_the_gap_as_unobserved() -> None:
    first = Estate(check(target("camera")))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("camera")
        await sleep(65)

    await first.run(script)
    second = Estate(check(target("camera")))
    second.store, second.broken = first.store, {"camera"}
    await sleep(60)

    async def again(_estate: Estate) -> None:
        await sleep(100)

    await second.run(again, first.store.restored(first.clock.epoch + 100))
    found = second.seconds("camera.ping", 260)
    assert found.up + found.down + found.unknown + found.unobserved == 260
    assert 60 <= found.unobserved <= 60 + 30 + 30  # the first result of either run comes within 30 s
    assert found.down >= 160 - 10 - 30


async def test_time_in_which_we_could_not_measure_is_unknown_and_what_follows_is_down() -> None:
    estate = Estate(check(target("camera")))

    async def script(estate: Estate) -> None:
        await sleep(33)
        estate.broken.add("camera")
        while estate.snapshot.checks["camera.ping"].state != "failing":
            await sleep(0.1)
        estate.blind.add("camera")
        await sleep(27)
        estate.blind.clear()
        await sleep(60)

    await estate.run(script)
    assert estate.store.statuses[-1].state == "down"
    ats = [one.at for one in estate.store.statuses]
    assert ats == sorted(ats)
    assert estate.seconds("camera.ping", 120).down > 45


async def test_nobody_looks_at_what_is_removed() -> None:
    one, other = target("camera"), target("encoder")
    estate = Estate(check(one), check(other))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.reload(check(other))
        await sleep(30)
        estate.reload(check(one), replace(check(other), vantage=None))
        await sleep(35)

    await estate.run(script)
    assert estate.tape() == []
    assert [status.state for status in estate.store.statuses if status.check == "camera.ping"] == [
        "up",
        "unobserved",
        "up",
    ]
    assert [status.state for status in estate.store.statuses if status.check == "encoder.ping"] == ["up", "unobserved"]
    assert estate.seconds("camera.ping", 65).unobserved >= 30


async def test_a_changed_check_keeps_its_incident_and_proves_itself_anew() -> None:
    camera = target("camera")
    estate = Estate(check(camera), check(target("encoder")))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.broken.add("camera")
        await sleep(30)
        estate.reload(check(replace(camera, address="192.0.2.9")), check(target("encoder")))
        await sleep(30)
        assert estate.tape() == ["opened camera.ping"]
        estate.broken.clear()
        await sleep(20)

    await estate.run(script)
    assert estate.tape() == ["opened camera.ping", "resolved camera.ping"]


RETRIEVAL = Rule("retrieval", "图像调取", Selector(), RetrievalLimit(), Severity.CRITICAL, retry_interval=5.0)


async def test_only_what_retrieves_a_picture_counts_as_a_retrieval() -> None:
    platform = target("platform")
    catalog = check(platform, "catalog", interval=5.0, retrieves_picture=False)
    estate = Estate(catalog, check(platform, "play", interval=30.0), rules=(RETRIEVAL,))

    async def script(estate: Estate) -> None:
        await sleep(60)
        estate.broken.add("platform")
        await sleep(60)
        estate.broken.clear()
        await sleep(60)

    await estate.run(script)
    assert len(estate.starts) > 36 + 5  # the catalogue's alone are 36
    episodes = [one for commit in estate.store.commits for one in commit.retrievals]
    assert {one.check for one in episodes} == {"platform.play"}
    assert 1 < len({one.id for one in episodes}) <= 6  # a run each 30 s, those of the outage one episode


async def test_a_retrieval_goes_on_over_a_restart_and_is_one_breach() -> None:
    first = Estate(check(target("camera"), interval=60.0), rules=(RETRIEVAL,))

    async def script(estate: Estate) -> None:
        await sleep(60)
        estate.broken.add("camera")
        await sleep(200)

    await first.run(script)
    second = Estate(check(target("camera"), interval=60.0), rules=(RETRIEVAL,))
    second.store, second.broken = first.store, {"camera"}
    await sleep(10)

    async def again(estate: Estate) -> None:
        await sleep(200)
        estate.broken.clear()
        await sleep(30)

    await second.run(again, first.store.restored(first.clock.epoch + 260))
    episodes = {one.id: one for commit in second.store.commits for one in commit.retrievals}
    slow = [one for one in episodes.values() if one.attempts > 1]
    assert len(slow) == 1
    assert slow[0].shown
    assert slow[0].elapsed(0) > 300
    told = [f"{event} {severity}" for _, event, _, severity in (*first.told, *second.told)]
    assert told == ["opened warning", "changed major", "changed critical", "resolved critical"]


async def test_a_retrieval_of_a_check_that_went_is_given_up_for_good() -> None:
    camera, other = check(target("camera"), interval=60.0), check(target("encoder"), interval=60.0)
    first = Estate(camera, other, rules=(RETRIEVAL,))

    async def script(estate: Estate) -> None:
        await sleep(60)
        estate.broken.add("camera")
        await sleep(100)

    await first.run(script)
    second = Estate(other, rules=(RETRIEVAL,))
    second.store = first.store
    await sleep(40)

    async def again(estate: Estate) -> None:
        await sleep(500)
        estate.reload(camera, other)
        await sleep(100)

    await second.run(again, first.store.restored(first.clock.epoch + 160))
    episodes = {one.id: one for commit in second.store.commits for one in commit.retrievals}
    assert not [one for one in episodes.values() if one.ended_at is None]
    (given_up,) = [one for one in episodes.values() if not one.shown]
    assert given_up.check == "camera.ping"
    assert second.tape() == []


async def test_a_disk_that_takes_nothing_stops_no_probe_and_hides_nothing() -> None:
    estate = Estate(check(target("camera")))

    async def script(estate: Estate) -> None:
        await sleep(35)
        estate.store.failing = True
        estate.broken.add("camera")
        await sleep(30)

    await estate.run(script)
    assert [one.subject for one in estate.snapshot.incidents.values()] == ["camera.ping"]
    assert estate.snapshot.checks["camera.ping"].state == "down"
    assert estate.starts[-1][0] > 50


async def test_what_no_vantage_reaches_is_unobserved_and_told_to_nobody() -> None:
    lonely = replace(check(target("police")), vantage=None)
    estate = Estate(check(CORE), lonely)

    async def script(_estate: Estate) -> None:
        await sleep(120)

    await estate.run(script)
    view = estate.snapshot.checks["police.ping"]
    assert view.state == "unobserved"
    assert view.observation is not None
    assert view.observation.failure is not None
    assert (view.observation.failure.stage, view.observation.failure.code) == ("vantage", "no_vantage")
    assert estate.tape() == []
    assert "police" not in {name for _, name in estate.starts}
