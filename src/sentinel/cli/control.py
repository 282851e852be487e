"""Asking the daemon that runs, over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.cli.screen import complain

TIMEOUT = 30.0
MOST = 64 * 1024 * 1024

Config = Annotated[
    Path, typer.Option(help="Configuration of the daemon; its sentinel.yaml names the socket.", metavar="DIR")
]
Socket = Annotated[
    Path | None,
    typer.Option(help="The daemon's control socket, in place of --config.", envvar="SENTINEL_SOCKET", metavar="PATH"),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


class NoAnswer(Exception):
    """No daemon answers, or none that we understand; the text says why."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def socket_of(config: Path, given: Path | None) -> Path:
    """The control socket: as given, or as ``sentinel.yaml`` says.

    Raises:
        typer.Exit: 2 where the file cannot be read.
    """
    if given is not None:
        return given
    # Only here: the models behind it take longer to load than the daemon takes to answer.
    from sentinel.config.document import Unreadable, read
    from sentinel.config.problems import Problems
    from sentinel.config.settings import read_settings

    problems = Problems()
    try:
        settings = read_settings(read(config / "sentinel.yaml"), config, problems)
    except Unreadable as error:
        complain(f"{error.position}: {error.message}; give --socket or --config")
        raise typer.Exit(2) from None
    if settings is None:
        for problem in problems.errors:
            complain(str(problem))
        raise typer.Exit(2)
    return settings.socket


def request(path: Path, method: str, route: str, *, timeout: float) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of one request.

    Raises:
        FileNotFoundError: there is no such socket.
        NoAnswer: nobody answers, or with something else than a JSON object.
    """
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, route)
        response = connection.getresponse()
        body = response.read(MOST)
    except FileNotFoundError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = "timed out" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
        raise NoAnswer(f"gave no answer: {reason or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status >= 500:
        raise NoAnswer(f"gave no answer: status {response.status}")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise NoAnswer("gave an answer that is not understood: is it another version?")
    return response.status, answer


def ask(path: Path, method: str, route: str, *, timeout: float = TIMEOUT) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of one request.

    Raises:
        typer.Exit: 3 where no daemon answers.
    """
    try:
        return request(path, method, route, timeout=timeout)
    except FileNotFoundError:
        complain(f"没有运行中的守护进程 no daemon answers at {path}: there is no such socket")
    except NoAnswer as error:
        complain(f"守护进程没有应答 no daemon answers at {path}: it {error}")
    raise typer.Exit(3)
