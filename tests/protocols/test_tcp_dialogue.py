"""tcp: dialogues with Redis and memcached, and with peers that say too much, too little, or too late."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.tcp import PROTOCOL, TcpOptions
from tests.support.fixtures import NewFolder, StartHostile
from tests.support.hostile import Manner
from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.process import accepts, running

HOST = "127.0.0.1"
PASSWORD = "s3cret-of-redis"

LOG_IN: list[dict[str, Any]] = [
    {"name": "ping", "send": "PING\r\n", "expect": "-NOAUTH"},
    {"name": "login", "send": "AUTH {password}\r\n", "expect_matches": r"^\+OK", "error_matches": "^-"},
    {
        "name": "memory",
        "send": "INFO memory\r\n",
        "numbers": {
            "used_megabytes": {"matches": "^used_memory:([0-9]+)", "unit": "MB", "scale": 1e-6},
            "evicting": {"matches": "^maxmemory_policy:([a-z]+)", "words": {"noeviction": 0}},
        },
    },
    {"name": "server", "send": "INFO server\r\n", "facts": {"version": "^redis_version:([0-9.]+)"}},
    {"name": "alive", "send": "PING\r\n", "expect": "+PONG"},
]


@pytest.fixture(scope="module")
def redis(new_folder: NewFolder) -> Iterator[int]:
    folder, port = new_folder("redis"), free_port(HOST)
    options = {"port": str(port), "bind": HOST, "save": "", "requirepass": PASSWORD, "dir": str(folder)}
    command = [require("redis"), *(word for name, value in options.items() for word in (f"--{name}", value))]
    with running(command, ready=lambda: accepts(HOST, port), log=folder / "redis.log"):
        yield port


@pytest.fixture(scope="module")
def memcached(new_folder: NewFolder) -> Iterator[int]:
    folder, port = new_folder("memcached"), free_port(HOST)
    command = [require("memcached"), "-u", "root", "-l", HOST, "-p", str(port), "-U", "0"]
    with running(command, ready=lambda: accepts(HOST, port), log=folder / "memcached.log"):
        yield port


@asynccontextmanager
async def saying(*answers: bytes, greeting: bytes = b"", endless: bytes = b"") -> AsyncIterator[tuple[int, list[str]]]:
    """A control host: an answer a request, then silence; its port, and what happened to it."""
    events: list[str] = []
    served: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served[task] = writer
        with contextlib.suppress(OSError):
            writer.write(greeting)
            for answer in answers:
                if not (said := await reader.read(1000)):
                    break
                events.append(said.decode())
                for byte in answer:  # one at a time: half an answer must not be taken for a whole one
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
            while endless:
                writer.write(endless)
                await writer.drain()
            while said := await reader.read(1000):
                events.append(said.decode())
            events.append("end")
        writer.transport.abort()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        try:
            yield server.sockets[0].getsockname()[1], events
        finally:
            for writer in served.values():
                writer.transport.abort()
            await asyncio.gather(*served)


async def talk(port: int, *steps: dict[str, Any], seconds: float = 5.0, **more: Any) -> Measurement:
    return await measure(PROTOCOL, target(), {"port": port, "dialogue": list(steps), **more}, seconds)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def test_it_logs_in_to_redis_and_takes_numbers(redis: int) -> None:
    measured = await talk(redis, *LOG_IN, secrets={"password": PASSWORD})
    assert measured.failure is None, measured.failure
    assert 0.1 < measured.values["used_megabytes"] < 100
    assert measured.values["evicting"] == 0
    assert measured.facts["version"].count(".") == 2
    assert {f"step_seconds:{step['name']}" for step in LOG_IN} <= set(measured.values)
    assert set(measured.stages) == {"connect", "send", "exchange"}
    assert "step" not in measured.facts


async def test_a_refused_login_names_the_step_and_shows_no_secret(redis: int) -> None:
    measured = await talk(redis, *LOG_IN, secrets={"password": "wrong-password"})
    assert cause(measured.failure) == ("exchange", "mismatch")
    assert measured.failure is not None
    assert measured.failure.detail.startswith("step login: the peer says no: '-WRONGPASS")
    assert measured.facts["step"] == "login"
    assert "wrong-password" not in str(measured)


async def test_memcached_tells_its_version_and_its_load(memcached: int) -> None:
    stats = {
        "send": "stats\r\n",
        "expect": "END",
        "numbers": {"connections": {"matches": "^STAT curr_connections ([0-9]+)"}},
        "error_matches": "^(CLIENT_)?ERROR",
    }
    version = {"send_hex": b"version\r\n".hex(), "facts": {"version": "^VERSION ([0-9.]+)"}}
    measured = await talk(memcached, version, stats)
    assert measured.failure is None, measured.failure
    assert measured.values["connections"] >= 1
    assert measured.facts["version"].startswith("1.")
    assert {"step_seconds:1", "step_seconds:2"} <= set(measured.values)
    refused = await talk(memcached, {"send": "stts\r\n", "expect": "END", "error_matches": "^ERROR"})
    assert cause(refused.failure) == ("exchange", "mismatch")


def test_numbers_are_declared_with_their_unit() -> None:
    options = TcpOptions.model_validate({"port": 1, "dialogue": LOG_IN, "secrets": {"password": "x"}})
    declared = {value.name: value for value in PROTOCOL.declared(options)}
    assert declared["used_megabytes"].unit == "MB"
    assert declared["evicting"].description == "Number in the answer to step memory."


async def test_half_an_answer_is_no_answer_and_what_is_left_belongs_to_the_next_step() -> None:
    steps: list[dict[str, Any]] = [
        {"expect": "welcome"},
        {"expect_matches": "^ready$"},
        {"send": "T?\r", "numbers": {"celsius": {"matches": "T=([-0-9.]+)", "scale": 0.1}}},
        {"send": "P?\r", "numbers": {"power": {"matches": "^P=(.*)$", "words": {"ON": 1, "OFF": 0}}}},
        {"send_hex": "05", "expect_hex": "06 07"},
        {"send": "x", "line_end": "", "expect_matches": "name> $"},
    ]
    answers = (b"T=-235\r\r", b"P=ON\r", b"\x00\x06\x07", b"your name> ")
    async with saying(*answers, greeting=b"welcome\rready\r") as (port, events):
        measured = await talk(port, *steps, line_end="\r")
    assert measured.failure is None, measured.failure
    assert measured.values["celsius"] == pytest.approx(-23.5)
    assert measured.values["power"] == 1
    assert events == ["T?\r", "P?\r", "\x05", "x", "end"]  # the end was told, not a reset


async def test_a_step_may_only_say_something() -> None:
    async with saying(b"", b"ok\n") as (port, events):
        measured = await talk(port, {"send": "quiet\n"}, {"send": "", "expect": "ok", "timeout": 0.3})
    assert cause(measured.failure) == ("exchange", "timed_out")
    assert "step 2: no answer within 0.3" in str(measured.failure)
    assert events[0] == "quiet\n"


@pytest.mark.parametrize(
    ("said", "step", "code"),
    [
        (b"T=hot\n", {"numbers": {"t": {"matches": "T=(.*)"}}}, "mismatch"),
        (b"T=nan\n", {"numbers": {"t": {"matches": "T=(.*)"}}}, "mismatch"),
        (b"\n" * 1_001, {"expect": "never"}, "too_large"),
        (b"x" * 4_096, {"expect": "never"}, "too_large"),
        (b"x" * 4_096, {"expect": "never", "line_end": ""}, "mismatch"),
        (b"E10\n", {"expect": "never", "error_matches": "^E[0-9]{2}"}, "mismatch"),
        (b"E10", {"expect": "never", "error_matches": "^E[0-9]{2}", "line_end": ""}, "mismatch"),
        (b"half a line", {"expect": "half"}, "timed_out"),
    ],
)
async def test_an_answer_that_will_not_do_has_its_code(said: bytes, step: dict[str, Any], code: str) -> None:
    async with saying(said) as (port, _):
        measured = await talk(port, {"send": "?\r\n", **step}, seconds=0.8)
    assert cause(measured.failure) == ("exchange", code)
    assert measured.failure is not None
    assert measured.failure.detail.startswith("step 1: ")
    assert len(measured.facts.get("answer", "")) <= 200


@pytest.mark.parametrize("line_end", ["\n", ""])
@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("hang", ("exchange", "timed_out")),
        ("drip", ("exchange", "timed_out")),
        ("reset", ("exchange", "reset")),
        ("close", ("exchange", "closed")),
        ("refuse", ("connect", "refused")),
    ],
)
async def test_a_hostile_peer_has_its_code_and_no_connection_left(
    hostile: StartHostile, manner: Manner, expected: tuple[str, str], line_end: str
) -> None:
    server = await hostile(manner)
    measured = await talk(server.port, {"expect": "never said"}, seconds=0.4, line_end=line_end)
    assert cause(measured.failure) == expected
    assert measured.took < 2
    async with asyncio.timeout(2):
        await server.all_closed()


@pytest.mark.parametrize("manner", ["endless", "garbage"])
async def test_what_never_makes_sense_ends_at_the_limit(hostile: StartHostile, manner: Manner) -> None:
    server = await hostile(manner)
    measured = await talk(server.port, {"expect": "never said"}, seconds=2)
    assert measured.failure is not None
    assert measured.failure.code in {"too_large", "closed"}
    assert measured.values["received_bytes"] <= 2 * 4_096


async def test_a_peer_that_never_ends_its_side_does_not_hold_us() -> None:
    async with saying(b"ok\n", endless=b"more\n" * 100) as (port, _):
        measured = await talk(port, {"send": "?\n", "expect": "ok"})
    assert measured.failure is None
    assert measured.took < 2


async def test_the_peer_may_say_goodbye() -> None:
    ends: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"ok\n")
            await reader.read()
            for _ in range(3):
                writer.write(b"bye\n")
                await writer.drain()
                await asyncio.sleep(0.02)
            ends.append("in peace")
        except OSError as error:
            ends.append(type(error).__name__)
        writer.transport.abort()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        measured = await talk(server.sockets[0].getsockname()[1], {"expect": "ok"})
        while not ends:
            await asyncio.sleep(0.01)
    assert measured.failure is None
    assert ends == ["in peace"]


async def test_a_secret_that_the_peer_echoes_is_hidden() -> None:
    async with saying(b"s3cret-word\r\n", b"no such user s3cret-word\r\n") as (port, _):
        measured = await talk(
            port,
            {"send": "{word}\r\n", "facts": {"echo": "(.*)"}},
            {"send": "?", "expect": "yes", "error_matches": "^no"},
            secrets={"word": "s3cret-word"},
        )
    assert cause(measured.failure) == ("exchange", "mismatch")
    assert measured.facts["echo"].startswith("***")
    assert "s3cret" not in str(measured)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dialogue": [{"send": "a"}], "send": "b"}, "belongs to its steps"),
        ({"dialogue": [{"send": "a"}], "banner": "b"}, "belongs to its steps"),
        ({"dialogue": [{}]}, "sends something, or expects"),
        ({"dialogue": [{"send": "a", "send_hex": "00"}]}, "exclude each other"),
        ({"dialogue": [{"expect": "a", "expect_hex": "00"}]}, "exclude each other"),
        ({"dialogue": [{"facts": {"a": "b"}, "line_end": ""}]}, "need a line_end"),
        ({"dialogue": [{"facts": {"a": "b"}}], "line_end": ""}, "need a line_end"),
        ({"dialogue": [{"expect_hex": "00", "facts": {"a": "b"}}]}, "in bytes"),
        ({"dialogue": [{"send": "{word}"}]}, "placeholder {word}"),
        ({"dialogue": [{"name": "a", "send": "x"}, {"name": "a", "send": "x"}]}, "two steps are called a"),
        ({"dialogue": [{"numbers": {"a": {"matches": "x"}}}, {"numbers": {"a": {"matches": "x"}}}]}, "two numbers"),
        ({"dialogue": [{"numbers": {"received_bytes": {"matches": "x"}}}]}, "measured anyway"),
        ({"dialogue": [{"expect_matches": "("}]}, "RE2"),
    ],
)
def test_dialogues_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TcpOptions.model_validate({"port": 1, **options})
