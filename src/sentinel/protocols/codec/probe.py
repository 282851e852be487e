"""Conference endpoints and MCUs: what does the device say of itself, read by a profile?"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final
from urllib.parse import quote

import asyncssh

from sentinel.domain.target import Target
from sentinel.protocols.codec.options import COUNTED, VALUES, CodecOptions, values_of
from sentinel.protocols.codec.paths import find
from sentinel.protocols.codec.profile import ID, Ask, Profile
from sentinel.protocols.codec.readings import Said, take
from sentinel.protocols.codec.shell import Process, Session
from sentinel.protocols.codec.tree import Malformed, Node, Status, from_json, from_xml
from sentinel.protocols.codec.web import Web, opened
from sentinel.sdk.protocol import Protocol, Run
from sentinel.sdk.ssh import Connections, connections
from sentinel.wire.device_text import text as shown

_WINDOW: Final = 65_536  # bytes on their way to us that SSH may have
_ID: Final = 128  # characters


async def probe(target: Target, options: CodecOptions, run: Run) -> None:
    """Ask all that the profile asks, then put down all that it reads; what is not told is named at the end.

    A device that does not know a command, or does not tell what the profile needs, fails with ``unsupported`` and the
    facts ``unsupported`` and ``missing``; all that it did tell is measured nevertheless.
    """
    profile = options.plan
    said = await (_over_ssh if profile.transport == "ssh" else _over_http)(target, options, run)
    run.facts.pop("asking", None)
    missing = take(profile, said, run, only=options.items, without=options.without)
    run.values["values_missing"] = float(len(missing))
    _count(options, run)
    needed = [text for name, text in said.refused.items() if not profile.asks[name].optional]
    if said.refused:
        run.facts["unsupported"] = shown("; ".join(said.refused.values()))
    if missing:
        run.facts["missing"] = shown(", ".join(missing))
    if needed:
        run.fail("unsupported", f"not known to the device: {shown('; '.join(needed))}", stage="expect")
    if missing:
        run.fail("unsupported", f"the device does not tell: {', '.join(missing)}", stage="expect")


async def _over_ssh(target: Target, options: CodecOptions, run: Run) -> Said:
    pool: Connections = run.service
    profile, said, status = options.plan, Said(), Status()
    shell = profile.shell
    if shell is None:
        raise AssertionError

    def start(connection: asyncssh.SSHClientConnection) -> Awaitable[Process]:
        term = {"term_type": "dumb", "term_size": (500, 100)} if shell.pty else {}
        return connection.create_process(encoding=None, stderr=asyncssh.STDOUT, window=_WINDOW, **term)

    async with pool.channel(run, options.at(target.address), start) as process:
        session = Session(process, shell, options.max_bytes, run)
        with run.stage("banner"):
            await session.greet()
        with run.stage("query"):
            for name, ask in profile.asks.items():
                run.facts["asking"] = ask.name[:100]
                answer = await session.ask(ask)
                if answer.refusal:
                    said.refused[name] = f"{ask.name}: {answer.refusal}"
                said.lines[name] = answer.lines
                _add(status, answer.lines, run)
    said.status = status.root
    return said


def _add(status: Status, lines: list[str], run: Run) -> None:
    try:
        for line in lines:
            status.add(line)
    except Malformed as error:
        run.fail("too_large", str(error))


async def _over_http(target: Target, options: CodecOptions, run: Run) -> Said:
    profile, said = options.plan, Said()
    async with opened(run, target, options) as web:
        with run.stage("query"):
            for name, ask in profile.asks.items():
                root = Node("")
                for id_ in _ids(ask, said, run):
                    await _get(web, id_, name, root, profile, said)
                if name not in said.refused:
                    said.trees[name] = root
    return said


async def _get(web: Web, id_: str, name: str, root: Node, profile: Profile, said: Said) -> None:
    """One page, into the tree of its ask; what it holds has the attribute ``asked``, where there is an id."""
    ask = profile.asks[name]
    path = (ask.path or "").replace(ID, quote(id_, safe=""))
    web.run.facts["asking"] = path[:100]
    page = await web.get(path)
    if page.refusal:
        if not id_:  # of several, one may have ended since it was named
            said.refused[name] = f"{ask.name}: {page.refusal}"
        return
    if profile.format == "text":
        said.lines[name] = page.body.decode("utf-8", "replace").splitlines()
        return
    try:
        found = from_xml(page.body) if profile.format == "xml" else from_json(page.body)
    except Malformed as error:
        web.run.fail("protocol_error", f"{path[:100]}: {error}")
    for child in found.children if id_ else ():
        child.attributes = {**child.attributes, "asked": id_}
    root.adopt(found.children)


def _ids(ask: Ask, said: Said, run: Run) -> tuple[str, ...]:
    """The ids that are asked about; one that is empty where none is wanted."""
    if ask.each is None:
        return ("",)
    ids = [found.text for found in find(said.trees.get(ask.each.ask, Node("")), ask.each.path)]
    distinct = [id_ for id_ in dict.fromkeys(ids) if 0 < len(id_) <= _ID]
    if len(distinct) > ask.each.limit:
        run.facts["truncated"] = f"{len(distinct)} are there, {ask.each.limit} were asked about"
    return tuple(distinct[: ask.each.limit])


def _count(options: CodecOptions, run: Run) -> None:
    """Compare with how many there have to be."""
    for option, value in COUNTED.items():
        expected: int | None = getattr(options, option)
        present = [number for key, number in run.values.items() if key.startswith(f"{value}:")]
        if expected is not None and present:
            run.values[f"{option}_missing"] = max(0.0, expected - float(sum(number > 0 for number in present)))
    if options.participants is not None and "participants_connected" in run.values:
        run.values["participants_expected"] = float(options.participants)
        runs = run.values.get("calls", 1.0) > 0
        absent = options.participants - run.values["participants_connected"]
        run.values["participants_missing"] = max(0.0, absent) if runs else 0.0


PROTOCOL = Protocol("codec", CodecOptions, probe, values=VALUES, service=connections, values_of=values_of)
