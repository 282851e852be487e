"""``sentinel check``: errors, summary, and what would change in a daemon that runs."""

from __future__ import annotations

import http.server
import json
import shutil
import socketserver
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sentinel.cli.check import check
from sentinel.config import Configuration, load, open_catalog

ROOT = Path(__file__).parents[3]

app = typer.Typer()
app.command()(check)


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is shipped, whose socket nobody listens on."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "probes", tmp_path / "probes")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setenv("COLUMNS", "40")
    return tmp_path / "config"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def test_it_says_in_what_time_samples_cover_everything(estate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("--config", estate)
    assert code == 0
    assert "抽看 sampled          img-01.pictures 全部轮到需 20m covers all in 20 rounds\n" in out
    replace(
        estate / "inventory.yaml", "interval: 1m\n            timeout: 15s", "interval: 30s\n            timeout: 15s"
    )
    assert "img-01.pictures 全部轮到需 10m covers all in 20 rounds\n" in run("--config", estate)[1]


def test_the_summary_of_what_is_shipped(estate: Path) -> None:
    code, out, _ = run("--config", estate)
    assert code == 0
    shipped = load(estate, catalog=open_catalog(estate))
    placeholders = sum(target.placeholder for target in shipped.targets.values())
    by_protocol = Counter(check.protocol for check in shipped.checks.values())
    protocols = ", ".join(f"{name} {count}" for name, count in sorted(by_protocol.items()))
    assert f"目标 targets          {len(shipped.targets)}\n" in out
    assert f"placeholders     {placeholders}：须补全真实名称和地址 they want real names and addresses\n" in out
    assert f"checks           {len(shipped.checks)}: {protocols}\n" in out
    assert "unobserved   6：所在网络没有探测点 no vantage reaches their zone\n" in out
    assert "checks per second\n" in out
    assert "channels         0, 路由 routes 0：不会通知任何人 nobody is told of anything\n" in out
    assert f"no daemon runs here ({estate.parent}/run/sentinel.sock is not there)\n" in out


def test_every_error_is_a_line_and_the_exit_code_is_one(estate: Path) -> None:
    replace(estate / "inventory.yaml", "zone: unassigned, placeholder", "zone: unasigned, placeholder")
    replace(estate / "sla.yaml", "value: loss_ratio", "value: loss_ration")
    code, out, err = run("--config", estate)
    assert (code, out) == (1, "")
    first, second, last = err.splitlines()
    assert first.startswith(f"{estate}/inventory.yaml:")
    assert first.endswith(": unknown zone `unasigned`; did you mean `unassigned`?")
    assert second.endswith(": no selected check measures `loss_ration`; did you mean `loss_ratio`?")
    assert last == "配置被拒绝，2 处错误 2 errors: the configuration is refused."


def test_a_hostile_key_reaches_no_terminal(estate: Path) -> None:
    replace(estate / "sla.yaml", "rules:", '"[red]\\u202e": 1\nrules:')
    _, _, err = run("--config", estate)
    assert "\u202e" not in err
    assert "unknown key `[red]\\u202e`" in err


def test_errors_for_machines(estate: Path) -> None:
    replace(estate / "sla.yaml", "rules:", "rulez:")
    code, out, _ = run("--config", estate, "--json")
    answer = json.loads(out)
    assert code == 1
    assert answer["ok"] is False
    assert answer["errors"][0] == {
        "file": str(estate / "sla.yaml"),
        "line": 5,
        "column": 1,
        "message": "`rules` is missing",
    }


def test_warnings_are_said_and_are_no_errors(estate: Path) -> None:
    replace(estate / "sla.yaml", "select: {kind: camera, protocol: [rtsp, gb28181]}", "select: {kind: kamera}")
    code, out, _ = run("--config", estate)
    assert code == 0
    assert "the rule `camera-down` selects no check（警告 warning）\n" in out
    answer = json.loads(run("--config", estate, "--json")[1])
    assert [each["message"] for each in answer["warnings"]] == ["the rule `camera-down` selects no check"]


def test_the_summary_for_machines(estate: Path) -> None:
    answer = json.loads(run("--config", estate, "--probes", estate.parent / "probes", "--json")[1])
    assert answer["ok"] is True
    assert answer["change"] is None
    shipped = load(estate, catalog=open_catalog(estate))
    assert answer["summary"]["targets"] == len(shipped.targets)
    assert (answer["summary"]["venues"], answer["summary"]["systems"]) == (12, 59)
    assert sum(answer["summary"]["checks_by_protocol"].values()) == answer["summary"]["checks"]


class _UnixServer(socketserver.UnixStreamServer):
    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("local", 0)  # BaseHTTPRequestHandler logs a client's address


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bytes], None]]:
    """Something that listens on the control socket and gives one answer."""
    answer: dict[str, Any] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/v1/config"
            self.send_response(answer["status"])
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with tempfile.TemporaryDirectory() as short:  # a socket's path has 107 bytes
        monkeypatch.setenv("RUNTIME_DIRECTORY", short)
        with _UnixServer(f"{short}/sentinel.sock", Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield lambda status, body: answer.update(status=status, body=body)
            server.shutdown()
            thread.join()


def prints(configuration: Configuration) -> bytes:
    rules = {rule.id for rule in configuration.rules}
    return json.dumps(
        {
            "checks": {id_: each for id_, each in configuration.fingerprints.items() if id_ not in rules},
            "rules": {id_: each for id_, each in configuration.fingerprints.items() if id_ in rules},
        }
    ).encode()


def test_what_would_change_in_the_daemon_that_runs(estate: Path, daemon: Callable[[int, bytes], None]) -> None:
    daemon(200, prints(load(estate, catalog=open_catalog(estate))))
    assert "would change   无变化 nothing\n" in run("--config", estate)[1]
    replace(estate / "inventory.yaml", "address: 198.18.23.1\n", "address: 198.18.23.9\n")
    assert "would change   ~4 项检查 checks, 告警不变 no alert changes\n" in run("--config", estate)[1]
    replace(estate / "inventory.yaml", 'address: "198.18.24.{n}", count: 2', 'address: "198.18.24.{n}", count: 3')
    replace(estate / "inventory.yaml", "id: set-huixinli", "id: set-hxl")
    replace(estate / "sla.yaml", "below: 30", "below: 60")
    replace(estate / "sla.yaml", "id: ping-lost", "id: ping-gone")
    out = run("--config", estate)[1]
    assert "would change   +7 -4 ~4 项检查 checks, 告警规则变化 these alerts change: " in out
    assert "these alerts change: 证书即将到期, 连通性检查失败, ping-lost\n" in out
    change = json.loads(run("--config", estate, "--json")[1])["change"]
    assert {check.partition(".")[0] for check in change["checks"]["removed"]} == {"set-huixinli"}
    assert change["rules"] == {"added": ["ping-gone"], "removed": ["ping-lost"], "changed": ["certificate-expiring"]}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"", "gave no answer: status 500"),
        (404, b"{}", "gave no answer: status 404"),
        (200, b"<html>", "is it another version?"),
        (200, b"[]", "is it another version?"),
        (200, b'{"checks": {}}', "is it another version?"),
    ],
)
def test_a_daemon_that_does_not_answer_well_is_no_error(
    estate: Path, daemon: Callable[[int, bytes], None], status: int, body: bytes, words: str
) -> None:
    daemon(status, body)
    code, out, _ = run("--config", estate)
    assert code == 0
    assert words in out


def test_a_socket_that_nobody_serves(estate: Path) -> None:
    import socket

    with tempfile.TemporaryDirectory() as short:
        path = f"{short}/s"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        (estate / "sentinel.yaml").write_text(f"socket: {path}\n")
        code, out, _ = run("--config", estate)
    assert code == 0
    assert "gave no answer: Connection refused" in out
