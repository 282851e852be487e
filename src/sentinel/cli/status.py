"""``sentinel status`` and ``sentinel reload``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel.app.logs import escape
from sentinel.cli.control import Config, Json, Socket, ask, socket_of
from sentinel.domain.wording import duration
from sentinel.domain.words import CODES, SEVERITIES, STAGES, STATES, word

STYLES = {"up": "green", "down": "bold red", "failing": "yellow", "unknown": "magenta", "unobserved": "dim"}


def status(config: Config = Path("config"), socket: Socket = None, *, as_json: Json = False) -> None:
    """How the estate stands: checks by state, what is not up, the daemon's own health.

    Exit codes: 0 nothing is down, 1 something is, 3 no daemon answers.
    """
    path = socket_of(config, socket)
    _, found = ask(path, "GET", "/api/v1/status")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        _print(found, _ailing(path))
    raise typer.Exit(1 if found["checks"].get("down") or not found["ready"] else 0)


def reload(config: Config = Path("config"), socket: Socket = None) -> None:
    """Swap the configuration of the daemon for what the files say now.

    Exit codes: 0 swapped, 1 refused (the old one runs on), 3 no daemon answers.
    """
    code, answer = ask(socket_of(config, socket), "POST", "/api/v1/reload", timeout=300.0)
    if code == 200:
        typer.echo(f"swapped: generation {answer['generation']}")
        return
    for problem in answer.get("problems", ()):
        typer.echo(escape("{file}:{line}:{column}: {message}".format_map(problem)), err=True)
    typer.echo(f"{answer.get('title', 'refused')}: the old configuration runs on", err=True)
    raise typer.Exit(1)


def _ailing(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for state in ("down", "failing", "unknown"):
        found += ask(path, "GET", f"/api/v1/checks?state={state}&limit=200")[1]["items"]
    return found


def _print(found: dict[str, Any], ailing: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    states = [
        Text(f"{word(STATES, state, 'zh-CN')} {state} {count}", STYLES.get(state, ""))
        for state, count in found["checks"].items()
        if count
    ]
    console.print(Text("  ").join(states))
    if not found["ready"]:
        console.print(Text("not ready: " + escape("; ".join(found["reasons"])), "bold red"))
    incidents = [
        f"{word(SEVERITIES, severity, 'zh-CN')} {severity} {count}"
        for severity, count in found["incidents"].items()
        if count
    ]
    console.print("故障 incidents: " + ("  ".join(incidents) or "0") + f"  已抑制 suppressed {found['suppressed']}")
    for channel, count in found["undelivered"].items():
        console.print(Text(f"未送达 undelivered: {escape(channel)} {count}", "bold red"))
    if not ailing:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "name", "state", "for", "stage", "code", "detail"):
        table.add_column(heading, overflow="fold")
    for check in ailing:
        failure = (check["result"] or {}).get("failure") or {"stage": "", "code": "", "detail": ""}
        table.add_row(
            check["id"],
            Text(escape(check["target"]["name"])),
            Text(word(STATES, check["state"], "zh-CN"), STYLES.get(check["state"], "")),
            duration(found["now"] - check["since"], "zh-CN"),
            word(STAGES, failure["stage"], "zh-CN"),
            word(CODES, failure["code"], "zh-CN"),
            Text(escape(failure["detail"])),
        )
    console.print(table)
