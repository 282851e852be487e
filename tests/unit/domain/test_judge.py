"""What rules make of rows of results; see tests/support/tapes.py for the notation."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.domain.incident import Level
from sentinel.domain.judge import Window, judge, judge_retrieval, worst
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.retrieval import Retrieval
from sentinel.domain.rule import Availability, ConferenceRate, Down, RetrievalLimit, Severity, Threshold
from tests.support.tapes import EVERY, judged, levels, measured, results, rule, verdicts

# -- down m of n ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "of", "recover", "tape", "expected"),
    [
        (1, 1, 1, "..x.x..", "oofofoo"),
        (2, 3, 1, "xx", "pf"),
        (2, 3, 1, "x.x", "ppf"),
        (2, 3, 1, "x..x", "pppp"),  # the first has left the window when the second comes
        (2, 3, 1, "x...", "pppo"),
        (2, 3, 1, "xx.x", "pfop"),  # over: what was before counts no more
        (2, 3, 1, "xx.xx", "pfopf"),
        (3, 3, 1, "xx.xxx", "pppppf"),
        (3, 5, 1, "x.x.x", "ppppf"),
        (2, 3, 2, "xx.x..", "pfpfpo"),  # one good result between bad ones ends nothing
        (2, 3, 3, "xx...", "pfppo"),
        (2, 3, 3, "xx..x...", "pfppfppo"),
        (2, 3, 1, "x?x", "p?f"),  # what we could not measure is no result
        (2, 3, 1, "xx?.", "pf?o"),
        (2, 3, 2, "xx.?.", "pfp?o"),
        (2, 3, 1, "???", "???"),
    ],
)
def test_down(failures: int, of: int, recover: int, tape: str, expected: str) -> None:
    assert judged(Down(failures, of, recover), tape) == expected


def test_a_fault_begins_at_its_first_failure_and_ends_at_the_first_good_result() -> None:
    found = verdicts(rule(Down(2, 3, 2)), results(".x.x.."))
    assert levels(found) == "oppfpo"
    assert found[3].since == EVERY + 1
    assert found[3].at == 3 * EVERY + 1
    assert found[5].since == 4 * EVERY + 1


def test_a_failure_that_left_the_window_is_not_the_beginning_of_the_next_fault() -> None:
    found = verdicts(rule(Down(2, 3)), results("x...xx"))
    assert found[-1].level is Level.FIRING
    assert found[-1].since == 4 * EVERY + 1


def test_a_verdict_bears_the_failure_and_the_severity_of_its_rule() -> None:
    failed, fine = verdicts(rule(Down(1, 1), Severity.CRITICAL), results("x."))
    assert (failed.stage, failed.code, failed.detail) == ("connect", "refused", "nobody listens")
    assert (fine.stage, fine.code, fine.detail) == ("", "", "")
    assert failed.severity is fine.severity is Severity.CRITICAL


def test_a_window_that_was_open_at_the_stop_stays_so_until_a_good_result() -> None:
    for tape, expected in (("x.", "fo"), (".", "o"), ("?x", "?f")):
        window = Window()
        window.restore(3.0)
        assert judged(Down(2, 3), tape, window) == expected
    window = Window()
    window.restore(3.0)
    assert verdicts(rule(Down(2, 3)), results("x"), window)[0].since == 3.0


def test_a_window_that_forgot_must_confirm_anew() -> None:
    window = Window()
    assert judged(Down(2, 3), "xx", window) == "pf"
    quiet = [window.quiet]
    window.forget()
    assert [*quiet, window.quiet] == [False, True]
    assert judged(Down(2, 3), "xx", window) == "pf"


@given(
    st.integers(1, 4).flatmap(lambda m: st.tuples(st.just(m), st.integers(m, 6))),
    st.integers(1, 3),
    st.text("x.?", max_size=60),
)
def test_down_does_what_its_definition_says(shape: tuple[int, int], recover: int, tape: str) -> None:
    failures, of = shape
    firing, seen, good, expected = False, "", 0, ""
    for letter in tape:
        if letter == "?":
            expected += "?"
            continue
        seen = (seen + letter)[-of:]
        good = good + 1 if letter == "." else 0
        if letter == "x":
            firing = firing or seen.count("x") >= failures
        elif firing and good >= recover:
            firing, seen = False, ""
        expected += "f" if firing and letter == "x" else ("p" if firing or "x" in seen else "o")
    assert judged(Down(failures, of, recover), tape) == expected


# -- thresholds -------------------------------------------------------------------------------------------------

HOT = Threshold("load", above=0.8, clear=0.6)


def test_above_and_below_a_limit() -> None:
    assert levels(verdicts(rule(Threshold("load", above=5)), measured([4, 5, 5.1, 5]))) == "oofo"
    assert levels(verdicts(rule(Threshold("load", below=5)), measured([6, 5, 4.9, 5]))) == "oofo"


def test_below_zero_is_a_limit_too() -> None:
    assert levels(verdicts(rule(Threshold("load", below=0)), measured([0, -1, 0]))) == "ofo"


def test_once_broken_it_is_over_only_beyond_the_clear_mark() -> None:
    found = verdicts(rule(HOT), measured([0.7, 0.9, 0.7, 0.61, 0.6, 0.7]))
    assert levels(found) == "offfoo"
    assert [verdict.limit for verdict in found] == [0.8, 0.8, 0.6, 0.6, 0.8, 0.8]


def test_a_low_limit_clears_upwards() -> None:
    days = Threshold("load", below=14, clear=30)
    assert levels(verdicts(rule(days), measured([20, 13, 20, 30, 20]))) == "offoo"


def test_a_restored_threshold_waits_for_its_clear_mark() -> None:
    window = Window()
    window.restore(1.0)
    assert levels(verdicts(rule(HOT), measured([0.7, 0.5]), window)) == "fo"


def test_m_of_n_of_a_threshold() -> None:
    assert (
        levels(verdicts(rule(Threshold("load", above=1, failures=2, of=3)), measured([2, 0, 2, 0, 0, 2]))) == "ppfoop"
    )


def test_the_worst_mark_that_holds_gives_the_severity() -> None:
    marks = Threshold("load", below=30.0, clear=40.0, severity_at=((3.0, Severity.CRITICAL), (14.0, Severity.MAJOR)))
    found = verdicts(rule(marks, Severity.WARNING), measured([50, 29, 13, 2, 20, 35, 40]))
    assert levels(found) == "offfffo"
    assert [one.severity.value for one in found[1:6]] == ["warning", "major", "critical", "warning", "warning"]
    assert [one.limit for one in found[1:6]] == [30.0, 14.0, 3.0, 30.0, 40.0]
    assert [one.observed for one in found[1:4]] == [29, 13, 2]


def test_between_the_marks_the_severity_stays_as_it_was() -> None:
    marks = Threshold("load", above=70.0, clear=60.0, severity_at=((90.0, Severity.CRITICAL),))
    found = verdicts(rule(marks, Severity.WARNING), measured([95, 65, 75, 65]))
    assert levels(found) == "ffff"
    assert [one.severity.value for one in found] == ["critical", "critical", "warning", "warning"]


def test_a_value_that_is_missing_is_unknown_and_ends_nothing() -> None:
    assert levels(verdicts(rule(HOT), measured([0.9, None, 0.7, None, 0.5]))) == "f?f?o"


def test_the_item_closest_to_breaking_counts() -> None:
    values = {"load:eth0": 1.0, "load:eth1": 3.0, "loading:eth2": 9.0, "load:eth3": 2.0}
    observation = Observation("c", 0, 0, 1, "v", Outcome.OK, values=values)
    assert worst(Threshold("load", above=0), observation) == ("load:eth1", 3.0)
    assert worst(Threshold("load", below=0), observation) == ("load:eth0", 1.0)
    assert worst(Threshold("load:eth3", above=0), observation) == ("load:eth3", 2.0)
    assert worst(Threshold("absent", above=0), observation) is None
    verdict = judge(rule(Threshold("load", above=2.5)), Window(), observation)
    assert verdict is not None
    assert (verdict.value, verdict.observed, verdict.limit) == ("load:eth1", 3.0, 2.5)


def test_the_duration_of_the_probe_and_of_a_stage() -> None:
    observation = Observation("c", 0, 0, 1.5, "v", Outcome.OK, stages={"tls": 0.4})
    assert worst(Threshold("took", above=1), observation) == ("took", 1.5)
    assert worst(Threshold("stage:tls", above=1), observation) == ("stage:tls", 0.4)
    assert worst(Threshold("stage:connect", above=1), observation) is None


def test_a_threshold_judges_good_results_only() -> None:
    failed = replace(next(results("x")), values={"load": 9.0}, stages={"tls": 9.0}, took=9.0)
    for value in ("load", "took", "stage:tls"):
        found = judge(rule(Threshold(value, above=1)), Window(), failed)  # how long it failed is no response time
        assert found is not None
        assert found.level is Level.UNKNOWN


@pytest.mark.parametrize("predicate", [RetrievalLimit(), Availability(0.99), ConferenceRate()])
def test_rules_that_do_not_speak_of_observations(predicate: RetrievalLimit | Availability | ConferenceRate) -> None:
    window = Window()
    assert judge(rule(predicate), window, next(results("x"))) is None
    assert window == Window()


# -- retrieval --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed", "level", "severity"),
    [
        (0.0, Level.PENDING, Severity.CRITICAL),
        (179.9, Level.PENDING, Severity.CRITICAL),
        (180.0, Level.FIRING, Severity.WARNING),
        (239.9, Level.FIRING, Severity.WARNING),
        (240.0, Level.FIRING, Severity.MAJOR),
        (299.9, Level.FIRING, Severity.MAJOR),
        (300.0, Level.FIRING, Severity.CRITICAL),
        (900.0, Level.FIRING, Severity.CRITICAL),
    ],
)
def test_the_age_of_an_episode_passes_its_marks(elapsed: float, level: Level, severity: Severity) -> None:
    promise = RetrievalLimit()
    episode = Retrieval("r1", "camera.rtsp", 1000.0, attempts=3, stage="describe", code="timed_out")
    verdict = judge_retrieval(rule(promise, Severity.CRITICAL), promise, episode, 1000.0 + elapsed)
    assert (verdict.level, verdict.severity) == (level, severity)
    assert (verdict.stage, verdict.code) == ("describe", "timed_out")  # the guilty stage
    assert (verdict.value, verdict.limit) == ("retrieval_seconds", 300.0)
    assert verdict.observed == pytest.approx(elapsed)
    assert verdict.since == 1000.0


@pytest.mark.parametrize("shown", [True, False])
def test_an_episode_that_has_ended_is_over_however_long_it_took(*, shown: bool) -> None:
    promise = RetrievalLimit()
    episode = Retrieval("r1", "camera.rtsp", 1000.0, ended_at=1600.0, shown=shown)
    verdict = judge_retrieval(rule(promise), promise, episode, 9999.0)
    assert verdict.level is Level.OK
    assert verdict.observed == 600.0
