"""http against peers that misbehave: each has its code, ends in time, and leaves no connection."""

import asyncio
import gzip
import socket
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import uvloop

from sentinel.domain.observation import Measurement
from sentinel.protocols.http import PROTOCOL
from tests.support.authority import Authority
from tests.support.fixtures import StartHostile, StartNginx
from tests.support.hostile import Manner, serve_tcp
from tests.support.http_peer import Server, answer, answering, ask, cause
from tests.support.probing import measure, target

MIB = 1 << 20
TCP_ESTABLISHED = 1  # linux/tcp_states.h


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("hang", ("first_byte", "timed_out")),
        ("garbage", ("transfer", "protocol_error")),
        ("drip", ("transfer", "timed_out")),
        ("endless", ("transfer", "too_large")),
        ("huge", ("transfer", "too_large")),
        ("reset", ("first_byte", "reset")),
        ("close", ("first_byte", "closed")),
        ("refuse", ("connect", "refused")),
    ],
)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_hostile_peer_has_its_code_and_no_connection_left(
    run: Callable[..., Measurement], manner: Manner, expected: tuple[str, str]
) -> None:
    async def meet() -> Measurement:
        async with serve_tcp(manner, after=None if manner in {"reset", "close"} else b"\r\n\r\n") as server:
            measured = await measure(PROTOCOL, target(), {"port": server.port}, 0.5)
            async with asyncio.timeout(2):
                await server.all_closed()
            assert server.connections == (manner != "refuse")  # aiohttp would ask again where the peer hangs up
            return measured

    measured = run(meet())
    assert cause(measured.failure) == expected
    assert measured.took < 2


async def test_a_stall_in_the_handshake_is_timed_out_there(hostile: StartHostile) -> None:
    server = await hostile("hang")
    measured = await measure(PROTOCOL, target(), {"port": server.port, "scheme": "https"}, 0.3)
    assert cause(measured.failure) == ("tls", "timed_out")
    async with asyncio.timeout(2):
        await server.all_closed()


async def test_a_peer_that_hangs_behind_tls_is_dropped_at_once(authority: Authority) -> None:
    held: list[asyncio.StreamWriter] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a server's transport reads as well
        held.append(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.valid.server_context()) as listener:
        port = listener.sockets[0].getsockname()[1]
        options = {"port": port, "scheme": "https", "tls_ca_file": str(authority.ca_file)}
        measured = await measure(PROTOCOL, target(), options, 0.5)
        assert cause(measured.failure) == ("first_byte", "timed_out")
        async with asyncio.timeout(2):  # an orderly end of TLS would wait 30 s for the peer's word
            peer = held[0].get_extra_info("socket")
            while peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED:
                await asyncio.sleep(0.01)
        held[0].transport.abort()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("certificate", "trusted", "code"),
    [("expired", "yes", "tls_expired"), ("wrong_name", "yes", "tls_wrong_name"), ("valid", "", "tls_untrusted")],
)
async def test_each_fault_of_a_certificate_has_its_code(
    nginx: StartNginx, authority: Authority, certificate: str, trusted: str, code: str
) -> None:
    port = nginx(tls=getattr(authority, certificate)).port
    options = {"scheme": "https", "port": port, "tls_ca_file": str(authority.ca_file) if trusted else None}
    assert cause((await measure(PROTOCOL, target(), options)).failure) == ("tls", code)
    measured = await measure(PROTOCOL, target(), {**options, "tls_verify": False})
    assert measured.failure is None
    assert (measured.values["certificate_days_left"] < 0) == (certificate == "expired")


async def test_the_site_of_a_name_is_verified_by_that_name(nginx: StartNginx, authority: Authority) -> None:
    options = {"scheme": "https", "port": nginx(tls="wrong_name").port, "tls_ca_file": str(authority.ca_file)}
    for name in ({"host": "elsewhere.example"}, {"tls_server_name": "elsewhere.example"}):
        assert (await measure(PROTOCOL, target(), options | name)).failure is None


async def test_plain_http_behind_a_check_for_tls_fails_the_handshake(nginx: StartNginx) -> None:
    measured = await measure(PROTOCOL, target(), {"scheme": "https", "port": nginx().port})
    assert cause(measured.failure) == ("tls", "tls_failed")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB + b"\r\n\r\n", ("transfer", "too_large")),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 10_000 + b"\r\n", ("transfer", "too_large")),
        (b"HTTP/1.1 200 " + b"x" * MIB + b"\r\n\r\n", ("transfer", "too_large")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ("transfer", "closed")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", ("transfer", "closed")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhe", ("transfer", "protocol_error")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ("transfer", "protocol_error")),
        (b"HTTP/1.1 200 OK\r\nContent-Type: te", ("transfer", "closed")),
        (b"220 mail.example ESMTP\r\n", ("transfer", "protocol_error")),
        (answer(b"x" * (MIB + 1)), ("transfer", "too_large")),
        (answer(gzip.compress(bytes(64 * MIB)), "Content-Encoding: gzip\r\n"), ("transfer", "too_large")),
        (answer(zlib.compress(bytes(64 * MIB)), "Content-Encoding: deflate\r\n"), ("transfer", "too_large")),
        (answer(gzip.compress(b"text")[:-9], "Content-Encoding: gzip\r\n"), ("transfer", "protocol_error")),
        (answer(b"no gzip", "Content-Encoding: gzip\r\n"), ("transfer", "protocol_error")),
        (answer(b"??", "Content-Encoding: br\r\n"), ("transfer", "unsupported")),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else value[1],
)
async def test_a_broken_answer_has_its_code(said: bytes, expected: tuple[str, str]) -> None:
    async with answering(said) as server:
        measured = await ask(server)
    assert cause(measured.failure) == expected
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "endless"),
    [
        ("Transfer-Encoding: chunked\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
        ("Content-Encoding: gzip\r\n", gzip.compress(b"")),
        ("Content-Encoding: gzip\r\n", gzip.compress(bytes(100_000))),
    ],
    ids=["chunks", "empty members", "full members"],
)
async def test_a_body_without_end_is_cut_at_the_limit(headers: str, endless: bytes) -> None:
    async with answering(f"HTTP/1.1 200 OK\r\n{headers}\r\n".encode(), endless=endless * 100) as server:
        measured = await ask(server, 10)
    assert cause(measured.failure) == ("transfer", "too_large")


async def test_what_is_over_the_limit_is_never_inflated() -> None:
    bomb = answer(gzip.compress(bytes(64 * MIB)), "Content-Encoding: gzip\r\n")
    async with answering(bomb) as server:
        tracemalloc.start()
        try:
            measured = await ask(server)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert cause(measured.failure) == ("transfer", "too_large")
    assert most < 8 * MIB


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    for body, headers in ((b"x" * MIB, ""), (gzip.compress(bytes(MIB)), "Content-Encoding: gzip\r\n")):
        async with answering(answer(body, headers)) as server:
            measured = await ask(server)
        assert measured.failure is None
        assert measured.values["body_bytes"] == MIB


async def test_a_peer_that_breaks_off_in_the_body_is_told_apart() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)  # the probe is in the body by now
        lingering_none = struct.pack("ii", 1, 0)  # close() sends RST then
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering_none)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        measured = await ask(Server(listener.sockets[0].getsockname()[1]))
        await asyncio.sleep(0.1)  # the peer closes too
    assert cause(measured.failure) == ("transfer", "reset")


async def test_a_chunk_that_makes_no_sense_later_on_is_no_hang() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)  # the probe is in the body by now
        writer.write(b"zz\r\nhello\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        measured = await ask(Server(listener.sockets[0].getsockname()[1]))
        await asyncio.sleep(0.1)  # the peer closes too
    assert cause(measured.failure) == ("transfer", "protocol_error")


async def test_preliminary_answers_without_end_are_timed_out() -> None:
    async with answering(b"", endless=b"HTTP/1.1 100 Continue\r\n\r\n") as server:
        measured = await ask(server, 0.3)
    assert cause(measured.failure) == ("transfer", "timed_out")


async def test_a_wrong_status_is_told_before_an_endless_body() -> None:
    async with answering(b"HTTP/1.1 500 Oops\r\n\r\n", endless=b"x" * 1000) as server:
        measured = await ask(server)
    assert cause(measured.failure) == ("expect", "bad_status")
