"""The log of a real process: a line a change, a record a line whatever stands in it, and no value in a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import daemon, free_port, lines, serving, target, write

EVIL = 'cam\x1b[2J\r\n"\\}{\u202e\u2028\u2066\x85\x00\ud800<script>中文'

PROGRAM = f"""
import logging, sys
from sentinel.app.logs import configure
import structlog
configure(verbose="-v" in sys.argv)
log = structlog.get_logger("t")
evil = {EVIL!r}
log.info("hello", name=evil, deep={{evil: [evil, 1, None]}}, other=ValueError(evil))
log.debug("quiet")
logging.getLogger("library").warning("said %s", evil)
logging.getLogger("library").warning("wrong %d", evil)
logging.getLogger("library").info("too fine")
def login(password):
    raise ValueError("no such user " + evil)
try:
    login("hunter2" + "!")
except ValueError:
    log.exception("defect")
    logging.getLogger("library").exception("theirs")
"""

WELCOME = """\
probes:
  port:
    protocol: tcp
    description: 等待欢迎信息
    options: {port: 9, banner: welcome}
"""

FORBIDDEN = {*map(chr, range(32)), *map(chr, range(127, 160)), "\u2028", "\u202e", "\u2066", "\ud800"}


def test_a_pipe_gets_one_json_object_a_line() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    text = ended.stderr.decode()
    assert not FORBIDDEN - {"\n"} & set(text)
    records = [json.loads(line) for line in text.split("\n")[:-1]]
    assert [one["event"].split(" ")[0] for one in records] == ["hello", "said", "wrong", "defect", "theirs"]
    assert [one["level"] for one in records] == ["info", "warning", "warning", "error", "error"]
    assert "<script>中文" in records[0]["name"]
    assert records[1]["logger"] == "library"
    for defect in records[3:]:
        assert "no such user" in defect["exception"]
        assert "in login" in defect["exception"]
    assert "hunter2" not in text.replace('login("hunter2" + "!")', "")
    assert "hunter2!" not in text


def test_a_terminal_gets_text_that_obeys_nobody_but_us() -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "-v"], stdin=follower, stdout=follower, stderr=follower, close_fds=True
    )
    os.close(follower)
    shown = b""
    try:
        while more := os.read(leader, 65536):
            shown += more
    except OSError:  # EIO: the other end is closed
        pass
    process.wait()
    os.close(leader)
    text = shown.decode()
    assert "hello" in text
    assert "quiet" in text
    assert "\x1b[2J" not in text
    assert r"\x1b[2J" in text
    assert not {"\u2028", "\u202e", "\u2066", "\x85", "\x00"} & set(text)
    assert "hunter2!" not in text
    lines = text.replace("\r\n", "\n").split("\n")
    assert sum("said cam" in line for line in lines) == 1


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    program = PROGRAM + "\nprint('alive')"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False)
    assert b"alive" in ended.stdout


@pytest.mark.timeout(60)
async def test_a_line_a_change_and_none_a_poll(tmp_path: Path) -> None:
    port = free_port()
    write(tmp_path, targets=target("camera", port, interval="1s") + target("encoder", port, interval="1s"))
    async with serving(port), daemon(tmp_path) as running:
        await running.state("camera.port", "up")
        await running.state("encoder.port", "up")
        quiet = len(lines(running.log))
        polls = (await running.get("/api/v1/checks/camera.port"))["counts"]["ok"]
        await asyncio.sleep(10)
        assert (await running.get("/api/v1/checks/camera.port"))["counts"]["ok"] >= polls + 8
        assert len(lines(running.log)) == quiet
    async with daemon(tmp_path) as running:
        await running.state("camera.port", "down")
        await running.state("encoder.port", "down")
        down = len(lines(running.log))
        await asyncio.sleep(3)
        assert len(lines(running.log)) == down
        before = [one for one in lines(running.log)[quiet:] if one["event"] in {"incident", "check.state"}]
        assert len([one for one in before if one["event"] == "incident"]) == 2
        assert len(before) <= 6  # up, failing, down: each said once at most
        async with serving(port):
            await running.state("camera.port", "up")
            await running.state("encoder.port", "up")
            await asyncio.sleep(3)
        after = lines(running.log)[down:]
        assert [(one["event"], one["reason"]) for one in after if one["event"] == "incident"] == [
            ("incident", "recovered")
        ] * 2
        assert len([one for one in after if one["event"] == "check.state"]) <= 2, after


@pytest.mark.timeout(60)
async def test_what_a_device_says_stays_on_its_line(tmp_path: Path) -> None:
    port = free_port()
    targets = target("camera", port).replace("目标camera", '"目标\\u202e\\u2028"')
    write(tmp_path, targets=targets)
    (tmp_path / "probes/port.yaml").write_text(WELCOME)
    banner = 'no\x1b[2J"}\n{"event":"forged"}\u202e\u2028\x85\r\n'.encode()
    async with serving(port, greeting=banner), daemon(tmp_path) as running:
        await running.state("camera.port", "down")
        said = lines(running.log)  # each line is JSON
        assert "forged" not in {one["event"] for one in said}
        raw = running.log.read_text()
        assert not FORBIDDEN - {"\n"} & set(raw)
