"""What the pipeline learns from, and what it does with a baseline that comes and goes."""

from typing import Any

from sentinel.domain.baseline import Usual, hour_of
from sentinel.domain.failure import Failure
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Down, Rule, Selector, Severity, Threshold
from tests.support.estate import Estate, check, target

DOWN = Rule("down", "不可用", Selector(), Down(failures=2, of=3, recover=2), Severity.MAJOR)
ODD = Rule("odd", "异常", Selector(), Threshold("luma", deviates=4.0, floor=0.1), Severity.MAJOR)
NAME = "cam.ping"


class Camera:
    """An estate of one check whose results a test hands in."""

    def __init__(self, *rules: Rule, **usual: Usual) -> None:
        self.estate = Estate(check(target("cam"), interval=3600.0), rules=rules)
        self.estate.learned = {NAME: frozenset({"luma"})}
        if usual:
            self.know(**usual)

    def know(self, **usual: Usual) -> None:
        hour = hour_of(self.estate.clock.epoch)
        self.estate.baselines = {NAME: {value: {hour: one} for value, one in usual.items()}}

    def see(self, at: float, *, failed: bool = False, **more: Any) -> None:
        now = self.estate.clock.epoch + at
        values = more.pop("values", {"luma": 0.5, "other": 1.0})
        failure = Failure("connect", "refused") if failed else None
        outcome = Outcome.FAILED if failed else Outcome.OK
        self.estate.pipeline.accept(Observation(NAME, now, now, 0.0, "centre", outcome, failure, values=values, **more))

    @property
    def learned(self) -> list[float]:
        epoch = self.estate.clock.epoch
        return [at - epoch for _, at, _ in self.estate.store.sampled]


async def run(camera: Camera, script: Any) -> None:
    async def played(_estate: Estate) -> None:
        script()

    await camera.estate.run(played)


async def test_only_good_results_are_learned_from_and_none_while_something_is_wrong() -> None:
    camera = Camera(DOWN)

    def script() -> None:
        for at, failed in enumerate([False, False, True, True, False, False, False]):
            camera.see(at, failed=failed)

    await run(camera, script)
    # At 4 the first good one: not over before the second, at 5.
    assert camera.learned == [0, 1, 5, 6]
    assert camera.estate.store.sampled[0][2] == {"luma": 0.5}


async def test_what_a_threshold_is_against_is_not_learned() -> None:
    camera = Camera(Rule("dark", "暗", Selector(), Threshold("luma", below=0.3, failures=2, of=2), Severity.MAJOR))

    def script() -> None:
        for at, luma in enumerate([0.5, 0.1, 0.1, 0.5]):
            camera.see(at, values={"luma": luma})

    await run(camera, script)
    assert camera.learned == [0, 3]


async def test_reports_that_nobody_asked_for_are_not_learned_from() -> None:
    camera = Camera(DOWN)
    await run(camera, lambda: camera.see(1, passive=True))
    assert camera.learned == []


async def test_a_baseline_comes_and_goes_with_a_reload() -> None:
    camera = Camera(ODD)
    told: list[list[str]] = []

    def script() -> None:
        camera.see(0)
        told.append(camera.estate.tape())
        camera.know(luma=Usual(5.0, 0.1))
        camera.estate.reload(*camera.estate.checks.values())
        camera.see(1)
        told.append(camera.estate.tape())
        camera.estate.baselines = {}
        camera.estate.reload(*camera.estate.checks.values())
        told.append(camera.estate.tape())

    await run(camera, script)
    assert told == [[], ["opened cam.ping"], ["opened cam.ping", "resolved cam.ping"]]
    assert camera.estate.store.transitions[-1].reason == "rule_removed"
    assert camera.learned == [0]
