"""``sentinel incidents`` and ``sentinel explain``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.text import Text

from sentinel.app.clock import SystemClock
from sentinel.cli.control import Config, Json, Socket, ask, socket_of
from sentinel.cli.screen import ZH, both, complain, console, table, text
from sentinel.domain.wording import duration, local_time
from sentinel.domain.words import CODES, EVENTS, EVIDENCE, NOTICES, REASONS, SEVERITIES, STAGES, TELLINGS

MOST_LISTED = 1000


def incidents(
    config: Config = Path("config"),
    socket: Socket = None,
    *,
    ended: Annotated[bool, typer.Option("--all", help="Those that ended as well.")] = False,
    as_json: Json = False,
) -> None:
    """The open incidents: those that people were told of first, then the newest first.

    Exit codes: 0 listed, 3 no daemon answers.
    """
    route = f"/api/v1/incidents?state={'all' if ended else 'open'}&limit={MOST_LISTED}"
    _, found = ask(socket_of(config, socket), "GET", route)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    items, now = sorted(found["items"], key=_untold), SystemClock().now()
    if not items:
        console().print("没有故障 no incidents")
        return
    shown = table(
        "故障 incident",
        "对象 subject",
        "级别 severity",
        "名称 name",
        "开始 since",
        "历时 lasts",
        "通知 told",
        "根因 cause",
        whole=2,
    )
    for one in items:
        lasted = (one["resolved_at"] or now) - one["began_at"]
        shown.add_row(
            text(one["id"]),
            text(one["subject"]),
            both(SEVERITIES, one["severity"]),
            text(one["title"]),
            local_time(one["began_at"]),
            duration(max(0.0, lasted), ZH) + ("" if one["resolved_at"] else " 未恢复 open"),
            both(TELLINGS, one["telling"]),
            text(one["cause"]),
        )
    console().print(shown)
    if len(items) == MOST_LISTED:
        console().print(f"仅列出最近 only the newest {MOST_LISTED}")


def _untold(incident: dict[str, Any]) -> bool:
    return bool(incident["telling"] != "told")


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
    path = socket_of(config, socket)
    code, found = ask(path, "GET", f"/api/v1/incidents/{quote(incident, safe='')}")
    if code != 200:
        complain(f"没有此故障 {incident}: {found.get('detail') or 'no such incident'}")
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    screen = console()
    one = found["incident"]
    screen.print(text(f"{one['id']}  {both(SEVERITIES, one['severity'])}  {one['title']}", "bold"))
    screen.print(
        text(f"检查 check {one['subject']}  规则 rule {one['rule']}  开始 since {local_time(one['began_at'])}")
    )
    for transition in found["transitions"]:
        screen.print(_transition(transition))
        for notice in found["notices"]:
            if notice["seq"] == transition["seq"]:
                screen.print(_notice(notice))
    for one in found["evidence"]:
        screen.print(text(f"证据 evidence  {local_time(one['at'])}  {both(EVIDENCE, one['kind'])}  {one['url']}"))
        if one["kind"] == "path":
            for line in _hops(path, one["url"]):
                screen.print(text(line))


def _hops(socket: Path, url: str) -> Iterator[str]:
    """The routers on the way to the target, one a line, and where it ends."""
    code, found = ask(socket, "GET", url)
    if code != 200:
        return
    for hop in found["hops"]:
        address = "*" if hop["address"] is None else hop["address"]
        rtt = "" if hop["rtt_seconds"] is None else f"  {hop['rtt_seconds'] * 1000:.1f} ms"
        yield f"    {hop['ttl']:>2}  {address}{rtt}{'  不可达 unreachable' if hop.get('end') == 'unreachable' else ''}"
    if not found["reached"]:
        yield f"    到此为止 it ends here: {found['target']} 没有应答 does not answer"


def _transition(one: dict[str, Any]) -> Text:
    line = f"{local_time(one['at'])}  {both(REASONS, one['reason'])}"
    if one["cause"]:
        line += f" ← {one['cause']}"
    verdict = one["verdict"]
    if verdict and verdict["code"]:
        line += f"：{both(STAGES, verdict['stage'])}，{both(CODES, verdict['code'])}"
        line += f"  {verdict['detail']}" if verdict["detail"] else ""
    if verdict and verdict["observed"] is not None:
        limit = "" if verdict["limit"] is None else f" (限值 limit {verdict['limit']:g})"
        line += f"  {verdict['value']} = {verdict['observed']:g}{limit}"
    return text(line + ("" if one["event"] else "  —— 未通知 nobody was told"))


def _notice(one: dict[str, Any]) -> Text:
    line = f"    → {one['channel']}  {both(EVENTS, one['event'])}  {both(NOTICES, one['status'])}"
    line += f"  尝试 attempts {one['attempts']}"
    if one["settled_at"]:
        line += f"  {local_time(one['settled_at'])}"
    return text(line + (f"  {one['error']}" if one["error"] else ""))
