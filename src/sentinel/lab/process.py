"""The lab as a process of its own: ``sentinel lab serve``, and what ``sentinel demo`` starts."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sentinel.lab.block import Place, take
from sentinel.lab.centre import Centre, Progress
from sentinel.lab.control import listening
from sentinel.lab.inventory import read

READY: Final = "ready"
PROGRESS: Final = "progress"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What to simulate.  ``block``: None takes the first that is free.

    ``leashed``: the lab ends when its standard input does, so that it never outlives the demo that started it.
    """

    config: Path
    probes: Path | None = None
    block: int | None = None
    leashed: bool = False


async def serve(options: LabOptions, progress: Progress, ready: Callable[[dict[str, Any]], None]) -> None:
    """Run a lab until SIGTERM, SIGINT or the end of its leash; ``ready`` gets its status once everything listens.

    Raises:
        BlockTaken, ConfigRefused, CannotListen, NoClip, OSError: it could not start; nothing is left of it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        block = stack.enter_context(take(options.block))
        progress("reading the inventory")
        configuration = await asyncio.to_thread(read, options.config, options.probes, block.number)
        centre = Centre.of(configuration, Place.of(block.number))
        stack.push_async_callback(centre.close)
        await centre.open(progress)
        await stack.enter_async_context(listening(centre))
        if options.leashed:
            stack.callback(await _watch_leash(stop))
        ready({"pid": os.getpid(), **centre.status()})
        await stop.wait()


async def _watch_leash(stop: asyncio.Event) -> Callable[[], None]:
    """Set ``stop`` when whoever holds the other end of standard input is gone."""
    loop = asyncio.get_running_loop()
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise OSError(errno.EINVAL, "a leash is a pipe or a socket on standard input")

    class Leash(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            del exc
            stop.set()

        def eof_received(self) -> bool:
            stop.set()
            return False

    transport, _ = await loop.connect_read_pipe(Leash, sys.stdin)
    return transport.close


def say(event: str, **more: Any) -> None:
    """One line of JSON on standard output, for the demo; one that is gone does not hear it."""
    with suppress(OSError):
        print(json.dumps({"event": event, **more}, ensure_ascii=False), flush=True)  # noqa: T201 - its protocol
