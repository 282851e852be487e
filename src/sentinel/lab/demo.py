"""The demo: the lab as a child process, and the daemon that watches it in this one."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from sentinel.app.clock import SystemClock
from sentinel.app.daemon import Serve, serve
from sentinel.catalog import discover
from sentinel.config import ChannelConfig, Configuration, Route
from sentinel.domain.rule import Selector, Severity
from sentinel.lab.addresses import rule
from sentinel.lab.block import Place
from sentinel.lab.conferences import conferences
from sentinel.lab.inventory import trusting
from sentinel.lab.process import FAILED, PROGRESS, READY

FIRST_PORT: Final = 8640
"""Of the wall page; the demo of another block takes the next, and each the next that is free."""

CHANNEL: Final = "demo"
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 10.0
_MAX_LINE: Final = 1 << 20


class DemoFailed(Exception):
    """The demo cannot run; the text says why."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to show.  ``port``: None takes a free one.  ``seconds``: None runs until it is stopped."""

    config: Path
    probes: Path | None = None
    port: int | None = None
    webhook: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What is there to be watched: the wall page's address, the lab's status, the daemon's control socket."""

    wall: str
    lab: dict[str, Any]
    socket: Path
    configuration: Configuration


async def demo(options: DemoOptions, progress: Callable[[str], None], ready: Callable[[Stage], None]) -> None:
    """Start the lab, run the daemon on it, end both in order.

    Ends at SIGTERM, SIGINT, or after ``options.seconds`` of running; the lab ends with it whatever happens.

    Raises:
        DemoFailed: the lab could not start, or ended by itself.
        ConfigRefused, StoreRefused, ListenRefused: see ``app.daemon.serve``.
    """
    channels = _channels(options.webhook)
    async with _lab(options, progress) as (lab, status):
        place = Place.of(int(status["block"]))
        port = options.port if options.port is not None else _free_port(FIRST_PORT + place.block)
        seen: list[Configuration] = []
        stop, started = asyncio.Event(), asyncio.Event()
        with _scratch(place) as state:

            def amend(configuration: Configuration) -> Configuration:
                amended = trusting(configuration, place.authority, place.block)
                amended = replace(amended, daemon=_settings(amended, port, state, place), **channels)
                amended = replace(amended, conferences=conferences(SystemClock().now(), tuple(amended.venues)))
                seen[:] = [amended]
                return amended

            def show(address: str) -> None:
                started.set()
                place.page.write_text(address, "utf-8")
                ready(Stage(address, status, seen[0].daemon.socket, seen[0]))

            progress("starting the daemon")
            watch = Serve(options.config, options.probes, readdress=rule(place.block), amend=amend, ready=show)
            await _watched(serve(watch, stop), _until_dead(lab), _timer(started, options.seconds, stop))


async def _watched(main: Coroutine[Any, Any, None], *beside: Coroutine[Any, Any, None]) -> None:
    """Run until ``main`` ends, or one of the others fails; what is raised comes out as itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in beside]
            try:
                await main
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


@contextmanager
def _scratch(place: Place) -> Iterator[Path]:
    """An empty directory for the daemon's data, gone afterwards; what a demo left that was killed goes first."""
    directory = place.state / "daemon"
    shutil.rmtree(directory, ignore_errors=True)
    place.page.unlink(missing_ok=True)
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        place.page.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def _lab(options: DemoOptions, progress: Callable[[str], None]) -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    """The lab as a child, from when it is ready to when it has ended."""
    command = [sys.executable, "-m", "sentinel.lab", str(options.config)]
    if options.probes is not None:
        command += ["--probes", str(options.probes)]
    # A session of its own: Ctrl-C stops the daemon first, and the lab when nobody looks at it any more.
    child = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=_MAX_LINE, start_new_session=True
    )
    try:
        try:
            async with asyncio.timeout(_START_SECONDS):
                status = await _ready(child, progress)
        except TimeoutError:
            raise DemoFailed(f"the lab was not ready within {_START_SECONDS:.0f} s") from None
        yield child, status
    finally:
        await _end(child)


async def _ready(child: Process, progress: Callable[[str], None]) -> dict[str, Any]:
    if child.stdout is None:
        raise AssertionError
    while line := await child.stdout.readline():
        said = json.loads(line)
        if said["event"] == PROGRESS:
            progress(said["text"])
        elif said["event"] == FAILED:
            raise DemoFailed(f"the lab cannot start: {said['text']}")
        elif said["event"] == READY:
            status: dict[str, Any] = said["status"]
            return status
    raise DemoFailed(f"the lab ended with {await child.wait()} before it was ready")


async def _end(child: Process) -> None:
    """Let go of the leash, and wait; what does not end then is ended."""
    if child.stdin is not None:
        child.stdin.close()
    for act in (child.terminate, child.kill):
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await child.wait()
                return
        except TimeoutError:
            act()
    await child.wait()


async def _until_dead(lab: Process) -> None:
    raise DemoFailed(f"the lab ended by itself, with {await lab.wait()}")


async def _timer(started: asyncio.Event, seconds: float | None, stop: asyncio.Event) -> None:
    if seconds is not None:
        await started.wait()
        await asyncio.sleep(seconds)
        stop.set()


def _settings(configuration: Configuration, port: int, state: Path, place: Place) -> Any:
    """The daemon's own settings, for a demo: on loopback, with nothing that outlives it."""
    return replace(
        configuration.daemon,
        host="127.0.0.1",
        port=port,
        tls_cert=None,
        tls_key=None,
        token=None,
        external_url=f"http://127.0.0.1:{port}",
        store=state / "sentinel.db",
        socket=place.runtime / "sentinel.sock",
    )


def _channels(webhook: str | None) -> dict[str, Any]:
    """Who is told: the webhook of the command line or nobody, never those of the configuration: these are drills.

    Raises:
        DemoFailed: it is no address to post to.
    """
    if webhook is None:
        return {"channels": {}, "routes": ()}
    channel = discover().channels["webhook"]
    try:
        options = channel.options.model_validate({"url": webhook})
    except ValidationError as error:
        raise DemoFailed(f"--webhook: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    severities = frozenset(Severity) - {Severity.INFO}
    return {
        "channels": {CHANNEL: ChannelConfig(CHANNEL, "webhook", options)},
        "routes": (Route(Selector(), severities, (CHANNEL,)),),
    }


def _free_port(first: int) -> int:
    for port in range(first, first + 100):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                sock.bind(("127.0.0.1", port))
                return port
    raise DemoFailed(f"no port from {first} on is free: give one with --port")
