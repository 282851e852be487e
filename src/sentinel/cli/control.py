"""Asking the daemon that runs, over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.config.document import Unreadable, read
from sentinel.config.problems import Problems
from sentinel.config.settings import read_settings

TIMEOUT = 30.0
MOST = 64 * 1024 * 1024

Config = Annotated[
    Path, typer.Option(help="Configuration of the daemon; its sentinel.yaml names the socket.", metavar="DIR")
]
Socket = Annotated[
    Path | None, typer.Option(help="The daemon's control socket, in place of --config.", envvar="SENTINEL_SOCKET")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


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
    problems = Problems()
    try:
        settings = read_settings(read(config / "sentinel.yaml"), config, problems)
    except Unreadable as error:
        typer.echo(f"{error.position}: {error.message}; give --socket or --config", err=True)
        raise typer.Exit(2) from None
    if settings is None:
        for problem in problems.errors:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2)
    return settings.socket


def ask(path: Path, method: str, route: str, *, timeout: float = TIMEOUT) -> tuple[int, Any]:
    """Status and JSON of one request.

    Raises:
        typer.Exit: 3 where no daemon answers.
    """
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, route)
        response = connection.getresponse()
        return response.status, json.loads(response.read(MOST))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        typer.echo(f"no daemon answers at {path}: {reason}", err=True)
        raise typer.Exit(3) from None
    finally:
        connection.close()
