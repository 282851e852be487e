"""Our own blindness: one verdict for each reason, never one for each target."""

from __future__ import annotations

from dataclasses import replace

from sentinel.domain.failure import Failure
from sentinel.domain.incident import Incident, Level, State, Telling, Verdict
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Severity
from sentinel.domain.target import Check
from sentinel.engine.blindness import SEVERAL, Blindness
from tests.support.estate import check, target

CHECKS = [check(target(f"hall-{n}")) for n in range(5)]


def see(blindness: Blindness, of: Check, code: str = "", at: float = 10.0) -> None:
    failure = Failure("prepare", code, f"detail of {code}") if code else None
    outcome = Outcome.OK if failure is None else (Outcome.UNKNOWN if failure.local else Outcome.FAILED)
    blindness.note(of, Observation(of.id, at, at, 0.1, "centre", outcome, failure))


def levels(blindness: Blindness) -> dict[str, Level]:
    return {subject.subject: verdict.level for subject, verdict in blindness.verdicts(99.0)}


NO_PRIVILEGE = "vantage/centre/script/no_privilege"


def test_one_accident_is_none_and_two_in_a_row_on_one_check_are() -> None:
    blindness = Blindness()
    see(blindness, CHECKS[0], "no_privilege")
    assert levels(blindness) == {NO_PRIVILEGE: Level.PENDING}
    see(blindness, CHECKS[0], "no_privilege")
    assert levels(blindness) == {NO_PRIVILEGE: Level.FIRING}


def test_several_checks_at_once_are_one_reason() -> None:
    blindness = Blindness()
    for n in range(SEVERAL):
        assert Level.FIRING not in levels(blindness).values()
        see(blindness, CHECKS[n], "no_privilege", at=20.0 + n)
    ((subject, verdict),) = blindness.verdicts(99.0)
    assert (subject.key, subject.target) == (f"blind/{NO_PRIVILEGE}", "")
    assert subject.labels["code"] == "no_privilege"
    assert (verdict.level, verdict.severity, verdict.observed) == (Level.FIRING, Severity.MAJOR, float(SEVERAL))
    assert (verdict.since, verdict.at, verdict.detail) == (20.0, 99.0, "detail of no_privilege")


def test_a_result_ends_it_whatever_it_is() -> None:
    for code in ("", "timed_out"):
        blindness = Blindness()
        see(blindness, CHECKS[0], "no_privilege")
        see(blindness, CHECKS[0], "no_privilege")
        see(blindness, CHECKS[0], code)
        assert levels(blindness) == {NO_PRIVILEGE: Level.OK}  # said once
        assert levels(blindness) == {}


def test_another_reason_is_another_verdict() -> None:
    blindness = Blindness()
    see(blindness, CHECKS[0], "no_privilege")
    see(blindness, CHECKS[0], "no_privilege")
    see(blindness, CHECKS[0], "no_resource")
    assert levels(blindness) == {NO_PRIVILEGE: Level.OK, "vantage/centre/script/no_resource": Level.PENDING}


def test_an_accident_between_good_results_never_adds_up() -> None:
    blindness = Blindness()
    for _ in range(10):
        see(blindness, CHECKS[0], "overloaded")
        see(blindness, CHECKS[0])
        assert Level.FIRING not in levels(blindness).values()


def test_a_check_that_went_is_forgotten() -> None:
    blindness = Blindness()
    for _ in range(2):
        see(blindness, CHECKS[0], "no_privilege")
    blindness.forget(CHECKS[0].id)
    blindness.forget("nobody")
    assert levels(blindness) == {NO_PRIVILEGE: Level.OK}


def incident(rule: str, subject: str) -> Incident:
    verdict = Verdict(Level.FIRING, Severity.MAJOR, 2.0, 1.0)
    return Incident(
        "i1", f"{rule}/{subject}", rule, subject, "", "", {}, Severity.MAJOR, State.OPEN, Telling.TOLD, 1.0, 2.0,
        verdict=verdict,
    )  # fmt: skip


def test_what_was_open_at_the_stop_ends_where_it_is_not_seen_again() -> None:
    blindness = Blindness()
    blindness.recall([incident("blind", NO_PRIVILEGE), incident("down", "hall-1.ping")])
    assert levels(blindness) == {NO_PRIVILEGE: Level.OK}
    again = Blindness()
    see(again, CHECKS[0], "no_privilege")
    see(again, CHECKS[0], "no_privilege")
    again.recall([incident("blind", NO_PRIVILEGE)])
    assert levels(again) == {NO_PRIVILEGE: Level.FIRING}


def test_a_bastion_that_is_down_is_one_verdict_for_all_protocols_of_its_zone() -> None:
    blindness = Blindness()
    for protocol in ("tcp", "http", "rtsp"):
        see(blindness, replace(check(target(protocol)), protocol=protocol), "no_tunnel")
    ((subject, verdict),) = blindness.verdicts(99.0)
    zone = CHECKS[0].target.zone
    assert subject.subject == f"vantage/centre/{zone}/no_tunnel"
    assert (verdict.level, verdict.stage, verdict.observed) == (Level.FIRING, "tunnel", 3.0)
