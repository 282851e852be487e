"""From 1,000 to 50,000 ICMP checks: memory of the whole daemon for each check, and CPU for each echo.

python -m bench.growth [--sizes N ...] [--interval S] [--seconds S] [--json FILE]

Needs a raw or a ping socket.  A real ``sentinel run`` with an inventory of 127.20.x.x, rules, store and page; nothing
else runs beside it.  Memory is PSS (proc(5), smaps_rollup) after every check has had some results.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.estate import Share, write
from bench.peers import accepts, cpu_seconds, finish, options, pss_bytes, running

PROBES = "probes:\n  ping: {protocol: icmp, description: 可达, options: {}}\n"
SLA = "rules:\n  - {id: down, name: 不可用, down: {failures: 2, of: 3}, severity: critical, retry_interval: 1s}\n"
BYTES_A_CHECK = 20_480
LINEAR = 1.25
"""How much dearer an echo may be in the largest estate than in the smallest."""


@dataclass(frozen=True)
class Size:
    """What one estate took: bytes, CPU microseconds for an echo, the share of due echoes that were sent."""

    checks: int
    memory: int
    each: float
    sent: float


def measured(checks: int, interval: float, seconds: float) -> Size:
    """Run the daemon on so many checks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = write(folder, [Share("ping", "127.20", checks)], PROBES, SLA, interval=interval)
        command = [sys.executable, "-m", "sentinel", "run", "--config", str(folder / "config")]
        with running(command, ready=lambda: accepts("127.0.0.1", port), log=folder / "log", within=120) as daemon:
            time.sleep(30 + interval)  # each check first runs within 30 s
            began, started = cpu_seconds(daemon.pid), count(port, "sentinel_scheduler_started_total")
            clock = time.monotonic()
            time.sleep(seconds)
            used, echoes = cpu_seconds(daemon.pid) - began, count(port, "sentinel_scheduler_started_total") - started
            due = checks * (time.monotonic() - clock) / interval
            return Size(checks, pss_bytes(daemon.pid), used / echoes * 1e6, echoes / due)


def count(port: int, metric: str) -> float:
    """A figure of the daemon's own."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{metric} (\S+)$", text, re.MULTILINE)
    assert found is not None, metric
    return float(found[1])


def main() -> int:
    """Measure each size, smallest first, and compare the ends."""
    parser = options("growth", __doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--interval", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    chosen = parser.parse_args()
    try:
        sizes = [measured(checks, chosen.interval, chosen.seconds) for checks in sorted(chosen.sizes)]
    except subprocess.SubprocessError as error:
        sys.exit(f"growth: {error}")
    figures: dict[str, float] = {}
    for size in sizes:
        figures[f"{size.checks} checks, PSS MiB"] = size.memory / 1048576
        figures[f"{size.checks} checks, CPU microseconds an echo"] = size.each
        figures[f"{size.checks} checks, share of due echoes sent"] = size.sent
    least, most = sizes[0], sizes[-1]
    grown = (most.memory - least.memory) / (most.checks - least.checks)
    figures["bytes a check"] = grown
    ratios = {
        "bytes a check to 20 KiB": (grown / BYTES_A_CHECK, 1.0),
        "CPU of an echo, largest to smallest": (most.each / least.each, LINEAR),
    }
    return finish("growth", figures, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
