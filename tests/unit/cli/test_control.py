"""Asking over the control socket: whatever answers there, a command ends with plain words."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from sentinel.cli.control import NoAnswer, ask, request

Answering = Callable[[bytes], Path]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A socket at which one connection is answered with these bytes."""
    threads: list[threading.Thread] = []
    servers: list[socket.socket] = []
    with tempfile.TemporaryDirectory() as short:  # a socket's path has 107 bytes
        path = Path(short) / "s"

        def start(answer: bytes) -> Path:
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(path))
            server.listen()
            servers.append(server)

            def serve() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                    if not answer:
                        connection.recv(1)  # until the other side gives up

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            return path

        yield start
        for thread in threads:
            thread.join(5)
        for server in servers:
            server.close()


def http(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def test_an_answer(answering: Answering) -> None:
    assert request(answering(http("409 Conflict", b'{"a": 1}')), "GET", "/", timeout=5) == (409, {"a": 1})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("500 Internal Server Error", b"{}"), "status 500"),
        (http("200 OK", b"<html>"), "another version"),
        (http("200 OK", b"[1]"), "another version"),
        (b"SSH-2.0-OpenSSH\r\n", "BadStatusLine"),
        (b"", "timed out"),
    ],
)
def test_no_answer(answering: Answering, answer: bytes, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = answering(answer)
    with pytest.raises(typer.Exit) as ended:
        ask(path, "GET", "/", timeout=0.3)
    assert ended.value.exit_code == 3
    assert said in capsys.readouterr().err


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        request(tmp_path / "none", "GET", "/", timeout=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(NoAnswer, match="Connection refused"):
        request(tmp_path / "file", "GET", "/", timeout=1)
