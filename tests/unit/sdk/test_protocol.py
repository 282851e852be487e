"""A run: stages that are timed, failures that name their stage, values that are declared."""

import asyncio
import time

import pytest
from pydantic import Field, ValidationError

from sentinel.domain.target import Target
from sentinel.sdk.channel import ChannelOptions
from sentinel.sdk.protocol import Options, ProbeFailed, Protocol, Run, Value


def new_run(seconds: float = 5.0) -> Run:
    return Run(time.monotonic() + seconds)


def test_a_stage_is_timed_and_its_times_add_up() -> None:
    run = new_run()
    for _ in range(2):
        with run.stage("exchange"):
            time.sleep(0.005)
    assert run.stages["exchange"] >= 0.01
    assert run.current == "probe"


def test_what_the_network_raises_is_a_failure_of_the_stage() -> None:
    run = new_run()
    with pytest.raises(ProbeFailed) as caught, run.stage("connect"):
        raise ConnectionRefusedError
    assert (caught.value.failure.stage, caught.value.failure.code) == ("connect", "refused")
    assert "connect" in run.stages
    assert str(caught.value).startswith("connect: refused")


def test_a_defect_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), new_run().stage("connect"):
        raise ZeroDivisionError


async def test_a_deadline_finds_the_stage_that_it_struck() -> None:
    run = new_run()

    async def stall() -> None:
        async with asyncio.timeout(0.01):
            with run.stage("connect"), run.stage("tls"):
                await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        await stall()
    assert run.current == "tls"


def test_a_failure_is_said_of_the_current_stage_or_another() -> None:
    run = new_run()
    with pytest.raises(ProbeFailed) as caught, run.stage("expect"):
        run.fail("mismatch", "x" * 1000)
    assert (caught.value.failure.stage, len(caught.value.failure.detail)) == ("expect", 500)
    with pytest.raises(ProbeFailed, match=r"^login: unauthorized$"):
        run.fail("unauthorized", stage="login")


def test_a_code_that_is_not_on_the_list_is_a_defect() -> None:
    with pytest.raises(ValueError, match="unknown code"):
        new_run().fail("broken")


def test_what_is_left_is_never_negative() -> None:
    assert 4 < new_run().left <= 5
    assert new_run(-1).left == 0


class PingOptions(Options):
    """Options of the protocol below."""

    items: tuple[str, ...] = Field(default=(), description="Items.")


async def probe(target: Target, options: PingOptions, run: Run) -> None:
    """Measure nothing."""


def test_a_protocol_declares_what_it_measures_and_says_what_it_is() -> None:
    fixed = Value("rtt_seconds", "s", "Round trip.")
    protocol = Protocol(
        "ping",
        PingOptions,
        probe,
        values=(fixed,),
        values_of=lambda options: tuple(Value(name, "", "An item.") for name in options.items),
    )
    assert protocol.declared(PingOptions()) == (fixed,)
    assert [value.name for value in protocol.declared(PingOptions(items=("a", "b")))] == ["rtt_seconds", "a", "b"]
    assert protocol.summary == "A run: stages that are timed, failures that name their stage, values that are declared."


@pytest.mark.parametrize("base", [Options, ChannelOptions])
def test_an_option_that_nobody_knows_is_refused_and_not_repeated(base: type[Options] | type[ChannelOptions]) -> None:
    with pytest.raises(ValidationError) as caught:
        base.model_validate({"pasword": "s3cret"})
    assert "pasword" in str(caught.value)
    assert "s3cret" not in str(caught.value)
