"""What systemd hears, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.app.systemd import notify, reloading, watchdog_interval
from sentinel.app.watchdog import Part, Watchdog
from tests.support.estate import VirtualClock


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Systemd's end of the notification socket."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield sock


def test_assignments_are_lines_of_one_datagram(systemd: socket.socket) -> None:
    notify("READY=1", "STATUS=好")
    assert systemd.recv(4096).decode() == "READY=1\nSTATUS=好"


def test_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0sentinel-test-{os.getpid()}")
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@sentinel-test-{os.getpid()}")
        notify("STOPPING=1")
        assert sock.recv(100) == b"STOPPING=1"


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")


def test_a_reload_says_when_it_began() -> None:
    state, stamp = reloading()
    assert state == "RELOADING=1"
    name, _, usec = stamp.partition("=")
    assert name == "MONOTONIC_USEC"
    assert abs(int(usec) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 5


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("60000000", None, 30.0),
        ("60000000", "own", 30.0),
        ("60000000", "1", None),
        ("", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_interval_is_half_of_what_systemd_waits(
    usec: str | None, pid: str | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_interval() == interval


@pytest.mark.virtual_time
async def test_life_is_told_only_while_everything_moves(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    beats = {"scheduler": 0, "writer": 0}
    clock = VirtualClock()
    watchdog = Watchdog(
        {"scheduler": Part(lambda: beats["scheduler"], 10.0), "writer": Part(lambda: beats["writer"], 20.0)}, clock
    )
    moving = {"scheduler", "writer"}

    async def live() -> None:
        while True:
            await asyncio.sleep(1)
            for name in moving:
                beats[name] += 1

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(live()), loop.create_task(watchdog.run())]
    await asyncio.sleep(30)  # the kernel queues eleven datagrams and no more
    assert _heard(systemd) in {6, 7}
    moving.discard("scheduler")
    await asyncio.sleep(60)
    assert _heard(systemd) <= 3  # until its allowance is over
    assert watchdog.stuck == ["scheduler"]
    moving.add("scheduler")
    await asyncio.sleep(60)
    assert _heard(systemd) == 11
    assert watchdog.stuck == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.virtual_time
async def test_without_systemd_it_watches_and_is_silent(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    watchdog = Watchdog({"still": Part(lambda: 0, 10.0)}, VirtualClock())
    task = asyncio.get_running_loop().create_task(watchdog.run())
    await asyncio.sleep(60)
    assert watchdog.stuck == ["still"]
    assert _heard(systemd) == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _heard(systemd: socket.socket) -> int:
    """Signs of life since the last look."""
    systemd.setblocking(False)
    count = 0
    while True:
        try:
            assert systemd.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            return count
        count += 1
