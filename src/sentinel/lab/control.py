"""The lab's control socket: one JSON object a line in each direction, for the owner alone (mode 0600)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sentinel.lab.block import Place, running
from sentinel.lab.centre import Centre, Outcome
from sentinel.lab.drill import Refused

MAX_LINE: Final = 4_096
MAX_ANSWER: Final = 4 << 20
ANSWER_SECONDS: Final = 15.0


class NoLab(Exception):
    """There is no lab to ask, or more than one; the text says what to do."""


@asynccontextmanager
async def listening(centre: Centre) -> AsyncIterator[None]:
    """Take orders at the place's socket while the block runs.

    Raises:
        OSError: the socket cannot be made.
    """
    path = centre.place.socket
    path.unlink(missing_ok=True)  # the block is ours, so what lies here is of a lab that was killed
    old = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(lambda r, w: _converse(centre, r, w), path, limit=MAX_LINE)
    finally:
        os.umask(old)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _converse(centre: Centre, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            answer = await _obey(centre, line)
            writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
    except (OSError, ValueError):  # gone, or a line without an end
        pass
    finally:
        writer.close()


async def _obey(centre: Centre, line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
        do, target, fault = order["do"], order.get("target"), order.get("fault")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return {"ok": False, "error": "not an order: a JSON object with `do` is expected"}
    try:
        if do == "status":
            return {"ok": True, "pid": os.getpid(), **centre.status()}
        if do == "break" and isinstance(target, str) and isinstance(fault, str):
            return _told(centre, await centre.break_(target, fault))
        if do == "heal" and (target is None or isinstance(target, str)):
            return _told(centre, await centre.heal(target))
    except Refused as refused:
        return {"ok": False, "error": str(refused)}
    except OSError as error:
        return {"ok": False, "error": f"the lab could not do it: {error.strerror or error}"}
    return {"ok": False, "error": "not an order: `do` is status, break (with target and fault) or heal (with target)"}


def _told(centre: Centre, outcome: Outcome) -> dict[str, Any]:
    targets = centre.configuration.targets
    changed = [{"id": id_, "name": targets[id_].name} for id_ in outcome.changed]
    return {"ok": True, "changed": changed, "notes": list(outcome.notes)}


def find(block: int | None) -> Place:
    """The lab that is meant: of the block, or the only one that runs.

    Raises:
        NoLab: none runs there, or several do and no block was given.
    """
    places = [place for place in running() if block in (None, place.block)]
    if not places:
        where = "" if block is None else f" in block {block}"
        raise NoLab(f"no lab runs{where}: start one with `sentinel demo` or `sentinel lab serve`")
    if len(places) > 1:
        blocks = ", ".join(str(place.block) for place in places)
        raise NoLab(f"several labs run (blocks {blocks}): say which with --block")
    return places[0]


def ask(path: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Give a lab one order and take its answer; blocks, for the command line.

    Raises:
        NoLab: it went away, or is stuck.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_SECONDS)
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps(order).encode() + b"\n")
            answer: dict[str, Any] = json.loads(_line(sock))
        except (OSError, ValueError) as error:
            raise NoLab(f"the lab gave no answer: {getattr(error, 'strerror', None) or error}") from error
        return answer


def _line(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(65_536)
        if not more or len(data) > MAX_ANSWER:
            raise ValueError("the answer has no end")
        data += more
    return data
