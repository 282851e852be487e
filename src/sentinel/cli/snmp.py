"""``sentinel snmp walk``: what a device has to say, by name, and a profile of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from sentinel.cli.adhoc import NotUnderstood, given, pasted
from sentinel.cli.probe import reasons
from sentinel.cli.screen import both, complain, console, text
from sentinel.domain.words import CODES, STAGES
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.protocols.snmp.profile import parse
from sentinel.protocols.snmp.skeleton import skeleton
from sentinel.protocols.snmp.values import text as readable
from sentinel.protocols.snmp.walk import ROOTS, Bounds, Walked, walk
from sentinel.sdk.net import close_resolver, is_literal, resolve
from sentinel.sdk.protocol import ProbeFailed, Run
from sentinel.wire.mib_names import Names, standard, with_directory

app = typer.Typer(
    name="snmp",
    help="What an SNMP agent has.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold passwords
)

_NOT_HERE = frozenset({"get", "profile", "items", "max_rows"})
_OID = re.compile(r"[0-2](\.\d{1,10}){0,126}")
_BINARY = frozenset({"PhysAddress", "MacAddress", "DateAndTime"})
_PROGRESS = 500  # objects between two lines of progress, where nobody looks at a terminal


@app.callback()
def options() -> None:
    """What an SNMP agent has."""


@app.command("walk", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def walk_command(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Address or name of the agent.")],
    root: Annotated[
        list[str] | None,
        typer.Option(help="Where to begin, an OID or a name such as IF-MIB::ifTable; may be repeated.", metavar="OID"),
    ] = None,
    mibs: Annotated[
        Path | None, typer.Option(help="Directory of the maker's MIB files, for their names.", metavar="DIR")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write a profile of what was found; it is not overwritten.", metavar="FILE")
    ] = None,
    most: Annotated[int, typer.Option(help="Objects to read at most.", min=1, max=200_000)] = Bounds().most,
    timeout: Annotated[
        float, typer.Option(help="Seconds for everything.", min=0.1, max=3600, metavar="SECONDS")
    ] = Bounds().timeout,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Read everything an agent has, by name: `sentinel snmp walk 192.0.2.1 --community '${env:COMMUNITY}'`.

    The options of the protocol snmp say whom to ask and as whom (--port, --version, --user, --auth, --auth-password,
    --privacy, --privacy-password, --repetitions …); write secrets as ${env:NAME} or ${file:PATH}, so that they stay
    out of the list of processes. Without --root it reads the standard modules and the makers' own. Exit codes: 0 done,
    also where --most cut it; 1 the agent did not answer, or broke off (what came before is shown and written);
    2 not understood, or the file can't be written; 3 this host could not ask.
    """
    try:
        host, asked = _asked(address, context.args)
        names = _names(mibs)
        roots = [_root(each, names) for each in root or ROOTS]
        if write is not None and write.exists():
            raise NotUnderstood(f"文件已存在 {write} exists; a profile that people have worked on is not overwritten")
    except NotUnderstood as error:
        for line in error.lines:
            complain(line)
        raise typer.Exit(2) from None
    found = asyncio.run(_walk(host, asked, roots, Bounds(most, timeout)))
    if as_json:
        typer.echo(json.dumps(as_object(found, names), ensure_ascii=False, indent=2))
    else:
        _print(found, names)
    if write is not None and found.objects:
        _write(write, found, names, host)
    if found.truncated:
        complain(f"已达上限 cut at {most} objects: there is more (--most, or a narrower --root)")
    if found.failure is not None:
        code = found.failure.code
        complain(f"{both(STAGES, found.failure.stage)}，{both(CODES, code)}  {found.failure.detail}")
        raise typer.Exit(3 if found.failure.local else 1)


def as_object(found: Walked, names: Names) -> dict[str, Any]:
    """What ``--json`` prints."""
    failure = found.failure
    return {
        "objects": [_object(oid, raw, names) for oid, raw in found.objects.items()],
        "truncated": found.truncated,
        "failure": failure and {"stage": failure.stage, "code": failure.code, "detail": failure.detail},
    }


def _object(oid: str, raw: Any, names: Names) -> dict[str, Any]:
    symbol, rest = names.find(oid)
    known = symbol if symbol is not None and symbol.base and rest else None
    value = raw
    if isinstance(raw, bytes):
        value = raw.hex(":") if known and known.convention in _BINARY else readable(raw)
    return {
        "oid": oid,
        "name": names.shown(oid),
        "type": known.base if known else "",
        "value": value,
        "label": known.labels.get(raw, "") if known and isinstance(raw, int) else "",
        "units": known.units if known else "",
    }


def _asked(address: str, arguments: list[str]) -> tuple[str, SnmpOptions]:
    host, from_url = pasted("snmp", SnmpOptions, address)
    asked = given(SnmpOptions, arguments)
    wrong = sorted(_NOT_HERE.intersection(asked))
    if wrong:
        raise NotUnderstood(f"--{wrong[0].replace('_', '-')} is for a probe; a walk reads everything below --root")
    try:
        # What to get is asked for by the model alone; a walk brings its own.
        return host, SnmpOptions.model_validate({**from_url, **asked, "get": {"uptime": "1.3.6.1.2.1.1.3.0"}})
    except ValidationError as refused:
        raise NotUnderstood(*reasons(refused)) from None


def _names(mibs: Path | None) -> Names:
    if mibs is None:
        return standard()
    try:
        return with_directory(mibs)
    except OSError as error:
        raise NotUnderstood(f"--mibs: {mibs}: {error.strerror}") from None


def _root(given_root: str, names: Names) -> str:
    plain = given_root.removeprefix(".")
    if _OID.fullmatch(plain):
        return plain
    oid = names.oid(given_root)
    if oid is None:
        raise NotUnderstood(f"没有此名称 no MIB that is known here has the name {given_root!r} (--mibs, or an OID)")
    return oid


async def _walk(host: str, asked: SnmpOptions, roots: list[str], bounds: Bounds) -> Walked:
    live = sys.stderr.isatty()
    told = 0

    def progress(count: int, oid: str) -> None:
        nonlocal told
        if live:
            sys.stderr.write(f"\r\x1b[K{count} 个对象 objects  {oid[:60]}")
            sys.stderr.flush()
        elif count - told >= _PROGRESS:
            told = count
            complain(f"{count} 个对象 objects  {oid[:60]}")

    try:
        if not is_literal(host):
            host = await resolve(Run(bounds.timeout), host)
        return await walk(host, asked, roots, bounds, progress)
    except ProbeFailed as failed:
        return Walked(failure=failed.failure)
    finally:
        if live:
            sys.stderr.write("\r\x1b[K")
        await close_resolver()


def _print(found: Walked, names: Names) -> None:
    screen = console()
    for oid, raw in found.objects.items():
        shown = _object(oid, raw, names)
        value = f"{shown['label']}({shown['value']})" if shown["label"] else str(shown["value"])
        screen.print(
            text(" ".join(part for part in (shown["name"], "=", shown["type"], value, shown["units"]) if part))
        )


def _write(file: Path, found: Walked, names: Names, host: str) -> None:
    """The profile, proved to load before it is written."""
    described = readable(found.objects.get("1.3.6.1.2.1.1.1.0"), 100)
    try:
        content = skeleton(found.objects, names, described or f"由 {host} 生成")
        profile = parse(content)
        with file.open("x", encoding="utf-8") as stream:  # "x": not over one that has come about meanwhile
            stream.write(content)
    except (OSError, ValueError) as error:
        complain(f"{file}: {getattr(error, 'strerror', None) or error}")
        raise typer.Exit(2) from None
    complain(f"已写入 {file}: {len(profile.values())} 个数值 values，请删去不需要的 thin it out")
