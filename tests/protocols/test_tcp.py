"""tcp against nginx, and against peers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.protocols.tcp import PROTOCOL, TcpOptions
from tests.support.authority import Authority
from tests.support.fixtures import StartHostile, StartNginx
from tests.support.hostile import Manner
from tests.support.probing import measure, target

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GET = "GET / HTTP/1.0\r\n\r\n"


@asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[int]:
    """A server that talks as told; its port."""
    talking: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            await talk(reader, writer)
        except OSError:
            pass  # the probe had heard enough
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
            talking.discard(task)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for task in talking:  # a probe is done sooner than whoever answers it
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def test_a_port_that_accepts_is_ok(nginx: StartNginx) -> None:
    measured = await measure(PROTOCOL, target(), {"port": nginx().port})
    assert measured.failure is None
    assert set(measured.stages) == {"connect"}
    assert measured.values == {}


@pytest.mark.parametrize(
    "expected", [{"expect": "nginx is here"}, {"expect_matches": r"^HTTP/1\.[01] 200"}, {"expect_hex": "48 54:5450"}]
)
async def test_a_request_is_answered_as_expected(nginx: StartNginx, expected: dict[str, str]) -> None:
    measured = await measure(PROTOCOL, target(), {"port": nginx().port, "send": GET, **expected})
    assert measured.failure is None
    assert set(measured.stages) == {"connect", "send", "exchange"}
    assert measured.values["received_bytes"] > 4
    assert measured.facts["answer"].startswith("HTTP/1.1 200 OK")


async def test_bytes_are_sent_as_they_are_written(nginx: StartNginx) -> None:
    options = {"port": nginx().port, "send_hex": GET.encode().hex(), "expect": "200 OK"}
    assert (await measure(PROTOCOL, target(), options)).failure is None


async def test_over_tls_the_days_left_are_measured(nginx: StartNginx, authority: Authority) -> None:
    options = {"port": nginx(tls="valid").port, "tls": True, "tls_ca_file": str(authority.ca_file)}
    measured = await measure(PROTOCOL, target(), {**options, "send": GET, "expect": "nginx is here"})
    assert measured.failure is None
    assert set(measured.stages) == {"connect", "tls", "send", "exchange"}
    assert 89 < measured.values["certificate_days_left"] <= 90
    assert measured.facts["tls"] == "TLSv1.3"


async def test_an_expired_certificate_fails_or_is_only_measured(nginx: StartNginx, authority: Authority) -> None:
    options = {"port": nginx(tls="expired").port, "tls": True, "tls_ca_file": str(authority.ca_file)}
    assert cause((await measure(PROTOCOL, target(), options)).failure) == ("tls", "tls_expired")
    measured = await measure(PROTOCOL, target(), {**options, "tls_verify": False})
    assert measured.failure is None
    assert -2.1 < measured.values["certificate_days_left"] < -1.9


async def test_the_greeting_comes_before_the_request() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        line = await reader.readline()
        writer.write(b"got " + line)
        await writer.drain()
        await reader.read()

    options = {"banner": r"^SSH-2\.0-", "send": "hello\n", "expect_matches": "got hello"}
    async with peer(talk) as port:
        measured = await measure(PROTOCOL, target(), {"port": port, **options})
    assert measured.failure is None
    assert list(measured.stages) == ["connect", "banner", "send", "exchange"]
    assert measured.values["received_bytes"] == 21 + 10


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"ready":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)
        await asyncio.sleep(10)

    async with peer(talk) as port:
        measured = await measure(PROTOCOL, target(), {"port": port, "expect": "ready"})
    assert measured.failure is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"-ERR no\r\n", ("exchange", "mismatch")),
        (b"", ("exchange", "closed")),
        (b"x" * 10_000 + b"ready", ("exchange", "mismatch")),
    ],
    ids=["another", "nothing", "past the limit"],
)
async def test_another_answer_has_its_code(said: bytes, expected: tuple[str, str]) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    async with peer(talk) as port:
        measured = await measure(PROTOCOL, target(), {"port": port, "expect": "ready"})
    assert cause(measured.failure) == expected
    assert measured.values["received_bytes"] <= 4096
    assert len(measured.facts.get("answer", "")) <= 200


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("hang", ("exchange", "timed_out")),
        ("garbage", ("exchange", "mismatch")),
        ("drip", ("exchange", "timed_out")),
        ("endless", ("exchange", "mismatch")),
        ("reset", ("exchange", "reset")),
        ("close", ("exchange", "closed")),
        ("refuse", ("connect", "refused")),
    ],
)
async def test_a_hostile_peer_has_its_code_and_no_connection_left(
    hostile: StartHostile, manner: Manner, expected: tuple[str, str]
) -> None:
    server = await hostile(manner)
    measured = await measure(PROTOCOL, target(), {"port": server.port, "expect": "never said"}, 0.5)
    assert cause(measured.failure) == expected
    assert measured.took < 2
    async with asyncio.timeout(2):
        await server.all_closed()


async def test_a_peer_that_stalls_in_the_handshake_is_timed_out_there(hostile: StartHostile) -> None:
    server = await hostile("hang")
    measured = await measure(PROTOCOL, target(), {"port": server.port, "tls": True}, 0.3)
    assert cause(measured.failure) == ("tls", "timed_out")
    async with asyncio.timeout(2):
        await server.all_closed()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"port": 0},
        {"port": 1, "send": "a", "send_hex": "61"},
        {"port": 1, "expect": "a", "expect_matches": "a"},
        {"port": 1, "expect_hex": "6"},
        {"port": 1, "expect": ""},
        {"port": 1, "banner": "("},
        {"port": 1, "max_bytes": 65_537},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TcpOptions.model_validate(options)
