"""pjlink against the lab's projector, which aiopjlink vouches for, and against devices that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiopjlink import PJLink, PJLinkERR3, PJLinkPassword  # type: ignore[import-untyped]  # it ships without types
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.lab.authority import Authority
from sentinel.lab.servers.pjlink import DISPLAY_OFF, LAMP_FAILED, SIMULATION, Projector
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Service
from sentinel.protocols.pjlink import PROTOCOL, PjlinkOptions
from tests.support.fixtures import StartHostile
from tests.support.hostile import Manner
from tests.support.ports import free_port
from tests.support.probing import measure, target

HOST = "127.0.0.1"
PASSWORD = "JBMIAProjectorLink"
SIGNATURE = "5d8409bc1c3fa39749434aa3a5c38682"
"""The standard's own example (Class 1, 5.2): the random number 498e4a67 with that password."""
NO_AUTHORITY = cast("Authority", None)  # it signs for TLS, which PJLink has none of


@asynccontextmanager
async def projector(*faults: str, **options: Any) -> AsyncIterator[int]:
    """The lab's projector as the lab runs it; its port."""
    port = free_port(HOST)
    model = PjlinkOptions.model_validate({"port": port, **options})
    check = Check("p.link", "link", target(HOST, name="大屏投影机"), "pjlink", "pjlink", model, 30.0, 5.0, None)
    service = Service(SIMULATION, "tcp", HOST, port, (check,))
    server = OverTcp(service, Projector(service, []), NO_AUTHORITY)
    await server.open()
    await server.show(frozenset(faults))
    try:
        yield port
    finally:
        await server.close()


@asynccontextmanager
async def device(answer: Callable[[str], str], greeting: str = "PJLINK 0\r") -> AsyncIterator[tuple[int, list[str]]]:
    """A device that answers a question as told; its port and the questions."""
    asked: list[str] = []
    served: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served[task] = writer
        try:
            writer.write(greeting.encode())
            while True:
                asked.append((await reader.readuntil(b"\r")).decode().strip())
                writer.write(answer(asked[-1]).encode())
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        try:
            yield server.sockets[0].getsockname()[1], asked
        finally:
            for writer in served.values():
                writer.transport.abort()
            await asyncio.gather(*served)


async def look(port: int, seconds: float = 5.0, memory: dict[str, Any] | None = None, **options: Any) -> Measurement:
    return await measure(PROTOCOL, target(HOST), {"port": port, **options}, seconds, memory=memory)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


def class_1(question: str) -> str:
    """An old projector: one lamp, no class 2, no filter, and a line feed that does not belong there."""
    answers = {
        "POWR": "3",
        "ERST": "000100",
        "INPT": "1Z",
        "AVMT": "21",
        "LAMP": "99999 1",
        "CLSS": "1",
        "NAME": "",
        "INF1": "ACME",
    }
    command = question.removeprefix(SIGNATURE)[2:6]
    return f"%1{command}={answers.get(command, 'ERR1')}\r\n"


# The lab's projector


@pytest.mark.parametrize("password", [None, PASSWORD])
async def test_an_independent_client_reads_the_same_as_we_do(password: str | None) -> None:
    options: dict[str, Any] = {"password": password} if password else {}
    async with projector(LAMP_FAILED, **options) as port:
        measured = await look(port, **options)
        async with PJLink(HOST, port=port, password=password) as link:
            power, (kind, index) = await link.power.get(), await link.sources.get()
            video, audio = await link.mute.status()
            errors, lamps = await link.errors.query(), await link.lamps.status()
            texts = await link.info.table()
            more = await link.freeze.get(), await link.filter.hours(), await link.sources.resolution()
    assert measured.failure is None, measured.failure
    values, facts = measured.values, measured.facts
    assert values["power"] == int(power.value) == 1
    assert (facts["input"], values["input_type"]) == (f"{kind.value}{index} DIGITAL {index}", 3)
    assert (values["video_muted"], values["audio_muted"]) == (video, audio) == (0, 0)
    told = {
        f"error:{'temperature' if part.name == 'TEMP' else part.name.lower()}": int(level.value)
        for part, level in errors.items()
    }
    assert told == {name: value for name, value in values.items() if name.startswith("error:")}
    assert (values["error:lamp"], values["error:temperature"], values["error:fan"]) == (2, 1, 0)
    assert [(values[f"lamp_hours:{n}"], values[f"lamp_on:{n}"]) for n in (1, 2)] == [
        (hours, float(state.value)) for hours, state in lamps
    ]
    assert (facts["manufacturer"], facts["product"], facts["name"]) == ("Sentinel", "Lab projector", "大屏投影机")
    assert {facts["serial"], facts["version"], facts["name"]} <= set(map(str, texts.values()))
    assert (values["frozen"], values["filter_hours"], facts["resolution"]) == (0, 321, "1920x1080")
    assert more[:2] == (False, 321)
    assert facts["authentication"] == ("md5" if password else "none")
    assert "password" not in str(measured).lower().replace("password=none", "")


async def test_a_wrong_password_and_none_are_unauthorized() -> None:
    async with projector(password=PASSWORD) as port:
        wrong, none = await look(port, password="another"), await look(port)
        client = PJLink(HOST, port=port, password="another")
        with pytest.raises(PJLinkPassword):
            await client.__aenter__()
        await client.__aexit__(None, None, None)  # it leaves the connection open where it was refused
    assert cause(wrong.failure) == cause(none.failure) == ("login", "unauthorized")
    assert "another" not in str(wrong)


async def test_a_password_that_is_not_wanted_does_no_harm() -> None:
    async with projector() as port:
        assert (await look(port, password=PASSWORD)).failure is None


async def test_in_standby_it_answers_and_says_what_it_cannot() -> None:
    memory: dict[str, Any] = {}
    async with projector(DISPLAY_OFF, expect_input="32") as port:
        measured = await look(port, memory=memory, expect_input="32")
        async with PJLink(HOST, port=port) as link:
            with pytest.raises(PJLinkERR3):
                await link.sources.get()
    assert measured.failure is None  # whether it has to be on is a rule's matter
    assert measured.values["power"] == 0
    assert measured.values["unavailable"] == 4
    assert "input_type" not in measured.values
    assert memory == {}  # what it could not say now is asked for at once again


async def test_another_input_is_a_mismatch_while_it_is_on() -> None:
    async with projector(expect_input="32") as port:
        assert (await look(port, expect_input="32")).failure is None
        measured = await look(port, expect_input="31")
    assert cause(measured.failure) == ("expect", "mismatch")
    assert "32 DIGITAL 2" in str(measured.failure)


# Other devices


async def test_a_class_1_device_is_asked_what_it_knows_and_what_lasts_is_asked_once() -> None:
    memory: dict[str, Any] = {}
    async with device(class_1) as (port, asked):
        first = await look(port, memory=memory)
        before = len(asked)
        second = await look(port, memory=memory)
    assert first.failure is None, first.failure
    assert first.facts["input"] == "1Z RGB Z"
    assert first.values == second.values
    assert first.facts == second.facts
    assert (first.values["video_muted"], first.values["audio_muted"]) == (0, 1)
    assert first.values["error:cover"] == 1
    assert first.values["lamp_hours:1"] == 99_999
    assert "name" not in first.facts
    assert not any(question.startswith("%2") for question in asked)
    assert [question[2:6] for question in asked[before:]] == ["POWR", "ERST", "INPT", "AVMT", "LAMP"]


@pytest.mark.parametrize(
    ("refusal", "values"),
    [("ERR3", {"unavailable": 10.0, "device_failure": 0.0}), ("err4", {"unavailable": 0.0, "device_failure": 1.0})],
)
async def test_a_device_that_is_busy_or_faulty_has_answered(refusal: str, values: dict[str, float]) -> None:
    async with device(lambda question: f"{question[:6]}={refusal}\r") as (port, _):
        measured = await look(port)
    assert measured.failure is None
    assert measured.values == values


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("%1POWR=ERR1\r", ("query", "unsupported")),
        ("%1POWR=ERR2\r", ("query", "unsupported")),
        ("%1POWR=9\r", ("query", "protocol_error")),
        ("%1POWR=\r", ("query", "protocol_error")),
        ("%1INPT=11\r", ("query", "protocol_error")),
        ("HTTP/1.1 400 Bad Request\r", ("query", "protocol_error")),
        ("PJLINK ERRA\r", ("login", "unauthorized")),
        ("%1POWR=" + "1" * 2_000, ("query", "too_large")),
    ],
)
async def test_an_answer_that_will_not_do_has_its_code(answer: str, expected: tuple[str, str]) -> None:
    async with device(lambda _: answer) as (port, _):
        measured = await look(port)
    assert cause(measured.failure) == expected


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("ERST", "00000"),
        ("ERST", "000003"),
        ("INPT", "01"),
        ("AVMT", "41"),
        ("LAMP", "1 2"),
        ("LAMP", "1 1 " * 8 + "1 1"),
        ("LAMP", "9" * 30 + " 1"),
        ("FREZ", "2"),
        ("IRES", "1920*1080"),
        ("FILT", "-1"),
    ],
)
async def test_a_reading_that_makes_no_sense_is_told(command: str, answer: str) -> None:
    def say(question: str) -> str:
        told = {command: answer, "POWR": "1", "CLSS": "2"}.get(question[2:6], "ERR1")
        return f"{question[:6]}={told}\r"

    async with device(say) as (port, _):
        measured = await look(port)
    assert cause(measured.failure) == ("query", "protocol_error")
    assert command in str(measured.failure)


@pytest.mark.parametrize(("size", "signal"), [("-", 0), ("*", 1), ("3840x2160", 1)])
async def test_an_input_without_a_signal_is_seen(size: str, signal: float) -> None:
    def say(question: str) -> str:
        return f"{question[:6]}={ {'POWR': '1', 'CLSS': '2', 'IRES': size}.get(question[2:6], 'ERR1') }\r"

    async with device(say) as (port, _):
        assert (await look(port)).values["signal"] == signal


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [
        ("PJLINK 1 498e4a67\r", ("login", "unauthorized")),
        ("PJLINK ERRA\r", ("login", "unauthorized")),
        ("PJLINK 2\r", ("banner", "protocol_error")),
        ("PJLINK 1 \r", ("banner", "protocol_error")),
        ("SSH-2.0-OpenSSH\r\n", ("banner", "protocol_error")),
        ("x" * 2_000, ("banner", "too_large")),
        ("PJLINK", ("banner", "timed_out")),
    ],
)
async def test_a_greeting_that_will_not_do_has_its_code(greeting: str, expected: tuple[str, str]) -> None:
    async with device(class_1, greeting) as (port, _):
        measured = await look(port, 0.5)
    assert cause(measured.failure) == expected


async def test_the_digest_is_the_standards_own_example() -> None:
    async with device(class_1, "PJLINK 1 498e4a67\r") as (port, asked):
        assert (await look(port, password=PASSWORD)).failure is None
    assert asked[0] == f"{SIGNATURE}%1POWR ?"
    assert asked[1].startswith("%1")


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("hang", ("banner", "timed_out")),
        ("drip", ("banner", "timed_out")),
        ("endless", ("banner", "too_large")),
        ("reset", ("banner", "reset")),
        ("close", ("banner", "closed")),
        ("refuse", ("connect", "refused")),
    ],
)
async def test_a_hostile_peer_has_its_code_and_no_connection_left(
    hostile: StartHostile, manner: Manner, expected: tuple[str, str]
) -> None:
    server = await hostile(manner, text=b"x" * 400 if manner == "drip" else b"endless " * 100)
    measured = await look(server.port, 0.5)
    assert cause(measured.failure) == expected
    assert measured.took < 2
    async with asyncio.timeout(2):
        await server.all_closed()


async def test_garbage_is_no_greeting(hostile: StartHostile) -> None:
    measured = await look((await hostile("garbage")).port, 0.5)
    assert measured.failure is not None
    assert measured.failure.code in {"protocol_error", "too_large"}  # it may hold a line's end by chance


@pytest.mark.parametrize("options", [{"port": 0}, {"password": ""}, {"password": "x" * 33}, {"expect_input": "71"}])
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PjlinkOptions.model_validate(options)
