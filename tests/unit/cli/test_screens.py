"""What `status`, `incidents` and `explain` show of what a daemon answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sentinel.cli import incidents as incidents_command
from sentinel.cli import status as status_command
from sentinel.cli.main import app

NOW = 1_790_000_000.0
STATUS: dict[str, Any] = {
    "now": NOW,
    "ready": False,
    "reasons": ["store: FullError: disk\x1b full"],
    "checks": {"up": 5, "down": 0, "failing": 300, "unknown": 0},
    "incidents": {"warning": 2, "critical": 0},
    "suppressed": 4,
    "undelivered": {"duty": 3},
}
CHECK = {
    "id": "cam.rtsp",
    "target": {"name": "门口"},
    "state": "failing",
    "since": NOW - 3700,
    "result": {"failure": {"stage": "describe", "code": "unauthorized", "detail": "401\u202e"}},
}
INCIDENT = {
    "id": "20260922-abcdef",
    "rule": "slow",
    "subject": "cam.rtsp",
    "title": "门口",
    "severity": "warning",
    "telling": "suppressed",
    "cause": "core-switch",
    "began_at": NOW,
    "resolved_at": None,
}
VERDICT = {"stage": "", "code": "", "detail": "", "value": "took", "observed": 2.5, "limit": 1.0}
HISTORY = {
    "incident": INCIDENT,
    "transitions": [
        {"seq": 1, "at": NOW, "reason": "parent_down", "cause": "core-switch", "verdict": VERDICT, "event": None},
        {"seq": 2, "at": NOW, "reason": "recovered", "cause": "", "verdict": None, "event": "resolved"},
        {"seq": 3, "at": NOW, "reason": "recovered", "cause": "", "verdict": VERDICT | {"limit": None}, "event": None},
    ],
    "notices": [
        {
            "seq": 2,
            "channel": "duty",
            "event": "resolved",
            "status": "queued",
            "attempts": 3,
            "settled_at": None,
            "error": "status 500 from\x1b duty",
        }
    ],
    "evidence": [{"n": 1, "at": NOW, "kind": "picture", "url": "/api/v1/incidents/20260922-abcdef/evidence/1"}],
}


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_path: Path, _method: str, route: str, **_more: Any) -> tuple[int, dict[str, Any]]:
        if route.startswith("/api/v1/status"):
            return 200, STATUS
        if route.startswith("/api/v1/checks"):
            assert "state=failing" in route  # those of which there is none are not asked for
            return 200, {"items": [CHECK, CHECK | {"result": None}], "total": 300}
        if route.startswith("/api/v1/incidents/"):
            return 200, HISTORY
        return 200, {"items": [INCIDENT] * incidents_command.MOST_LISTED}

    monkeypatch.setattr(status_command, "ask", ask)
    monkeypatch.setattr(incidents_command, "ask", ask)
    monkeypatch.setenv("COLUMNS", "200")


def shown(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--socket", "x"])
    assert result.exit_code == code, result.output
    assert not {"\x1b", "\u202e"} & set(result.output)
    return result.output


def test_a_daemon_in_trouble() -> None:
    out = shown("status", code=1)
    assert "未就绪 not ready: store: FullError: disk\\x1b full" in out
    assert "未送达 undelivered: duty 3" in out
    assert "warning 2" in out
    assert "已抑制 suppressed 4" in out
    assert "1 小时 1 分" in out
    assert "认证失败，凭据缺失或错误 unauthorized" in out
    assert "… 另有 and 298 more" in out
    assert "critical" not in out


def test_more_incidents_than_are_listed() -> None:
    out = shown("incidents")
    assert out.count("20260922-abcdef") == incidents_command.MOST_LISTED
    assert "core-switch" in out
    assert "仅列出最近 only the newest 1000" in out


def test_why_nobody_was_told() -> None:
    out = shown("explain", "20260922-abcdef")
    first, second, third, fourth, fifth, sixth, seventh = out.splitlines()
    assert first.endswith("门口")
    assert "规则 rule slow" in second
    assert "parent_down ← core-switch  took = 2.5 (限值 limit 1)  —— 未通知 nobody was told" in third
    assert fourth.endswith("已恢复正常 recovered")
    assert fifth.endswith("恢复 resolved  待送达 queued  尝试 attempts 3  status 500 from\\x1b duty")
    assert "took = 2.5  —— 未通知" in sixth
    assert seventh.endswith("/api/v1/incidents/20260922-abcdef/evidence/1")


def test_it_is_typers_own_exit() -> None:
    with pytest.raises(typer.Exit):
        status_command.status(socket=Path("x"))
