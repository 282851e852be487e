"""Episodes of picture retrieval."""

from dataclasses import replace

from sentinel.domain.retrieval import Retrieval, abandon, attempt
from tests.support.tapes import EVERY, results


def play(tape: str) -> list[Retrieval]:
    """Every episode that a tape leaves behind, the last one open or not."""
    found: list[Retrieval] = []
    episode: Retrieval | None = None
    for number, observation in enumerate(results(tape)):
        episode = attempt(episode, observation, new_id=f"r{number}")
        if episode is None:
            continue
        if found and found[-1].id == episode.id:
            found.pop()
        found.append(episode)
        if episode.ended_at is not None:
            episode = None
    return found


def test_a_picture_at_once_is_an_episode_of_one_attempt() -> None:
    (one,) = play(".")
    assert one == Retrieval("r0", "hall.ping", 0.0, 1.0, shown=True, attempts=1)
    assert one.elapsed(9999.0) == 1.0


def test_the_time_is_the_pictures_and_not_that_of_what_follows_it() -> None:
    (result,) = results(".")
    watched = replace(result, took=14.0, values={"picture_seconds": 0.4})
    one = attempt(None, watched, new_id="r")
    assert one is not None
    assert (one.elapsed(0.0), one.quick) == (0.4, True)
    longer = attempt(None, replace(watched, values={"picture_seconds": 99.0}), new_id="r")
    assert longer is not None
    assert longer.elapsed(0.0) == 14.0  # no longer than the run itself


def test_attempts_belong_together_until_a_picture_is_shown() -> None:
    first, second = play("xxx..")
    assert (first.id, first.attempts, first.shown) == ("r0", 4, True)
    assert first.elapsed(0.0) == 3 * EVERY + 1
    assert (first.stage, first.code) == ("connect", "refused")  # what it was that took so long
    assert (second.id, second.attempts, second.code) == ("r4", 1, "")


def test_what_we_could_not_measure_is_no_attempt() -> None:
    assert play("??") == []
    (one,) = play("?x??.")
    assert (one.id, one.attempts, one.started_at) == ("r1", 2, EVERY)


def test_while_it_is_open_it_grows_older() -> None:
    (one,) = play("xx")
    assert one.ended_at is None
    assert one.elapsed(60.0) == 60.0


def test_given_up_is_ended_and_not_shown() -> None:
    (one,) = play("x")
    ended = abandon(one, 45.0)
    assert (ended.ended_at, ended.shown, ended.elapsed(100.0)) == (45.0, False, 45.0)


def test_no_episode_lasts_less_than_nothing_though_the_clock_was_put_back() -> None:
    (one,) = play("x")
    assert one.elapsed(-7200.0) == 0.0
    assert abandon(one, -7200.0).elapsed(0.0) == 0.0
