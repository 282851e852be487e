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
