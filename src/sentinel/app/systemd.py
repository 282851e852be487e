"""What systemd is told over its notification socket (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time


def notify(*assignments: str) -> None:
    """Tell systemd, where it asks to be told: ``READY=1``, ``WATCHDOG=1``, ``STATUS=…``.

    A socket that is gone is no reason to stop: errors are ignored, as sd_notify(3) recommends.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract namespace
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return


def reloading() -> tuple[str, str]:
    """The two assignments of ``Type=notify-reload`` and of a reload under ``Type=notify``."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, half of what systemd waits for; None where it does not wait."""
    usec, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
    if not usec or not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2_000_000
