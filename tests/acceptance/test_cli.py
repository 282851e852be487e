"""The command line as people and scripts meet it: real processes, a real daemon, real exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sentinel.cli.main import COMMANDS
from tests.support.daemon import SENTINEL, TOLD, command, daemon, free_port, serving, target, told, write
from tests.support.lab import running as running_lab
from tests.support.webhook import WebhookReceiver

pytestmark = pytest.mark.timeout(60)

HOSTILE = r'"目标[bold]\u202e\u2028"'
KEYS = ["outcome", "failure", "took", "stages", "values", "facts"]


async def probe(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    code, out, err = await command("probe", *arguments, "--json", **environment)
    assert out, err
    return code, json.loads(out)


async def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command shows on a terminal of 100 columns."""
    leader, follower = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *SENTINEL,
        *arguments,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"} | environment,
    )
    os.close(follower)
    shown = b""
    loop = asyncio.get_running_loop()
    while True:
        try:
            more = await loop.run_in_executor(None, os.read, leader, 65536)
        except OSError:  # EIO: nobody has the other end any more
            break
        if not more:
            break
        shown += more
    await process.wait()
    os.close(leader)
    return shown.decode()


async def test_ok_failed_usage_and_unknown_are_four_exit_codes() -> None:
    port = free_port()
    async with serving(port):
        code, answer = await probe("tcp", "127.0.0.1", "--port", str(port))
        assert (code, answer["outcome"], answer["failure"]) == (0, "ok", None)
        assert list(answer) == KEYS
        assert answer["stages"].keys() == {"connect"}
        assert 0 < answer["took"] < 5
    code, answer = await probe("tcp", "127.0.0.1", f"--port={port}", "--timeout", "2")
    assert (code, answer["outcome"]) == (1, "failed")
    assert answer["failure"] == {"stage": "connect", "code": "refused", "detail": answer["failure"]["detail"]}
    code, answer = await probe("tcp", f"tcp://127.0.0.1:{port}", "--tls", "--tls-ca-file", "/nowhere.pem")
    assert (code, answer["outcome"]) == (3, "unknown")
    code, out, err = await command("probe", "tcp", "127.0.0.1", "--prot", "1", "--json")
    assert (code, out) == (2, "")
    assert "did you mean `port`?" in err


async def test_a_probe_for_people() -> None:
    port = free_port()
    async with serving(port, greeting=b"hello\x1b[2J\r\n"):
        code, out, _ = await command("probe", "tcp", "127.0.0.1", "--port", str(port), "--banner", "hell")
        assert code == 0
        assert "成功 ok" in out
        assert "阶段 stage  connect" in out
        code, out, _ = await command("probe", "tcp", "127.0.0.1", "--port", str(port), "--banner", "nope")
        assert code == 1
        assert "内容不符合预期 mismatch" in out
        assert "\x1b" not in out


async def test_a_url_is_taken_apart_and_a_secret_is_looked_up(nginx: Any) -> None:
    peer = nginx("location /in { if ($http_authorization != 'Bearer tok') { return 401; } return 204; }")
    url = f"http://127.0.0.1:{peer.port}/in?x=1"
    assert (await probe("http", url))[1]["failure"]["code"] in ("unauthorized", "bad_status")
    code, answer = await probe("http", url, "--bearer-token", "${env:TOKEN}", TOKEN="tok")
    assert (code, answer["values"]["status_code"]) == (0, 204)
    code, _, err = await command("probe", "rtsp", url)
    assert code == 2
    assert "a URL of http, but the protocol is rtsp" in err


async def test_the_options_of_a_protocol_are_listed() -> None:
    code, _, err = await command("probe", "rtsp")
    assert code == 2
    assert "--port" in err
    assert "Path and query of the stream" in err
    for arguments, words in (
        (("127.0.0.1",), "--port: Field required"),
        (("127.0.0.1", "--port", "70000"), "--port: Input should be less than or equal to 65535"),
        (("127.0.0.1", "--port", "9", "--send", "a", "--send-hex", "00"), "send and send_hex exclude each other"),
    ):
        code, _, err = await command("probe", "tcp", *arguments)
        assert (code, err.splitlines()) == (2, [words])
    code, _, err = await command("probe", "rtps", "127.0.0.1")
    assert code == 2
    assert "did you mean `rtsp`?" in err


async def test_a_check_of_the_configuration(tmp_path: Path) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port))
    config = ("--config", str(tmp_path / "config"))
    async with serving(port):
        assert (await probe("--check", "camera.port", *config))[0] == 0
    assert (await probe("--check", "camera.port", "--timeout", "3", *config))[0] == 1
    for arguments, words in (
        (("--check", "camera.prt"), "did you mean `camera.port`?"),
        (("tcp", "127.0.0.1", "--check", "camera.port"), "one word too many"),
        (("tcp", "127.0.0.1", "--port", "9", "--lab"), "--lab goes with --check"),
        (("--check", "camera.port", "--block", "99"), "no lab runs in block 99"),
    ):
        code, _, err = await command("probe", *arguments, *config)
        assert code == 2
        assert words in err
    (tmp_path / "config/sla.yaml").write_text("rulez: []\n")
    code, _, err = await command("probe", "--check", "camera.port", *config)
    assert code == 2
    assert "sla.yaml:1:1" in err


@pytest.mark.timeout(120)
async def test_a_check_at_its_address_in_the_lab(tmp_path: Path) -> None:
    with running_lab(tmp_path) as lab:
        where = ("--block", str(lab.block))
        code, answer = await probe("--check", "biz-01.web", "--lab", *where, **lab.environment())
        assert (code, answer["outcome"]) == (0, "ok"), answer
        lab.order("break", "biz-01", "down")
        assert (await probe("--check", "biz-01.web", *where, **lab.environment()))[0] == 1


async def test_status_incidents_and_explain(tmp_path: Path, webhook_receiver: WebhookReceiver) -> None:
    port = free_port()
    targets = target("camera", port).replace("目标camera", HOSTILE)
    write(tmp_path, targets=targets, alerting=TOLD.format(url=webhook_receiver.url))
    async with daemon(tmp_path) as running:
        async with serving(port):
            await running.state("camera.port", "up")
            code, out, _ = await running.cli("status")
            assert code == 0
            assert "正常 up 1" in out
            assert "没有故障 no incidents" in (await running.cli("incidents"))[1]
        await running.state("camera.port", "down")
        await told(webhook_receiver, 1)
        code, out, _ = await running.cli("status")
        assert code == 1
        assert "camera.port" in out
        assert "refused" in out
        for name in ("status", "incidents"):
            code, out, _ = await running.cli(name)
            assert not {"\x1b", "\u202e", "\u2028"} & set(out)
            assert r"[bold]\u202e" in out
        code, out, _ = await running.cli("status", "--json")
        assert json.loads(out)["checks"]["down"] == 1
        code, out, _ = await running.cli("incidents", "--json")
        (one,) = json.loads(out)["items"]
        code, out, _ = await running.cli("explain", one["id"])
        assert code == 0
        for words in ("紧急 critical", "已确认 confirmed", "connect", "refused", "→ duty"):
            assert words in out
        assert json.loads((await running.cli("explain", one["id"], "--json"))[1])["notices"]
        for wrong in ("20000101-ffffff", "../../etc?x=1"):
            code, _, err = await running.cli("explain", wrong)
            assert code == 1
            assert "no incident" in err or "not found" in err.lower()
        async with serving(port):
            await told(webhook_receiver, 2)
        code, out, _ = await running.cli("incidents", "--all")
        assert one["id"] in out
        assert "未恢复" not in out
        config = ("--config", str(tmp_path / "config"))
        assert (await command("status", *config))[0] == 0  # without --socket: sentinel.yaml says it
        shown = await on_a_terminal("reload", *config)
        assert "配置已切换 swapped: generation" in shown


async def test_where_no_daemon_answers(tmp_path: Path) -> None:
    for arguments in (("status",), ("incidents",), ("explain", "x"), ("reload",)):
        code, out, err = await command(*arguments, "--socket", str(tmp_path / "none.sock"))
        assert (code, out) == (3, "")
        assert "no daemon answers" in err
    code, _, err = await command("status", "--config", str(tmp_path))
    assert code == 2
    assert "give --socket or --config" in err
    (tmp_path / "sentinel.yaml").write_text("listen: nowhere\n")
    code, _, err = await command("status", "--config", str(tmp_path))
    assert code == 2
    assert "sentinel.yaml:1:" in err


async def test_colour_and_movement_are_for_terminals(tmp_path: Path) -> None:
    port = free_port()
    arguments = ("probe", "tcp", "127.0.0.1", "--port", str(port), "--banner", "hello")
    async with serving(port, pause=0.5, greeting=b"hello\r\n"):
        shown = await on_a_terminal(*arguments)
        assert "正在探测 probing 127.0.0.1" in shown
        assert "\x1b[1;32m" in shown
        plain = await on_a_terminal(*arguments, NO_COLOR="1")
        assert "\x1b[1;32m" not in plain
        assert "\x1b[32m" not in plain
        _, out, err = await command(*arguments)
        assert "\x1b" not in out + err
        assert "probing" not in out + err


async def test_run_is_refused_in_plain_words(tmp_path: Path) -> None:
    write(tmp_path, targets=target("camera", 9))
    settings = tmp_path / "config/sentinel.yaml"
    good = settings.read_text()
    (tmp_path / "sentinel.db").mkdir()
    code, _, err = await command("run", "--config", str(tmp_path / "config"))
    assert code == 2
    assert "无法运行 sentinel cannot run" in err
    assert "Traceback" not in err
    (tmp_path / "sentinel.db").rmdir()
    port = free_port()
    settings.write_text(good.replace(good.partition("127.0.0.1:")[2].partition("\n")[0], str(port)))
    async with serving(port):
        code, _, err = await command("run", "--config", str(tmp_path / "config"))
    assert code == 2
    assert "cannot run" in err


def test_help_and_version_load_little() -> None:
    heavy = ("av", "numpy", "aiohttp", "pysnmp", "apsw", "jinja2", "ruamel")
    for arguments in (["--version"], ["status", "--socket", "/nowhere"], ["incidents", "--socket", "/nowhere"]):
        program = (
            "import sys; from sentinel.cli.main import app\n"
            f"try: app({arguments!r})\n"
            "except SystemExit: pass\n"
            f"print([name for name in {heavy!r} if name in sys.modules])"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert ended.stdout.splitlines()[-1] == "[]", arguments


async def test_every_command_has_its_help() -> None:
    code, out, _ = await command("--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    for name in COMMANDS:
        code, out, _ = await command(name, "--help")
        assert code == 0
        assert "Usage" in out
    code, _, err = await command("stauts")
    assert code == 2
    assert "status" in err
