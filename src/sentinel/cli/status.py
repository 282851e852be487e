"""``sentinel status`` and ``sentinel reload``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from sentinel.cli.control import Config, Json, Socket, ask, socket_of
from sentinel.cli.screen import ZH, both, complain, console, table, text, waiting
from sentinel.domain.wording import duration
from sentinel.domain.words import CODES, SEVERITIES, STAGES, STATES

STYLES = {"up": "green", "down": "bold red", "failing": "yellow", "unknown": "magenta", "unobserved": "dim"}
AILING = ("down", "failing", "unknown")
MOST_LISTED = 200


def status(config: Config = Path("config"), socket: Socket = None, *, as_json: Json = False) -> None:
    """How the estate stands: checks by state, what is not up, the daemon's own health.

    Exit codes: 0 nothing is down, 1 something is, 3 no daemon answers.
    """
    path = socket_of(config, socket)
    _, found = ask(path, "GET", "/api/v1/status")
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        screen = console()
        _print(screen, found)
        for state in AILING:
            if found["checks"].get(state):
                _, page = ask(path, "GET", f"/api/v1/checks?state={state}&limit={MOST_LISTED}")
                _print_checks(screen, page, found["now"])
    raise typer.Exit(1 if found["checks"].get("down") or not found["ready"] else 0)


def reload(config: Config = Path("config"), socket: Socket = None) -> None:
    """Swap the configuration of the daemon for what the files say now.

    Exit codes: 0 swapped, 1 refused (the old one runs on), 3 no daemon answers.
    """
    path = socket_of(config, socket)
    with waiting("守护进程正在读取配置 the daemon reads the configuration"):
        code, answer = ask(path, "POST", "/api/v1/reload", timeout=300.0)
    if code == 200:
        typer.echo(f"配置已切换 swapped: generation {answer['generation']}")
        return
    for problem in answer.get("problems", ()):
        complain("{file}:{line}:{column}: {message}".format_map(problem))
    complain(f"仍按原配置运行 {answer.get('title', 'refused')}: the old configuration runs on")
    raise typer.Exit(1)


def _print(screen: Console, found: dict[str, Any]) -> None:
    states = [
        Text(f"{both(STATES, state)} {count}", STYLES.get(state, ""))
        for state, count in found["checks"].items()
        if count
    ]
    screen.print(Text("检查 checks: ") + Text("  ").join(states or [Text("0")]))
    if not found["ready"]:
        screen.print(text("未就绪 not ready: " + "; ".join(found["reasons"]), "bold red"))
    incidents = [f"{both(SEVERITIES, severity)} {count}" for severity, count in found["incidents"].items() if count]
    screen.print(text(f"故障 incidents: {'  '.join(incidents) or '0'}  已抑制 suppressed {found['suppressed']}"))
    for channel, count in found["undelivered"].items():
        screen.print(text(f"未送达 undelivered: {channel} {count}", "bold red"))


def _print_checks(screen: Console, page: dict[str, Any], now: float) -> None:
    shown = table(
        "检查 check", "名称 name", "状态 state", "持续 for", "阶段 stage", "原因 code", "详情 detail", whole=1
    )
    for check in page["items"]:
        failure = (check["result"] or {}).get("failure") or {"stage": "", "code": "", "detail": ""}
        shown.add_row(
            text(check["id"]),
            text(check["target"]["name"]),
            Text(both(STATES, check["state"]), STYLES.get(check["state"], "")),
            duration(max(0.0, now - check["since"]), ZH),
            both(STAGES, failure["stage"]),
            both(CODES, failure["code"]),
            text(failure["detail"]),
        )
    screen.print(shown)
    if page["total"] > len(page["items"]):
        screen.print(f"… 另有 and {page['total'] - len(page['items'])} more")
