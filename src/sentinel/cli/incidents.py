"""``sentinel incidents`` and ``sentinel explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel.app.logs import escape
from sentinel.cli.control import Config, Json, Socket, ask, socket_of
from sentinel.domain.wording import duration, local_time, one_line
from sentinel.domain.words import CODES, EVENTS, NOTICES, REASONS, SEVERITIES, STAGES, TELLINGS, word

ZH: Final = "zh-CN"


def incidents(
    config: Config = Path("config"),
    socket: Socket = None,
    *,
    ended: Annotated[bool, typer.Option("--all", help="Those that ended as well.")] = False,
    as_json: Json = False,
) -> None:
    """The open incidents, the newest first.

    Exit codes: 0 listed, 3 no daemon answers.
    """
    route = f"/api/v1/incidents?state={'all' if ended else 'open'}"
    _, found = ask(socket_of(config, socket), "GET", route)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("incident", "severity", "subject", "name", "since", "lasts", "told", "cause"):
        table.add_column(heading, overflow="fold")
    for one in found["items"]:
        until = one["resolved_at"] or found.get("now") or one["began_at"]
        table.add_row(
            one["id"],
            word(SEVERITIES, one["severity"], ZH),
            one["subject"],
            Text(escape(one["title"])),
            local_time(one["began_at"]),
            duration(until - one["began_at"], ZH) if one["resolved_at"] else "未恢复",
            word(TELLINGS, one["telling"], ZH),
            one["cause"],
        )
    Console(highlight=False).print(table if found["items"] else "没有故障 no incidents")


def explain(
    incident: Annotated[str, typer.Argument(help="The incident's id, as messages and `incidents` show it.")],
    config: Config = Path("config"),
    socket: Socket = None,
    *,
    as_json: Json = False,
) -> None:
    """Why an incident opened, who was told, what was suppressed and why.

    Exit codes: 0 explained, 1 there is no such incident, 3 no daemon answers.
    """
    code, found = ask(socket_of(config, socket), "GET", f"/api/v1/incidents/{incident}")
    if code != 200:
        typer.echo(f"{incident}: {found.get('detail') or 'no such incident'}", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    one = found["incident"]
    console.print(Text(f"{one['id']}  {word(SEVERITIES, one['severity'], ZH)}  {escape(one['title'])}", "bold"))
    console.print(f"检查 check {one['subject']}  规则 rule {one['rule']}  开始 since {local_time(one['began_at'])}")
    for transition in found["transitions"]:
        console.print(Text(_transition(transition)))
        for notice in found["notices"]:
            if notice["seq"] == transition["seq"]:
                console.print(Text(_notice(notice)))


def _transition(one: dict[str, Any]) -> str:
    line = f"{local_time(one['at'])}  {word(REASONS, one['reason'], ZH)} ({one['reason']})"
    if one["cause"]:
        line += f" ← {one['cause']}"
    verdict = one["verdict"]
    if verdict and verdict["code"]:
        line += f"：{word(STAGES, verdict['stage'], ZH)}，{word(CODES, verdict['code'], ZH)}"
        line += f" [{verdict['stage']}/{verdict['code']}]"
    if verdict and verdict["observed"] is not None:
        limit = "" if verdict["limit"] is None else f" (limit {verdict['limit']:g})"
        line += f"  {verdict['value']} = {verdict['observed']:g}{limit}"
    return line + ("" if one["event"] else "  —— 未通知 nobody was told")


def _notice(one: dict[str, Any]) -> str:
    line = f"    → {one['channel']}  {word(EVENTS, one['event'], ZH)}  {word(NOTICES, one['status'], ZH)}"
    line += f"  第 {one['attempts']} 次 attempts"
    if one["settled_at"]:
        line += f"  {local_time(one['settled_at'])}"
    return line + (f"  {one_line(one['error'])}" if one["error"] else "")
